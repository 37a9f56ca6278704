"""Force one alarm, and prove that what it sends arrives: a wiring that looks right is not yet one that works."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from catalog import names
from fleet.deploy.stacks import clock
from fleet.errors import InputError
from fleet.progress import Step
from fleet.verify.check import Check
from fleet.verify.scope import Scope

REASON = "A test by `fleet verify --send-test-alert`: nothing is wrong."
PUBLISHED_SECONDS = 90
# Metrics of SNS come by the minute, and some minutes late.
DELIVERED_SECONDS = 600
LOOK_SECONDS = 5.0
_HERE = ("127.0.0.1", "localhost", "::1")


def send_test_alert(scope: Scope, step: Step) -> list[Check]:
    """Put one alarm into ALARM and see CloudWatch publish and SNS deliver; the alarm then gets its state back.

    Raises:
        InputError: Nobody is there to whom anything is delivered, or no service is enabled.
    """
    if scope.account.is_local and not _somebody_listens(scope):
        raise InputError(
            "the local AWS delivers to HTTP subscribers on this machine alone, and there is none that has confirmed, so a test alert "
            f"would prove nothing\n  subscribe one: aws sns subscribe --topic-arn {scope.topic_arn} --protocol http "
            "--notification-endpoint http://127.0.0.1:PORT/"
        )
    if not scope.catalog.enabled:
        raise InputError("no service is enabled, so there is no alarm to force")
    alarm = names.alarm(scope.catalog.enabled[0].name, "cpu-high", scope.name)
    cloudwatch = scope.account.cloudwatch
    found = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if not found:
        raise InputError(f"{alarm} is missing: deploy first")
    began = clock(scope.account)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=REASON)
    step.note(f"{alarm} is forced into ALARM; subscribers get a message now and one when it is over")
    try:
        checks = scope.checks()
        published = _wait(PUBLISHED_SECONDS, lambda: _published(scope, alarm, began))
        good = (published or "").startswith("Successfully")
        checks.holds("alert.published", alarm, good, "published to the topic", published or "nothing happened")
        if good:
            step.note("published; waiting for SNS to tell of its delivery, which takes some minutes")
            delivered = _wait(DELIVERED_SECONDS, lambda: _delivered(scope, began))
            topic = names.alerts_topic(scope.name)
            fix = "confirm a subscription; see platform-alerts-undelivered"
            checks.holds("alert.delivered", topic, bool(delivered), "delivered", delivered or "not delivered", fix)
        return checks.made
    finally:
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=found[0]["StateValue"], StateReason=REASON)


def _somebody_listens(scope: Scope) -> bool:
    """Tell whether a subscriber on this machine has confirmed."""
    pages = scope.account.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=scope.topic_arn)
    return any(
        urlsplit(one["Endpoint"]).hostname in _HERE and one["SubscriptionArn"].startswith("arn:")
        for page in pages
        for one in page["Subscriptions"]
        if one["Protocol"] in {"http", "https"}
    )


def _wait(seconds: float, look: Callable[[], str | None]) -> str | None:
    """Return the first thing that a look finds, or nothing when its time is up."""
    deadline = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            return None
        time.sleep(LOOK_SECONDS)


def _published(scope: Scope, alarm: str, began: datetime) -> str | None:
    """Return what CloudWatch's own record says of the action on the topic."""
    history = scope.account.cloudwatch.describe_alarm_history(
        AlarmName=alarm, HistoryItemType="Action", StartDate=began - timedelta(seconds=1)
    )["AlarmHistoryItems"]
    return next((item["HistorySummary"] for item in history if scope.topic_arn in item["HistorySummary"]), None)


def _delivered(scope: Scope, began: datetime) -> str | None:
    """Return how many messages SNS has delivered since."""
    points = scope.account.cloudwatch.get_metric_statistics(
        Namespace="AWS/SNS",
        MetricName="NumberOfNotificationsDelivered",
        Dimensions=[{"Name": "TopicName", "Value": names.alerts_topic(scope.name)}],
        StartTime=began.replace(second=0, microsecond=0),
        EndTime=clock(scope.account) + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    count = sum(point["Sum"] for point in points)
    return f"{count:.0f} messages delivered" if count else None
