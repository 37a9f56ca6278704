"""CloudWatch and CloudWatch Logs through boto3: what was put is read back, bounded, and saved with the rest."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.base_backend import BackendDict

from local_aws.clients import ServerClients
from local_aws.resources.moto_repairs.logs import MOST_EVENTS
from local_aws.state import StateDirectory
from local_aws.watch.measuring import samples_of
from tests.unit.local_aws.watch.conftest import ACCOUNT, REGION, Mailbox

DIMENSIONS = [{"Name": "Service", "Value": "ai"}]


@pytest.fixture
def cloudwatch(clients: ServerClients) -> Any:
    return clients.client("cloudwatch", REGION)


@pytest.fixture
def logs(clients: ServerClients) -> Any:
    logs = clients.client("logs", REGION)
    logs.create_log_group(logGroupName="/fleet")
    logs.create_log_stream(logGroupName="/fleet", logStreamName="ai/ai/1")
    return logs


def put(cloudwatch: Any, **datum: Any) -> None:
    cloudwatch.put_metric_data(
        Namespace="N", MetricData=[{"MetricName": "M", "Dimensions": DIMENSIONS, "Unit": "Count", **datum}]
    )


def statistics(cloudwatch: Any, name: str = "M", namespace: str = "N") -> dict[str, Any]:
    now = time.time()
    [point] = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=DIMENSIONS,
        StartTime=now - 3600,
        EndTime=now + 60,
        Period=7200,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum", "Average"],
    )["Datapoints"]
    return {key: value for key, value in point.items() if key != "Timestamp"}


def test_values_with_their_counts_and_sets_are_added_up(cloudwatch: Any) -> None:
    put(cloudwatch, Value=5.0)
    put(cloudwatch, Values=[1.0, 2.0], Counts=[1000, 1])
    put(cloudwatch, StatisticValues={"SampleCount": 2, "Sum": 30, "Minimum": 10, "Maximum": 20})
    assert statistics(cloudwatch) == {
        "SampleCount": 1004.0, "Sum": 1037.0, "Minimum": 1.0, "Maximum": 20.0, "Average": 1037 / 1004, "Unit": "Count",
    }  # fmt: skip
    [(_, samples)] = samples_of(cloudwatch_backends[ACCOUNT][REGION]).all()
    assert len(samples) == 3, "one for each datum"


def test_a_time_of_its_own_counts(cloudwatch: Any) -> None:
    put(cloudwatch, Value=5.0, Timestamp=time.time() - 7200)
    put(cloudwatch, Value=6.0, Timestamp=time.time() - 60)
    assert statistics(cloudwatch)["Sum"] == 6.0


def test_a_metric_with_more_dimensions_is_another_one(cloudwatch: Any) -> None:
    put(cloudwatch, Value=5.0)
    put(cloudwatch, Value=7.0, Dimensions=[*DIMENSIONS, {"Name": "Task", "Value": "1"}])
    assert statistics(cloudwatch)["Sum"] == 5.0


def test_each_metric_is_listed_once(cloudwatch: Any) -> None:
    for value in (1.0, 2.0):
        put(cloudwatch, Value=value)
        put(cloudwatch, Value=value, Dimensions=[])
    listed = cloudwatch.list_metrics(Namespace="N")["Metrics"]
    assert [metric["Dimensions"] for metric in listed] == [DIMENSIONS, []]


def test_queries_read_the_same(cloudwatch: Any) -> None:
    put(cloudwatch, Value=5.0)
    metric = {"Namespace": "N", "MetricName": "M", "Dimensions": DIMENSIONS}
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
    now = time.time()
    [found] = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=now - 60, EndTime=now + 60)[
        "MetricDataResults"
    ]
    assert found["Values"] == [5.0]


def test_lines_in_the_embedded_metric_format_become_metrics(cloudwatch: Any, logs: Any) -> None:
    now = int(time.time() * 1000)
    directive = {
        "Namespace": "GamingSystem/Services",
        "Dimensions": [["Service"]],
        "Metrics": [{"Name": "Requests", "Unit": "Count"}],
    }
    line = {"_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]}, "Service": "ai", "Requests": 7}
    events = [{"timestamp": now, "message": text} for text in ("started", json.dumps(line), json.dumps(line))]
    logs.put_log_events(logGroupName="/fleet", logStreamName="ai/ai/1", logEvents=events)
    assert statistics(cloudwatch, "Requests", "GamingSystem/Services")["Sum"] == 14.0
    read = logs.get_log_events(logGroupName="/fleet", logStreamName="ai/ai/1", startFromHead=True)["events"]
    assert [event["message"] for event in read] == ["started", json.dumps(line), json.dumps(line)]


def test_a_stream_keeps_its_newest_lines(logs: Any) -> None:
    now = int(time.time() * 1000)
    for begin in range(0, MOST_EVENTS + 500, 500):
        events = [{"timestamp": now, "message": str(number)} for number in range(begin, begin + 500)]
        logs.put_log_events(logGroupName="/fleet", logStreamName="ai/ai/1", logEvents=events)
    found = logs.get_log_events(logGroupName="/fleet", logStreamName="ai/ai/1", startFromHead=True)["events"]
    assert (len(found), found[0]["message"]) == (MOST_EVENTS, "500")


def test_alarms_samples_and_who_has_confirmed_are_saved_with_the_rest(
    clients: ServerClients, cloudwatch: Any, mailbox: Mailbox, tmp_path: Path
) -> None:
    sns = clients.client("sns", REGION)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    for port in (1, 2):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")
    sns.confirm_subscription(TopicArn=topic, Token=mailbox.letters[0].token)
    cloudwatch.put_metric_alarm(
        AlarmName="a",
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=1.0,
        AlarmActions=[topic],
    )
    cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="tried")
    put(cloudwatch, Value=5.0)

    def seen() -> Any:
        history = cloudwatch.describe_alarm_history(AlarmName="a")["AlarmHistoryItems"]
        alarms = cloudwatch.describe_alarms()["MetricAlarms"]
        subscriptions = sns.list_subscriptions()["Subscriptions"]
        return history, alarms, subscriptions, statistics(cloudwatch)

    before = seen()
    assert len(before[0]) == 3
    directory = StateDirectory(tmp_path)
    directory.save({}, 1)
    BackendDict.reset()
    directory.load()
    assert seen() == before
    sns.confirm_subscription(TopicArn=topic, Token=mailbox.letters[1].token)
