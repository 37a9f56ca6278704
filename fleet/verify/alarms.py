"""The three alarms of every enabled service: there, as the catalog says, and wired to the topic; and no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog import names
from catalog.service import Service, UtilisationAlarm
from fleet.verify.check import Check, Checks
from fleet.verify.scope import Scope

_TASK_COUNT_PERIOD_SECONDS = 60
_OF_A_SERVICE = re.compile(rf"-(?:{'|'.join(names.ALARM_KINDS)})-(?P<environment>[a-z][a-z0-9]*)$")


@dataclass(slots=True)
class SeenAlarms:
    """What is known of the alarms."""

    checks: list[Check]
    wired: dict[str, int] = field(default_factory=dict)
    """How many of each service's alarms act on the topic."""


def check_alarms(scope: Scope) -> SeenAlarms:
    """Look at every alarm of the account."""
    checks = scope.checks()
    alarms = _read(scope)
    wired = {
        service.name: sum(_check_alarm(scope, checks, service, kind, alarms) for kind in names.ALARM_KINDS)
        for service in scope.catalog.enabled
    }
    _check_strays(scope, checks, alarms)
    return SeenAlarms(checks.made, wired)


def _read(scope: Scope) -> dict[str, Mapping[str, Any]]:
    pages = scope.account.cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    return {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}


def _check_alarm(
    scope: Scope, checks: Checks, service: Service, kind: names.AlarmKind, alarms: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Check one alarm and tell whether it is wired."""
    name = names.alarm(service.name, kind, scope.name)
    alarm = alarms.get(name)
    if not checks.holds("alarm.exists", name, alarm is not None, "there", "there" if alarm else "missing") or not alarm:
        return False
    for key, value in _expected(scope, service, kind).items():
        checks.equal(f"alarm.{key}", name, value, _comparable(alarm.get(key)))
    topic = [scope.topic_arn]
    actions = [
        checks.equal("alarm.AlarmActions", name, topic, alarm.get("AlarmActions")),
        checks.equal("alarm.OKActions", name, topic, alarm.get("OKActions")),
        checks.equal("alarm.ActionsEnabled", name, expected=True, found=alarm.get("ActionsEnabled", True)),
    ]
    if alarm.get("StateValue") == "ALARM":
        checks.warn("alarm.state", name, "OK", f"ALARM: {alarm.get('StateReason', '')}", "see the alarm's runbook")
    return all(actions)


def _expected(scope: Scope, service: Service, kind: names.AlarmKind) -> dict[str, Any]:
    """Return what the catalog says of an alarm, by CloudWatch's own keys."""
    tasks = service.alarms.tasks
    insights = scope.environment.monitoring.container_insights
    if kind == "tasks-low":
        return {
            "Namespace": "ECS/ContainerInsights" if insights else "AWS/ECS",
            "MetricName": "RunningTaskCount" if insights else "CPUUtilization",
            "Statistic": "Minimum" if insights else "SampleCount",
            "Dimensions": _dimensions(scope, service),
            "Period": _TASK_COUNT_PERIOD_SECONDS,
            "ComparisonOperator": "LessThanThreshold",
            "Threshold": float(tasks.min_running),
            "EvaluationPeriods": tasks.evaluation_periods,
            "DatapointsToAlarm": tasks.datapoints_to_alarm,
            "TreatMissingData": "breaching",
        }
    cpu = kind == "cpu-high"
    alarm: UtilisationAlarm = service.alarms.cpu if cpu else service.alarms.memory
    return {
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization" if cpu else "MemoryUtilization",
        "Statistic": "Average",
        "Dimensions": _dimensions(scope, service),
        "Period": alarm.period_seconds,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": float(alarm.max_percent),
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "TreatMissingData": "missing",
    }


def _dimensions(scope: Scope, service: Service) -> list[str]:
    return [f"ClusterName={names.cluster(scope.name)}", f"ServiceName={service.name}"]


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(f"{dimension['Name']}={dimension['Value']}" for dimension in value)
    return value


def _check_strays(scope: Scope, checks: Checks, alarms: Mapping[str, Mapping[str, Any]]) -> None:
    """Find alarms that look like a service's and belong to none, and those that a service's prefix would list too many."""
    expected = {
        names.alarm(service.name, kind, scope.name) for service in scope.catalog.enabled for kind in names.ALARM_KINDS
    }
    enabled = tuple(service.name for service in scope.catalog.enabled)
    strays = []
    for name in alarms.keys() - expected:
        of_a_service = _OF_A_SERVICE.search(name)
        if of_a_service and not name.startswith(names.PLATFORM_ALARM_PREFIX):
            # Another environment's are told of once, with the environment.
            if of_a_service["environment"] == scope.name:
                strays.append(name)
        elif name.startswith(enabled):
            strays.append(name)
    checks.holds(
        "alarm.strays",
        f"{len(expected)} alarms of services",
        not strays,
        "no other alarm of a service",
        ", ".join(sorted(strays)) or "none",
        f"aws cloudwatch delete-alarms --alarm-names {' '.join(sorted(strays))}",
    )
