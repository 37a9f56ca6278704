"""The alarms of the NATS cluster: each on the worst of the three machines, whose metrics have no dimension of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.alarms import Condition, Metric, add_alarm, add_function_alarm
from fleet_constructs.nats_scripts import METRICS_NAMESPACE

MINUTE_SECONDS = 60
Missing = Literal["breaching", "notBreaching", "missing", "ignore"]


@dataclass(frozen=True, slots=True)
class _Alarm:
    kind: str
    about: str
    service: Literal["nats", "nats-jetstream"]
    metric: str
    above: float
    datapoints: int
    periods: int
    # A cluster that says nothing at all is told of once, by the alarm on the machines themselves.
    missing: Missing = "missing"


ALARMS = (
    _Alarm("leaderless", "No quorum: JetStream has no meta leader.", "nats-jetstream", "leaderless", 0, 2, 3),
    _Alarm("routes-missing", "A NATS server lacks its route to another.", "nats", "routes_missing", 0, 3, 5),
    _Alarm("slow-consumers", "NATS has cut clients off that did not keep up.", "nats", "slow_consumers", 0, 1, 1),
    _Alarm("disk", "The data disk of a NATS machine fills up, %.", "nats", "disk_used_percent", 80, 3, 5),
    _Alarm("memory", "The memory of a NATS machine runs out, %.", "nats", "memory_used_percent", 90, 5, 5),
    _Alarm("store", "JetStream's store fills up, %.", "nats-jetstream", "store_used_percent", 80, 3, 5),
    _Alarm(
        "authentication-failures", "NATS refuses clients' certificates.", "nats", "authentication_failures", 5, 3, 5
    ),
    _Alarm("replica-lag", "A replica of a stream is behind its leader.", "nats-jetstream", "replica_lag", 0, 5, 5),
    _Alarm("unhealthy", "A NATS server does not call itself healthy.", "nats-jetstream", "unhealthy", 0, 5, 5),
    _Alarm(
        "backup-age",
        "The last whole backup of the streams is older than two intervals and an hour.",
        "nats-jetstream",
        "backup_age_hours",
        13,
        5,
        5,
    ),
)


def add_nats_alarms(scope: Construct, *, environment: Environment, topic_arn: str) -> None:
    """Add the alarms of the cluster."""
    for alarm in ALARMS:
        add_alarm(
            scope,
            pascal_case(alarm.kind),
            alarm_name=names.nats_alarm(alarm.kind, environment.name),
            description=alarm.about,
            runbook=f"platform-nats-{alarm.kind}",
            topic_arn=topic_arn,
            metric=_metric(environment, alarm.service, alarm.metric, "Maximum"),
            condition=Condition("GreaterThanThreshold", alarm.above, alarm.periods, alarm.datapoints, alarm.missing),
        )
    add_alarm(
        scope,
        "NodeDown",
        alarm_name=names.nats_alarm("node-down", environment.name),
        description=f"Fewer than {len(names.NATS_NODES)} NATS machines report.",
        runbook="platform-nats-node-down",
        topic_arn=topic_arn,
        # Each machine reports once a minute, so that the samples of three minutes are nine: one that is late by a second
        # falls into the next minute, and is no machine that is down.
        metric=_metric(environment, "nats", "routes_missing", "SampleCount", 3 * MINUTE_SECONDS),
        condition=Condition("LessThanThreshold", 3 * len(names.NATS_NODES) - 1, 2, 2, "breaching"),
    )
    add_function_alarm(
        scope,
        "FunctionFailed",
        alarm_name=names.nats_alarm("function-failed", environment.name),
        function_name=names.nats_function(environment.name),
        description="A task of the NATS function failed: retire, backup, or what an operator asked for.",
        runbook="platform-nats-function-failed",
        topic_arn=topic_arn,
    )


def _metric(
    environment: Environment,
    service: str,
    name: str,
    statistic: Literal["Maximum", "SampleCount"],
    period_seconds: int = MINUTE_SECONDS,
) -> Metric:
    dimensions = {"Environment": environment.name, "Service": service}
    return Metric(METRICS_NAMESPACE, name, statistic, dimensions, period_seconds)
