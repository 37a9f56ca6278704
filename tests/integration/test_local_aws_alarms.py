"""Alarms that are alive: from a datapoint to a subscriber, over sockets, in minutes that take half a second."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from catalog import load_catalog, load_environment, names
from fleet.account import local_account
from fleet.local.server import RunningServer
from fleet.verify import send_alert
from fleet.verify.scope import Scope
from tests.alert_receiver import AlertReceiver, alert_receiver
from tests.integration.local_aws_process import ROOT, LocalAwsProcess
from tests.unit.fleet.quiet import Notes

pytestmark = pytest.mark.integration
MINUTE_SECONDS = 0.5


class Plane:
    """Tells the server of a data plane that runs nothing, until it is stopped."""

    def __init__(self, endpoint: str) -> None:
        self._url = f"{endpoint}/_fleet/data-plane"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._tell({"control": "http://127.0.0.1:9", "token": "none", "minute_seconds": MINUTE_SECONDS})
            if self._stopped.wait(1):
                return

    def _tell(self, told: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the local AWS
            self._url, json.dumps(told).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request).close()  # noqa: S310 - the local AWS

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._tell({})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAwsProcess]:
    server = LocalAwsProcess(tmp_path_factory.mktemp("local-aws") / "state")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module", autouse=True)
def plane(server: LocalAwsProcess) -> Iterator[Plane]:
    plane = Plane(server.address()["endpoint"])
    yield plane
    plane.stop()


class Account:
    """Clients of the server."""

    def __init__(self, server: LocalAwsProcess) -> None:
        self.cloudwatch = server.client("cloudwatch")
        self.sns = server.client("sns")

    def topic(self, name: str, receiver: AlertReceiver) -> str:
        """Make a topic with a subscriber that has confirmed."""
        arn = str(self.sns.create_topic(Name=name)["TopicArn"])
        self.sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url)
        receiver.wait(lambda one: one.envelope.get("TopicArn") == arn, "the request to confirm")
        return arn

    def alarm(self, name: str, topic: str, namespace: str, metric: str, dimensions: dict[str, str]) -> None:
        """Make an alarm that a single value above zero raises."""
        self.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            DatapointsToAlarm=1,
            Threshold=0.0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
            OKActions=[topic],
        )


def follow(link: str) -> bytes:
    """Follow one of SNS's links, as somebody without credentials does."""
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - the local AWS's own
        return bytes(answer.read())


@pytest.fixture(scope="module")
def account(server: LocalAwsProcess) -> Account:
    return Account(server)


def test_a_datapoint_raises_an_alarm_whose_subscriber_is_told_and_told_when_it_is_over(account: Account) -> None:
    with alert_receiver() as receiver:
        topic = account.topic("alerts", receiver)
        account.alarm("evictions", topic, "Cache", "Evictions", {"Node": "1"})
        receiver.notification("OK", "evictions")
        receiver.requests.clear()
        datum = {"MetricName": "Evictions", "Dimensions": [{"Name": "Node", "Value": "1"}], "Value": 3.0}
        account.cloudwatch.put_metric_data(Namespace="Cache", MetricData=[datum])
        raised = receiver.notification("ALARM", "evictions")
        over = receiver.notification("OK", "evictions")
    assert raised.headers["x-amz-sns-topic-arn"] == raised.envelope["TopicArn"] == topic
    assert raised.alarm["Trigger"]["MetricName"] == "Evictions"
    assert "[3.0 (" in raised.alarm["NewStateReason"]
    assert (raised.alarm["OldStateValue"], over.alarm["OldStateValue"]) == ("OK", "ALARM")
    assert follow(raised.envelope["SigningCertURL"]).startswith(b"-----BEGIN CERTIFICATE-----")
    follow(raised.envelope["UnsubscribeURL"])
    assert account.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_what_does_not_arrive_raises_the_alarm_of_the_topic_at_the_other_one(account: Account) -> None:
    with alert_receiver() as broken, alert_receiver() as fallback:
        topic = account.topic("main", broken)
        account.alarm(
            "undelivered",
            account.topic("fallback", fallback),
            "AWS/SNS",
            "NumberOfNotificationsFailed",
            {"TopicName": "main"},
        )
        fallback.notification("OK", "undelivered")
        broken.statuses[:] = [500] * 20
        account.sns.publish(TopicArn=topic, Message="{}")
        assert fallback.notification("ALARM", "undelivered").alarm["Trigger"]["Namespace"] == "AWS/SNS"


def test_a_test_alert_proves_the_way_to_a_subscriber_on_this_machine(
    server: LocalAwsProcess, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_alert, "LOOK_SECONDS", 0.1)
    told = server.address()
    running = RunningServer(told["endpoint"], told["region"], told["account"], told["pid"])
    scope = Scope(load_catalog(ROOT / "service_catalog.yaml"), load_environment("local"), local_account(running))
    forced = names.alarm(scope.catalog.enabled[0].name, "cpu-high", "local")
    with alert_receiver() as receiver:
        topic = account.topic(names.alerts_topic("local"), receiver)
        account.alarm(forced, topic, "AWS/ECS", "CPUUtilization", {"ServiceName": "s"})
        receiver.notification("OK", forced)
        checks = send_alert.send_test_alert(scope, Notes())
        receiver.notification("ALARM", forced)
    assert [(check.id, check.status) for check in checks] == [("alert.published", "ok"), ("alert.delivered", "ok")]


def test_when_the_plane_leaves_no_alarm_claims_to_know(account: Account, plane: Plane) -> None:
    plane.stop()
    deadline = time.monotonic() + 60
    while {alarm["StateValue"] for alarm in account.cloudwatch.describe_alarms()["MetricAlarms"]} != {
        "INSUFFICIENT_DATA"
    }:
        assert time.monotonic() < deadline
        time.sleep(0.1)
