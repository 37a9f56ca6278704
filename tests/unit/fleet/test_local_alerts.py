"""What alarms told is listed, and followed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from typer.testing import CliRunner, Result

from fleet.account import Account
from fleet.cli.app import app
from fleet.local.alerts import alerts, read
from tests.unit.fleet.right_account import TOPIC, RightAccount

CPU = "state-manager-nats-cpu-high-test"
MEMORY = "state-manager-nats-memory-high-test"


def put(right: RightAccount, alarm: str, state: Literal["ALARM", "OK"], reason: str = "tried") -> None:
    right.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason=reason)


def run(monkeypatch: pytest.MonkeyPatch, account: Account, *arguments: str) -> Result:
    monkeypatch.setattr("fleet.account.open_account", lambda _environment: account)
    return CliRunner().invoke(app, ["local", "alerts", *arguments], prog_name="fleet")


def test_each_message_is_listed_the_oldest_first(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    put(right, CPU, "ALARM", "hot")
    put(right, MEMORY, "ALARM")
    put(right, CPU, "OK", "cold")
    done = run(monkeypatch, right.account, "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(one["alarm"], one["state"], one["reason"]) for one in found] == [
        (CPU, "ALARM", "hot"),
        (MEMORY, "ALARM", "tried"),
        (CPU, "OK", "cold"),
    ]
    assert {(one["topic"], one["published"], one["error"]) for one in found} == {(TOPIC.split(":")[-1], True, None)}


def test_only_the_last_are_listed(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    put(right, CPU, "ALARM")
    put(right, CPU, "OK")
    put(right, CPU, "ALARM", "now ALARM")
    done = run(monkeypatch, right.account, "-n", "1")
    [line] = done.stdout.splitlines()
    assert line.endswith(f"ALARM              {CPU}  now ALARM")
    assert run(monkeypatch, right.account, "-n", "0").stdout == ""


def test_what_could_not_be_published_is_told(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    right.account.sns.delete_topic(TopicArn=TOPIC)
    put(right, CPU, "ALARM")
    assert "not published to gaming-system-alerts-test: Topic does not exist" in run(monkeypatch, right.account).stdout


def test_following_goes_on_with_what_comes_and_tells_nothing_twice(right: RightAccount) -> None:
    put(right, CPU, "ALARM")
    coming: Iterator[tuple[str, Literal["ALARM", "OK"]] | None] = iter([(CPU, "OK"), None, (MEMORY, "ALARM")])

    def sleep(_seconds: float) -> None:
        if change := next(coming):
            put(right, *change)

    follow = alerts(right.account.cloudwatch, last=20, follow=True, sleep=sleep)
    found = [(alert.alarm, alert.state) for alert in itertools.islice(follow, 3)]
    assert found == [(CPU, "ALARM"), (CPU, "OK"), (MEMORY, "ALARM")]


def test_what_is_followed_is_json_a_line_until_somebody_stops_it(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(alerts, "__kwdefaults__", {"sleep": stop})
    put(right, CPU, "ALARM")
    done = run(monkeypatch, right.account, "--format", "json", "-f")
    assert (done.exit_code, json.loads(done.stdout)["alarm"]) == (0, CPU)


def test_a_record_has_what_is_known(right: RightAccount) -> None:
    put(right, CPU, "ALARM")
    [alert] = read(right.account.cloudwatch)
    found: dict[str, Any] = replace(alert, error="denied").as_record()
    assert (found["published"], found["error"]) == (False, "denied")
    assert found["at"].endswith("+00:00")


def test_without_a_local_aws_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.local.server.LocalAws.running", lambda _self: None)
    done = CliRunner().invoke(app, ["local", "alerts"], prog_name="fleet")
    assert done.exit_code == 2
    assert "fleet local start" in done.stderr
