"""The one factory that every alarm of the system passes through, and the three alarms of a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from catalog import names
from catalog.service import Service, UtilisationAlarm

RUNBOOKS = "docs/runbooks"
TASK_COUNT_PERIOD_SECONDS = 60
FUNCTION_PERIOD_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured."""

    namespace: str
    name: str
    statistic: Literal["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
    dimensions: Mapping[str, str]
    period_seconds: int


@dataclass(frozen=True, slots=True)
class Condition:
    """When what is measured is a reason to wake somebody up."""

    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"]
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing_data: Literal["breaching", "notBreaching", "missing", "ignore"]


def add_alarm(
    scope: Construct,
    construct_id: str,
    *,
    alarm_name: str,
    description: str,
    runbook: str,
    topic_arn: str,
    metric: Metric,
    condition: Condition,
) -> cloudwatch.CfnAlarm:
    """Add an alarm that says what is wrong, where to read on, and whom it tells, also when all is well again.

    An L1 on purpose: one call to the engine where alarm, metric and actions would be seven, 66 times over.
    """
    return cloudwatch.CfnAlarm(
        scope,
        construct_id,
        alarm_name=alarm_name,
        alarm_description=f"{description} Runbook: {RUNBOOKS}/{runbook}.md",
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        namespace=metric.namespace,
        metric_name=metric.name,
        statistic=metric.statistic,
        dimensions=[
            cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value) for name, value in metric.dimensions.items()
        ],
        period=metric.period_seconds,
        comparison_operator=condition.comparison,
        threshold=condition.threshold,
        evaluation_periods=condition.evaluation_periods,
        datapoints_to_alarm=condition.datapoints_to_alarm,
        treat_missing_data=condition.missing_data,
    )


def add_function_alarm(
    scope: Construct,
    construct_id: str,
    *,
    alarm_name: str,
    function_name: str,
    description: str,
    runbook: str,
    topic_arn: str,
) -> None:
    """Add an alarm on a function whose schedule, or an operator, met with an error; what CloudFormation asks has an answer of its own.

    It looks at a whole day, since most schedules have but one turn in it: the next good one ends the alarm.
    """
    add_alarm(
        scope,
        construct_id,
        alarm_name=alarm_name,
        description=description,
        runbook=runbook,
        topic_arn=topic_arn,
        metric=Metric("AWS/Lambda", "Errors", "Sum", {"FunctionName": function_name}, FUNCTION_PERIOD_SECONDS),
        condition=Condition("GreaterThanThreshold", 0, 1, 1, "notBreaching"),
    )


def add_service_alarms(
    scope: Construct,
    *,
    service: Service,
    environment: str,
    service_name: str,
    cluster_name: str,
    topic_arn: str,
    container_insights: bool,
) -> None:
    """Add the three alarms of a service.

    Args:
        scope: where they stand.
        service: the catalog's entry.
        environment: name of the environment.
        service_name: the ECS service's name as its resource gives it, so that the alarms are made after it is steady.
        cluster_name: name of its cluster.
        topic_arn: topic that they act on.
        container_insights: whether ECS reports the number of running tasks itself.
    """
    about = f"{service.description.rstrip('.')}. Owner: {service.owner}."
    dimensions = {"ClusterName": cluster_name, "ServiceName": service_name}

    def utilisation(
        construct_id: str, kind: names.AlarmKind, metric_name: str, noun: str, alarm: UtilisationAlarm
    ) -> None:
        add_alarm(
            scope,
            construct_id,
            alarm_name=names.alarm(service.name, kind, environment),
            description=f"{noun} of {service.name} is above {alarm.max_percent} %. {about}",
            runbook=kind,
            topic_arn=topic_arn,
            metric=Metric("AWS/ECS", metric_name, "Average", dimensions, alarm.period_seconds),
            # A service without a single task sends no datapoint; that is the third alarm's business.
            condition=Condition(
                "GreaterThanThreshold",
                alarm.max_percent,
                alarm.evaluation_periods,
                alarm.datapoints_to_alarm,
                "missing",
            ),
        )

    utilisation("CpuHigh", "cpu-high", "CPUUtilization", "CPU utilisation", service.alarms.cpu)
    utilisation("MemoryHigh", "memory-high", "MemoryUtilization", "Memory utilisation", service.alarms.memory)
    tasks = service.alarms.tasks
    # Without Container Insights, every running task sends one sample of this free metric a minute, so the samples are the count.
    metric = (
        Metric("ECS/ContainerInsights", "RunningTaskCount", "Minimum", dimensions, TASK_COUNT_PERIOD_SECONDS)
        if container_insights
        else Metric("AWS/ECS", "CPUUtilization", "SampleCount", dimensions, TASK_COUNT_PERIOD_SECONDS)
    )
    add_alarm(
        scope,
        "TasksLow",
        alarm_name=names.alarm(service.name, "tasks-low", environment),
        description=f"Fewer than {tasks.min_running} tasks of {service.name} run. {about}",
        runbook="tasks-low",
        topic_arn=topic_arn,
        metric=metric,
        # No task at all sends nothing: silence is the worst case and no excuse.
        condition=Condition(
            "LessThanThreshold", tasks.min_running, tasks.evaluation_periods, tasks.datapoints_to_alarm, "breaching"
        ),
    )
