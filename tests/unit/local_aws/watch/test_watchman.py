"""The watchman with a clock in hand: moto's alarms and topics, judged and told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from local_aws.clients import ServerClients
from local_aws.gate import Gate
from local_aws.watch.watchman import NOBODY_MEASURES, Watchman
from tests.unit.local_aws.watch.conftest import REGION, Mailbox

BEGIN = 1764158400.0
DIMENSIONS = [{"Name": "ServiceName", "Value": "ai"}]


@dataclass
class Fleet:
    """A local AWS whose time is moved by hand."""

    clients: ServerClients
    mailbox: Mailbox
    minute: float | None = 60.0
    now: float = BEGIN
    touched: int = 0
    watchman: Watchman = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.watchman = Watchman(Gate(), lambda: self.minute, self.touch, lambda: self.now)

    def touch(self) -> None:
        self.touched += 1

    @property
    def cloudwatch(self) -> Any:
        return self.clients.client("cloudwatch", REGION)

    @property
    def sns(self) -> Any:
        return self.clients.client("sns", REGION)

    def topic(self) -> str:
        """Make a topic whose subscriber has confirmed."""
        arn = str(self.sns.create_topic(Name="alerts")["TopicArn"])
        self.sns.subscribe(TopicArn=arn, Protocol="http", Endpoint="http://127.0.0.1:9/")
        self.sns.confirm_subscription(TopicArn=arn, Token=self.mailbox.letters[-1].token)
        return arn

    def alarm(self, name: str = "tasks-low", **changes: Any) -> None:
        topic = self.topic()
        self.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": name,
                "AlarmDescription": "Fewer than 2 tasks.",
                "Namespace": "ECS/ContainerInsights",
                "MetricName": "RunningTaskCount",
                "Dimensions": DIMENSIONS,
                "Statistic": "Minimum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "DatapointsToAlarm": 1,
                "Threshold": 2.0,
                "ComparisonOperator": "LessThanThreshold",
                "TreatMissingData": "breaching",
                "AlarmActions": [topic],
                "OKActions": [topic],
                **changes,
            }
        )

    def put(self, value: float, dimensions: Any = DIMENSIONS) -> None:
        datum = {"MetricName": "RunningTaskCount", "Dimensions": dimensions, "Value": value, "Timestamp": self.now}
        self.cloudwatch.put_metric_data(Namespace="ECS/ContainerInsights", MetricData=[datum])

    def minutes(self, number: float = 1.0, value: float | None = None) -> None:
        """Let minutes pass, each with one value in its middle."""
        minute = self.minute or 60.0
        for _ in range(int(number)):
            self.now += minute / 2
            if value is not None:
                self.put(value)
            self.now += minute / 2
            self.watchman.look()

    def described(self, name: str = "tasks-low") -> dict[str, Any]:
        [alarm] = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return dict(alarm)

    def state(self, name: str = "tasks-low") -> str:
        return str(self.described(name)["StateValue"])


@pytest.fixture
def fleet(clients: ServerClients, mailbox: Mailbox) -> Fleet:
    fleet = Fleet(clients, mailbox)
    # The watchman's minute ends a little after the clock's.
    fleet.now += 10
    fleet.watchman.look()
    return fleet


def test_an_alarm_is_raised_told_and_told_to_be_over(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(value=2)
    fleet.minutes(value=1)
    assert fleet.state() == "ALARM"
    fleet.minutes(value=2)
    assert fleet.state() == "OK"
    assert fleet.mailbox.told() == [("tasks-low", "OK"), ("tasks-low", "ALARM"), ("tasks-low", "OK")]


def test_a_state_that_lasts_is_told_once(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(5, value=1)
    assert fleet.mailbox.told() == [("tasks-low", "ALARM")]
    assert fleet.touched == 1, "and saved once"


def test_between_two_minutes_nothing_is_judged(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.put(1)
    fleet.now += 40
    fleet.watchman.look()
    assert fleet.state() == "INSUFFICIENT_DATA"
    fleet.now += 20
    fleet.watchman.look()
    assert fleet.state() == "ALARM"


def test_only_the_very_dimensions_count(fleet: Fleet) -> None:
    fleet.alarm(TreatMissingData="missing")
    fleet.now += 30
    fleet.put(1, [*DIMENSIONS, {"Name": "TaskId", "Value": "1"}])
    fleet.put(1, [])
    fleet.put(1, [{"Name": "ServiceName", "Value": "other"}])
    fleet.now += 30
    fleet.watchman.look()
    assert fleet.state() == "INSUFFICIENT_DATA"


def test_disabled_actions_tell_nobody_and_the_state_changes(fleet: Fleet) -> None:
    fleet.alarm(ActionsEnabled=False)
    fleet.minutes(value=1)
    assert (fleet.state(), fleet.mailbox.told()) == ("ALARM", [])


def test_the_message_is_cloudwatchs(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(value=2)
    fleet.minutes(value=1)
    letter = fleet.mailbox.letters[-1]
    assert letter.subject == 'ALARM: "tasks-low" in US East (N. Virginia)'
    told = json.loads(letter.message)
    configured = told.pop("AlarmConfigurationUpdatedTimestamp")
    assert configured.endswith("+0000")
    topic = letter.topic_arn
    assert told == {
        "AlarmName": "tasks-low",
        "AlarmDescription": "Fewer than 2 tasks.",
        "AWSAccountId": "123456789012",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (26/11/25 12:01:00)] was less than "
        "the threshold (2.0) (minimum 1 datapoint for OK -> ALARM transition).",
        "StateChangeTime": "2025-11-26T12:02:10.000+0000",
        "Region": "US East (N. Virginia)",
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:tasks-low",
        "OldStateValue": "OK",
        "OKActions": [topic],
        "AlarmActions": [topic],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "RunningTaskCount",
            "Namespace": "ECS/ContainerInsights",
            "StatisticType": "Statistic",
            "Statistic": "MINIMUM",
            "Unit": None,
            "Dimensions": [{"value": "ai", "name": "ServiceName"}],
            "Period": 60,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": "LessThanThreshold",
            "Threshold": 2.0,
            "TreatMissingData": "breaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    }


def test_the_history_tells_of_the_alarm_its_changes_and_its_actions(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(value=1)
    items = fleet.cloudwatch.describe_alarm_history(AlarmName="tasks-low", ScanBy="TimestampAscending")
    found = [(item["HistoryItemType"], item["HistorySummary"]) for item in items["AlarmHistoryItems"]]
    topic = fleet.mailbox.letters[-1].topic_arn
    assert sorted(found) == [
        ("Action", f"Successfully executed action {topic}"),
        ("ConfigurationUpdate", 'Alarm "tasks-low" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"),
    ]
    [change] = fleet.cloudwatch.describe_alarm_history(HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    data = json.loads(change["HistoryData"])
    assert data["newState"]["stateReasonData"]["recentDatapoints"] == [1.0]
    assert data["oldState"]["stateReason"] == "Unchecked: Initial alarm creation"


def test_the_history_is_read_in_pages_and_by_time(fleet: Fleet) -> None:
    fleet.alarm()
    for value in (1, 2, 1):
        fleet.minutes(value=value)
    pages = fleet.cloudwatch.get_paginator("describe_alarm_history").paginate(
        HistoryItemType="StateUpdate", PaginationConfig={"PageSize": 2}
    )
    found = [[item["HistorySummary"].split()[-1] for item in page["AlarmHistoryItems"]] for page in pages]
    assert found == [["ALARM", "OK"], ["ALARM"]], "the newest first"
    since = fleet.cloudwatch.describe_alarm_history(HistoryItemType="StateUpdate", StartDate=fleet.now - 70)
    assert len(since["AlarmHistoryItems"]) == 2


def test_a_topic_that_is_gone_is_a_failed_action(fleet: Fleet) -> None:
    fleet.alarm(AlarmActions=["arn:aws:sns:us-east-1:123456789012:gone"])
    fleet.minutes(value=1)
    [item] = fleet.cloudwatch.describe_alarm_history(HistoryItemType="Action")["AlarmHistoryItems"]
    assert item["HistorySummary"].startswith("Failed to execute action arn:aws:sns:us-east-1:123456789012:gone")
    assert "Topic does not exist" in item["HistorySummary"]


def test_setting_a_state_acts_and_lasts_until_the_next_judgement(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(value=2)
    fleet.cloudwatch.set_alarm_state(AlarmName="tasks-low", StateValue="ALARM", StateReason="a test")
    assert fleet.mailbox.told()[-1] == ("tasks-low", "ALARM")
    assert json.loads(fleet.mailbox.letters[-1].message)["NewStateReason"] == "a test"
    fleet.minutes(value=2)
    assert fleet.state() == "OK"


def test_setting_the_state_that_there_is_tells_nobody(fleet: Fleet) -> None:
    fleet.alarm()
    for reason in ("a test", "the same again"):
        fleet.cloudwatch.set_alarm_state(AlarmName="tasks-low", StateValue="ALARM", StateReason=reason)
    assert fleet.mailbox.told() == [("tasks-low", "ALARM")]
    assert fleet.described()["StateReason"] == "the same again"


def test_a_plane_that_comes_is_given_the_time_to_measure(fleet: Fleet) -> None:
    fleet.alarm(EvaluationPeriods=3, DatapointsToAlarm=3)
    fleet.minutes(2)
    assert fleet.state() == "INSUFFICIENT_DATA", "nobody knows yet"
    fleet.minutes(2)
    assert fleet.state() == "ALARM", "three minutes of silence are the worst case"


def test_when_the_plane_goes_nobody_claims_to_know_and_nobody_is_woken(fleet: Fleet) -> None:
    fleet.alarm(InsufficientDataActions=["arn:aws:sns:us-east-1:123456789012:alerts"])
    fleet.minutes(value=1)
    told = list(fleet.mailbox.told())
    fleet.minute = None
    fleet.watchman.look()
    assert (fleet.state(), fleet.described()["StateReason"]) == ("INSUFFICIENT_DATA", NOBODY_MEASURES)
    assert fleet.mailbox.told() == told
    fleet.cloudwatch.set_alarm_state(AlarmName="tasks-low", StateValue="OK", StateReason="by hand")
    fleet.minutes(5)
    assert fleet.state() == "OK", "it is done once: what somebody sets afterwards stays"


def test_after_a_restart_the_plane_has_some_seconds_to_come_back(fleet: Fleet) -> None:
    fleet.alarm()
    fleet.minutes(value=1)
    fleet.minute = None
    fleet.restart()
    fleet.now += 5
    fleet.watchman.look()
    assert fleet.state() == "ALARM"
    fleet.now += 15
    fleet.watchman.look()
    assert fleet.state() == "INSUFFICIENT_DATA"


def test_a_minute_may_take_less(fleet: Fleet) -> None:
    fleet.minute = 5.0
    fleet.watchman.look()
    fleet.alarm(EvaluationPeriods=3, DatapointsToAlarm=3)
    fleet.minutes(3, value=1)
    assert fleet.state() == "INSUFFICIENT_DATA", "the third minute has just ended: what it brought may be under way"
    fleet.now += 0.5
    fleet.watchman.look()
    assert fleet.state() == "ALARM"
    fleet.minute = 60.0
    fleet.minutes(2, value=2)
    assert fleet.state() == "OK", "and more again"


def test_samples_get_as_old_as_the_longest_alarm_needs_and_an_hour(fleet: Fleet) -> None:
    fleet.alarm(Period=300, EvaluationPeriods=1)
    fleet.minutes(90, value=2)
    listed = fleet.cloudwatch.get_metric_statistics(
        Namespace="ECS/ContainerInsights",
        MetricName="RunningTaskCount",
        Dimensions=DIMENSIONS,
        StartTime=BEGIN,
        EndTime=fleet.now,
        Period=60,
        Statistics=["SampleCount"],
    )["Datapoints"]
    assert len(listed) == 60 + 3 * 5


def test_an_alarm_that_cannot_be_judged_here_keeps_its_state(fleet: Fleet) -> None:
    percentile = {"ExtendedStatistic": "p99", "MetricName": "Latency", "Namespace": "N", "Period": 60}
    fleet.cloudwatch.put_metric_alarm(
        AlarmName="slow",
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="breaching",
        **percentile,
    )
    fleet.cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("slow")')
    fleet.minutes(5)
    assert fleet.state("slow") == "INSUFFICIENT_DATA"
