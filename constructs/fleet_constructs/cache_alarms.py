"""The alarms of the cache: a few for each node, since ElastiCache measures nodes."""

from __future__ import annotations

from typing import Literal, NamedTuple

from constructs import Construct

from catalog import names
from catalog.environment import Cache, Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.alarms import Condition, Metric, add_alarm

PERIOD_SECONDS = 60
CREDITS_PERIOD_SECONDS = 300  # CloudWatch has credits no more often
NODE_ID = "0001"  # ElastiCache's own name for the one node of a member


class _Alarm(NamedTuple):
    kind: str
    metric: str
    statistic: str
    threshold: float
    periods: int
    told: str
    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"] = "GreaterThanThreshold"
    period_seconds: int = PERIOD_SECONDS

    @property
    def periods_to_alarm(self) -> int:
        """Three minutes of five are enough, where an hour without credits is meant."""
        return self.periods if self.period_seconds > PERIOD_SECONDS else min(3, self.periods)


def _alarms(cache: Cache) -> list[_Alarm]:
    # The engine's own thread is what runs out first, whatever else its machine has. Where that is but one processor more, AWS
    # advises to look at the machine, of which nine tenths of one thread are 45 %.
    cpu = (
        _Alarm(
            "cpu", "CPUUtilization", "Average", 45, 5, "uses more than 45 % of its machine, which is 90 % of one thread"
        )
        if cache.has_two_processors
        else _Alarm("cpu", "EngineCPUUtilization", "Average", 80, 5, "uses more than 80 % of its engine's CPU")
    )
    alarms = [
        cpu,
        # For an hour, since a new node begins with none. Without them it is slow, and its CPU shows nothing of it.
        _Alarm(
            "cpu-credits", "CPUCreditBalance", "Average", 5, 12, "has used up its CPU credits, and falls to a part of its speed",
            "LessThanThreshold", CREDITS_PERIOD_SECONDS,
        ),
        _Alarm("memory", "DatabaseMemoryUsagePercentage", "Average", 80, 5, "has filled more than 80 % of its memory"),
        _Alarm("evictions", "Evictions", "Sum", 0, 5, "throws keys away to make room"),
        _Alarm("replication-lag", "ReplicationLag", "Maximum", 10, 5, "is more than 10 seconds behind its primary"),
        _Alarm("connections", "CurrConnections", "Maximum", 10_000, 5, "has more than 10,000 connections"),
        _Alarm("authentication-failures", "AuthenticationFailures", "Sum", 0, 1, "refused a password"),
    ]  # fmt: skip
    has = {"cpu-credits": cache.is_burstable, "replication-lag": cache.replicas_per_shard > 0}
    return [alarm for alarm in alarms if has.get(alarm.kind, True)]


def add_cache_alarms(scope: Construct, *, environment: Environment, topic_arn: str) -> None:
    """Add the alarms of every node of the cache; each name says which node."""
    group = names.cluster(environment.name)
    for member in environment.cache.members:
        for alarm in _alarms(environment.cache):
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
                    alarm.period_seconds,
                ),
                # A primary has no lag to tell of, and a node that is being replaced tells nothing: no reason to wake somebody.
                condition=Condition(
                    alarm.comparison, alarm.threshold, alarm.periods, alarm.periods_to_alarm, "notBreaching"
                ),
            )
