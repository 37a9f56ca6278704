"""How measurements are judged: every objective of an environment can turn the verdict."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.environment import Objectives, ServiceObjectives
from fleet.load_test.report import page
from fleet.load_test.result import Result, judged
from load_test.measurements import NOT_SENT, TIMEOUT, Measurements
from load_test.plan import Plan, Stage, Target

QUICK, SLOW = "quest-system-nats", "ai-router-nats"
PLAN = Plan(
    run="20260102T030405Z-abcdef",
    environment="test",
    catalog_digest="d" * 64,
    seed=1,
    workers=2,
    stages=(Stage("rate", 0, 100, 5, measured=False), Stage("rate", 100, 100, 10)),
    targets=tuple(
        Target(service, subject, "", "", 2.0, 1.0, ({},))
        for service, subject in ((QUICK, "quest.get"), (QUICK, "quest.list"), (SLOW, "ai.inference.plan"))
    ),
    max_in_flight=10,
)
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENOUGH: dict[str, Any] = {
    "max_p50_milliseconds": 50.0,
    "max_p99_milliseconds": 200.0,
    "max_error_percent": 1.0,
    "min_rate": 90.0,
}


def measurements() -> Measurements:
    """Return 999 of 1000 requests answered: quests in 10 ms, plans in 100 ms and now and then in 150."""
    made = Measurements(1.0)
    for subject, number, milliseconds in (
        ("quest.get", 400, 10),
        ("quest.list", 300, 10),
        ("ai.inference.plan", 299, 100),
    ):
        record = made.subject(subject)
        record.due = record.answered = number
        for each in range(number):
            record.latency.record(milliseconds * 1000 if each % 50 else milliseconds * 1500)
    failed = made.subject("ai.inference.plan")
    failed.due += 1
    failed.errors[TIMEOUT] += 1
    failed.latency.record(2_000_000)
    made.sample(TIMEOUT, "ai.inference.plan: no answer within 2 s <&>")
    for second in range(15):
        interval = made.interval(second)
        interval.due = interval.answered = 66
        interval.latency.record(10_000)
    made.lag.record(100)
    return made


def verdict(measured: Measurements | None = None, **changes: Any) -> Result:
    return judged(
        PLAN, measured or measurements(), Objectives(**ENOUGH | changes), BEGAN, BEGAN + timedelta(seconds=16)
    )


def missed(result: Result) -> list[tuple[str, str | None]]:
    return [(judgement.objective, judgement.service) for judgement in result.judgements if not judgement.good]


SLOW_MAY = {SLOW: ServiceObjectives(max_p50_milliseconds=120.0, max_p99_milliseconds=160.0)}


def test_all_objectives_met_is_a_pass() -> None:
    result = verdict(services=SLOW_MAY)

    assert (result.verdict, missed(result)) == ("passed", [])
    assert len(result.judgements) == 4 + 3 * 2


@pytest.mark.parametrize(
    ("changes", "wanting"),
    [
        ({"max_p50_milliseconds": 9.0}, [("p50", None), ("p50", QUICK)]),
        ({"max_p99_milliseconds": 14.0}, [("p99", None), ("p99", QUICK)]),
        ({"max_error_percent": 0.05}, [("errors", None), ("errors", SLOW)]),
        ({"min_rate": 100.0}, [("rate", None)]),
        ({"services": {}}, [("p50", SLOW)]),
        ({"services": {SLOW: ServiceObjectives(max_p50_milliseconds=90.0)}}, [("p50", SLOW)]),
        ({"services": {SLOW: SLOW_MAY[SLOW].model_copy(update={"max_p99_milliseconds": 140.0})}}, [("p99", SLOW)]),
        ({"services": {SLOW: SLOW_MAY[SLOW].model_copy(update={"max_error_percent": 0.1})}}, [("errors", SLOW)]),
    ],
)
def test_every_objective_can_turn_the_verdict(changes: dict[str, Any], wanting: list[tuple[str, str | None]]) -> None:
    result = verdict(**{"services": SLOW_MAY} | changes)

    assert (result.verdict, missed(result)) == ("failed", wanting)


def test_a_service_with_objectives_of_its_own_has_the_rest_from_all() -> None:
    result = verdict(max_error_percent=0.2, services=SLOW_MAY)

    assert ("errors", SLOW) in missed(result)


def test_requests_that_were_not_sent_count_as_errors() -> None:
    measured = measurements()
    measured.subject("quest.get").due += 100
    measured.subject("quest.get").errors[NOT_SENT] += 100

    assert ("errors", QUICK) in missed(verdict(measured, services=SLOW_MAY))


def test_a_test_that_was_ended_early_fails_whatever_it_found() -> None:
    measured = measurements()
    measured.was_stopped = True

    assert verdict(measured, services=SLOW_MAY).verdict == "failed"


@pytest.mark.parametrize("spoil", ["lag", "processor"])
def test_a_worker_that_could_not_keep_up_spoils_a_failure_and_no_pass(spoil: str) -> None:
    measured = measurements()
    if spoil == "lag":
        for _ in range(100):
            measured.lag.record(50_000)
    else:
        measured.busiest = 0.99

    assert verdict(measured, services=SLOW_MAY).verdict == "passed"
    result = verdict(measured, services={})
    assert result.verdict == "spoiled"
    assert len(result.spoiled_by) == 1


def test_the_result_says_all_in_plain_numbers() -> None:
    plain = verdict(services=SLOW_MAY).to_plain()

    assert (plain["schema"], plain["verdict"], plain["run"]) == (1, "passed", PLAN.run)
    assert plain["started_at"] == "2026-01-02T03:04:05+00:00"
    summary = plain["summary"]
    assert (summary["due"], summary["answered"], summary["failed"], summary["rate"]) == (1000, 999, 1, 99.9)
    assert (summary["error_percent"], summary["errors"]) == (0.1, {TIMEOUT: 1})
    assert summary["p50_milliseconds"] == pytest.approx(10, rel=1e-3)
    assert plain["services"][SLOW]["p50_milliseconds"] == pytest.approx(100, rel=1e-3)
    assert list(plain["services"][QUICK]["subjects"]) == ["quest.get", "quest.list"]
    assert Result.from_plain(plain).to_plain() == plain


def test_the_page_needs_nothing_beside_it_and_shows_what_was_found() -> None:
    shown = page(verdict(services={}))

    assert re.findall(r"(?:src|href|url)\b\s*[=(]|<script|<link|https?://", shown) == []
    assert shown.count("<svg") == 4
    for told in (PLAN.run, "failed", QUICK, "ai.inference.plan", TIMEOUT, "no answer within 2 s &lt;&amp;&gt;"):
        assert told in shown
    assert "prefers-color-scheme: dark" in shown


def test_a_page_of_a_test_in_which_nothing_was_answered_is_a_page_too() -> None:
    measured = Measurements(1.0)
    record = measured.subject("quest.get")
    record.due = 1
    record.errors[NOT_SENT] += 1

    assert "missed" in page(verdict(measured))
