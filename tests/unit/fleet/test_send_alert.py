from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.verify import send_alert
from fleet.verify.scope import Scope
from fleet.verify.send_alert import send_test_alert
from tests.unit.fleet.quiet import Notes
from tests.unit.fleet.right_account import ACCOUNT, TOPIC, RightAccount, WithoutTasks, catalog, environment

ALARM = "state-manager-nats-cpu-high-test"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLISHED_SECONDS", "DELIVERED_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(send_alert, name, 0)


def send(right: RightAccount, monkeypatch: pytest.MonkeyPatch, summary: str, delivered: float) -> dict[str, str]:
    """Send an alert in an account whose history and metrics say this, and return what is found wanting."""
    account = right.account
    answers: dict[str, Any] = {
        "describe_alarm_history": {"AlarmHistoryItems": [{"HistorySummary": summary}]},
        "get_metric_statistics": {"Datapoints": [{"Sum": delivered}] if delivered else []},
    }
    for operation, answer in answers.items():
        monkeypatch.setattr(account.cloudwatch, operation, lambda _answer=answer, **_: _answer)
    checks = send_test_alert(Scope(catalog(), environment(), account), Notes())
    return {check.id: check.found for check in checks if check.status != "ok"}


def state(right: RightAccount) -> str:
    return right.cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"]


def test_an_alert_that_arrives_proves_the_way_and_leaves_the_alarm_as_it_was(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(right)
    assert send(right, monkeypatch, f"Successfully executed action {TOPIC}", 2) == {}
    assert state(right) == before


def test_one_that_cloudwatch_could_not_publish_is_found(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = f"Failed to execute action {TOPIC}. Received error: KMS access denied"
    assert send(right, monkeypatch, failed, 0) == {"alert.published": failed}


def test_one_that_nobody_got_is_found(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    found = send(right, monkeypatch, f"Successfully executed action {TOPIC}", 0)
    assert found == {"alert.delivered": "not delivered"}


def test_the_local_aws_proves_nothing_to_nobody_and_says_so(right: RightAccount) -> None:
    before = state(right)
    with pytest.raises(InputError, match="would prove nothing\n  subscribe one: aws sns subscribe"):
        send_test_alert(Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT)), Notes())
    assert state(right) == before


@pytest.mark.parametrize(
    ("endpoint", "arn", "listens"),
    [
        ("http://127.0.0.1:9/", f"{TOPIC}:1", True),
        ("http://127.0.0.1:9/", "PendingConfirmation", False),
        ("https://events.example.com/", f"{TOPIC}:1", False),
    ],
)
def test_only_who_has_confirmed_on_this_machine_is_somebody(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch, endpoint: str, arn: str, *, listens: bool
) -> None:
    subscription = {"Protocol": endpoint.partition(":")[0], "Endpoint": endpoint, "SubscriptionArn": arn}
    local = WithoutTasks(right.session, ACCOUNT)
    monkeypatch.setattr(
        local.sns, "get_paginator", lambda _: SimpleNamespace(paginate=lambda **_: [{"Subscriptions": [subscription]}])
    )
    scope = Scope(catalog(), environment(), local)
    if listens:
        assert send_test_alert(scope, Notes())[0].status == "ok"
    else:
        with pytest.raises(InputError):
            send_test_alert(scope, Notes())
