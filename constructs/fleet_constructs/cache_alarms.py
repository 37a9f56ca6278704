"""The alarms of the cache: a few for each node, since ElastiCache measures nodes."""

from __future__ import annotations

from typing import NamedTuple

from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.alarms import Condition, Metric, add_alarm

PERIOD_SECONDS = 60
NODE_ID = "0001"  # ElastiCache's own name for the one node of a member


class _Alarm(NamedTuple):
    kind: str
    metric: str
    statistic: str
    threshold: float
    minutes: int
    told: str


# The engine's own thread is what runs out first, whatever else its machine has.
_ALARMS = (
    _Alarm("cpu", "EngineCPUUtilization", "Average", 80, 5, "uses more than 80 % of its engine's CPU"),
    _Alarm("memory", "DatabaseMemoryUsagePercentage", "Average", 80, 5, "has filled more than 80 % of its memory"),
    _Alarm("evictions", "Evictions", "Sum", 0, 5, "throws keys away to make room"),
    _Alarm("replication-lag", "ReplicationLag", "Maximum", 10, 5, "is more than 10 seconds behind its primary"),
    _Alarm("connections", "CurrConnections", "Maximum", 10_000, 5, "has more than 10,000 connections"),
    _Alarm("authentication-failures", "AuthenticationFailures", "Sum", 0, 1, "refused a password"),
)


def add_cache_alarms(scope: Construct, *, environment: Environment, topic_arn: str) -> None:
    """Add the alarms of every node of the cache; each name says which node."""
    group = names.cluster(environment.name)
    for member in environment.cache.members:
        for alarm in _ALARMS:
            if alarm.kind == "replication-lag" and not environment.cache.replicas_per_shard:
                continue
            add_alarm(
                scope,
                pascal_case(f"{alarm.kind}-{member}"),
                alarm_name=names.cache_alarm(alarm.kind, member, environment.name),
                description=f"Node {member} of the cache {alarm.told}.",
                runbook=f"platform-cache-{alarm.kind}",
                topic_arn=topic_arn,
                metric=Metric(
                    "AWS/ElastiCache",
                    alarm.metric,
                    alarm.statistic,  # type: ignore[arg-type]  # one of CloudWatch's words, all of them above
                    {"CacheClusterId": f"{group}-{member}", "CacheNodeId": NODE_ID},
                    PERIOD_SECONDS,
                ),
                # A primary has no lag to tell of, and a node that is being replaced tells nothing: no reason to wake somebody.
                condition=Condition(
                    "GreaterThanThreshold", alarm.threshold, alarm.minutes, min(3, alarm.minutes), "notBreaching"
                ),
            )
