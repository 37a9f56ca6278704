from __future__ import annotations

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


def test_the_local_aws_proves_nothing_and_says_so(right: RightAccount) -> None:
    before = state(right)
    with pytest.raises(InputError, match="would prove nothing"):
        send_test_alert(Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT)), Notes())
    assert state(right) == before
