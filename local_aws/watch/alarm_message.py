"""What CloudWatch publishes when an alarm changes its state: subject and message, as subscribers' programs read them."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from typing import Any

import botocore.session
from moto.cloudwatch.models import Alarm

from local_aws.watch.evaluation import State, timestamp

_MOST_SUBJECT = 100


def subject(alarm: Alarm) -> str:
    """Return the subject, which SNS bounds."""
    return f'{alarm.state_value}: "{alarm.name}" in {region_name(alarm.region_name)}'[:_MOST_SUBJECT]


def message(alarm: Alarm, old: State, account: str) -> dict[str, Any]:
    """Return the message of an alarm that has its new state already."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": timestamp(seconds(alarm.configuration_updated_timestamp)),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": timestamp(seconds(alarm.state_updated_timestamp)),
        "Region": region_name(alarm.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        **({"AlarmRule": alarm.rule} if alarm.rule else {"Trigger": _trigger(alarm)}),
    }


def _trigger(alarm: Alarm) -> dict[str, Any]:
    statistic: dict[str, str | None]
    if alarm.extended_statistic:
        statistic = {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
    else:
        statistic = {"StatisticType": "Statistic", "Statistic": _shouted(alarm.statistic)}
    needed = {"DatapointsToAlarm": alarm.datapoints_to_alarm} if alarm.datapoints_to_alarm else {}
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        **statistic,
        "Unit": alarm.unit,
        "Dimensions": [{"value": dimension.value, "name": dimension.name} for dimension in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        **needed,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


def _shouted(statistic: str | None) -> str | None:
    """Return a statistic as messages have it: SampleCount is SAMPLE_COUNT there."""
    return "SAMPLE_COUNT" if statistic == "SampleCount" else statistic and statistic.upper()


def seconds(naive: datetime) -> float:
    """Return one of moto's times, which are UTC without saying so, in seconds since 1970."""
    return naive.replace(tzinfo=UTC).timestamp()


@functools.cache
def region_name(region: str) -> str:
    """Return what a region is called in messages."""
    partitions = botocore.session.get_session().get_data("endpoints")["partitions"]
    told = (partition["regions"].get(region, {}).get("description") for partition in partitions)
    return str(next(filter(None, told), region))


def published(body: dict[str, Any]) -> str:
    """Return a message as it is published."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
