"""Alarms are judged as CloudWatch's guide says, row by row, and as a second, naive reading of it says for everything else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.watch.evaluation import Datapoint, Missing, Rule, decide, evaluate, is_judged, window
from local_aws.watch.samples import Sample

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
TREATMENTS: tuple[Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")
OK, ALARM, UNKNOWN, RETAIN = "OK", "ALARM", "INSUFFICIENT_DATA", None

# Amazon CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data": the newest on the right.
THREE_OF_THREE = [
    ("0-X-X", OK, OK, OK, OK),
    ("----0", OK, OK, OK, OK),
    ("-----", UNKNOWN, RETAIN, ALARM, OK),
    ("0XX-X", ALARM, ALARM, ALARM, ALARM),
    ("--X--", ALARM, RETAIN, ALARM, OK),
    # Told in the text below the tables: the next one may be good.
    ("----X", UNKNOWN, RETAIN, ALARM, OK),
    ("---X-", UNKNOWN, RETAIN, ALARM, OK),
]
TWO_OF_THREE = [
    ("0-X-X", ALARM, ALARM, ALARM, ALARM),
    ("00X0X", ALARM, ALARM, ALARM, ALARM),
    ("0-X--", OK, OK, ALARM, OK),
    ("----0", OK, OK, ALARM, OK),
    ("---X-", ALARM, RETAIN, ALARM, OK),
]


def rule(needed: int | None = 3, periods: int = 3, **changes: Any) -> Rule:
    return replace(Rule("Average", "GreaterThanThreshold", 5.0, 60, periods, needed), **changes)


def points(pattern: str) -> list[Datapoint]:
    values = {"0": 0.0, "X": 10.0, "-": None}
    return [Datapoint(NOON + 60 * index, values[one], 1.0) for index, one in enumerate(pattern)]


def samples(pattern: str, end: float = NOON, minute: float = 60.0) -> list[Sample]:
    """Return a sample in the middle of each minute, of which the last one ends then."""
    start = end - len(pattern) * minute
    return [
        Sample.value(start + (index + 0.5) * minute, 10.0 if one == "X" else 0.0)
        for index, one in enumerate(pattern)
        if one != "-"
    ]


@pytest.mark.parametrize("needed_and_row", [*((3, row) for row in THREE_OF_THREE), *((2, row) for row in TWO_OF_THREE)])
def test_every_row_of_the_guides_tables(needed_and_row: tuple[int, tuple[Any, ...]]) -> None:
    needed, (pattern, *expected) = needed_and_row
    found = [decide(rule(needed, missing=treatment), points(pattern)) for treatment in TREATMENTS]
    assert found == expected


def naive(pattern: str, needed: int, periods: int, treatment: Missing) -> str | None:
    """The guide once more, over text: drop what is missing, fill up to the number of periods, and count."""
    real = pattern.replace("-", "")[-periods:]
    fill = {"breaching": "X", "notBreaching": "0"}.get(treatment, "?")
    full = real + fill * (periods - len(real))
    if full.count("X") >= needed:
        return ALARM
    if "0" in full:
        return OK
    # Nothing but breaching datapoints that are too few, and unknown ones.
    if treatment == "ignore":
        return RETAIN
    return ALARM if re.search(f"X.{{{needed - 1},}}$", pattern) else UNKNOWN


@given(st.data())
def test_what_the_naive_reading_says(data: st.DataObject) -> None:
    periods = data.draw(st.integers(1, 6))
    needed = data.draw(st.integers(1, periods))
    pattern = data.draw(st.text("0X-", min_size=periods + 2, max_size=periods + 2))
    treatment = data.draw(st.sampled_from(TREATMENTS))
    found = decide(rule(needed, periods, missing=treatment), points(pattern))
    assert found == naive(pattern, needed, periods, treatment)


@given(st.text("0X-", min_size=5, max_size=5), st.sampled_from([1.0, 5.0, 60.0]), st.sampled_from(TREATMENTS))
def test_a_verdict_is_what_the_datapoints_say_however_long_a_minute_takes(
    pattern: str, minute: float, treatment: Missing
) -> None:
    alarm = rule(2, missing=treatment)
    verdict = evaluate(alarm, samples(pattern, minute=minute), NOON + 0.1 * minute, minute)
    assert (verdict.state if verdict else None) == decide(alarm, points(pattern))


def test_a_minute_that_is_not_over_does_not_count() -> None:
    alarm = rule(1, 1)
    running = [Sample.value(NOON - 30, 0.0), Sample.value(NOON + 1, 10.0)]
    assert state(alarm, running, NOON + 59) == OK
    assert state(alarm, running, NOON + 60) == ALARM


def test_a_value_is_of_the_period_that_it_begins_and_not_of_the_one_that_it_ends() -> None:
    alarm = rule(1, 1, missing="notBreaching")
    assert state(alarm, [Sample.value(NOON, 10.0)], NOON) == OK
    assert state(alarm, [Sample.value(NOON, 10.0)], NOON + 60) == ALARM


def test_a_longer_period_slides_by_the_minute() -> None:
    alarm = rule(1, 1, period_seconds=300, statistic="Sum", missing="notBreaching")
    seen = [Sample.value(NOON + 120, 4.0), Sample.value(NOON + 360, 4.0)]
    assert state(alarm, seen, NOON + 360) == OK
    assert state(alarm, seen, NOON + 420) == ALARM, "both are in the five minutes that begin at two minutes past"
    assert window(alarm, NOON + 425, 60.0) == (NOON + 420 - 900, NOON + 420)


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Average", 2.0), ("Sum", 8.0), ("Minimum", 1.0), ("Maximum", 4.0), ("SampleCount", 4.0)],
)
def test_the_statistics_of_values_and_sets_of_them(statistic: str, value: float) -> None:
    seen = [Sample.value(NOON - 30, 4.0), Sample(NOON - 20, 3.0, 4.0, 1.0, 2.0)]
    verdict = evaluate(rule(1, 1, statistic=statistic), seen, NOON)
    assert verdict
    assert json.loads(verdict.data)["recentDatapoints"] == [value]


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", OK, OK, ALARM),
        ("GreaterThanOrEqualToThreshold", OK, ALARM, ALARM),
        ("LessThanThreshold", ALARM, OK, OK),
        ("LessThanOrEqualToThreshold", ALARM, ALARM, OK),
    ],
)
def test_the_comparisons(comparison: str, below: str, equal: str, above: str) -> None:
    alarm = rule(1, 1, comparison=comparison)
    found = [state(alarm, [Sample.value(NOON - 1, value)], NOON) for value in (4.0, 5.0, 6.0)]
    assert found == [below, equal, above]


def test_samples_of_another_unit_do_not_count() -> None:
    seen = [Sample.value(NOON - 1, 10.0, "Seconds")]
    assert state(rule(1, 1, unit="Percent"), seen, NOON) == UNKNOWN
    assert state(rule(1, 1, unit="Seconds"), seen, NOON) == ALARM
    assert state(rule(1, 1), seen, NOON) == ALARM


def test_silence_before_anybody_measured_is_no_reason_to_wake_somebody() -> None:
    alarm = rule(3, missing="breaching")
    began = NOON - 120
    assert evaluate(alarm, [], NOON, measured_since=began) is None, "two minutes of silence are not three"
    assert state(alarm, [], NOON + 60, measured_since=began) == ALARM
    assert state(alarm, samples("0"), NOON, measured_since=began) == OK, "one good minute of three is enough to be sure"
    assert state(alarm, samples("XXX"), NOON, measured_since=NOON) == ALARM, "what came is known"


@pytest.mark.parametrize(
    ("pattern", "changes", "reason"),
    [
        (
            "0XX",
            {"needed": 2},
            (
                "Threshold Crossed: 2 out of the last 3 datapoints [10.0 (26/11/26 11:59:00), 10.0 (26/11/26 11:58:00)] "
                "were greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
            ),
        ),
        (
            "X0X",
            {"needed": 3},
            (
                "Threshold Crossed: 1 out of the last 3 datapoints [0.0 (26/11/26 11:58:00)] "
                "was not greater than the threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition)."
            ),
        ),
        (
            "X",
            {"needed": None, "periods": 1},
            "Threshold Crossed: 1 datapoint [10.0 (26/11/26 11:59:00)] was greater than the threshold (5.0).",
        ),
        (
            "",
            {"missing": "breaching"},
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching].",
        ),
        (
            "",
            {"needed": 1, "periods": 1, "missing": "notBreaching"},
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
        ),
        (
            "X",
            {"missing": "breaching"},
            "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as [Breaching].",
        ),
        ("", {"needed": 1, "periods": 1}, "Insufficient Data: 1 datapoint was unknown."),
        ("", {}, "Insufficient Data: 3 datapoints were unknown."),
    ],
)
def test_the_reason_is_told_in_cloudwatchs_words(pattern: str, changes: dict[str, Any], reason: str) -> None:
    verdict = evaluate(rule(**changes), samples(pattern), NOON)
    assert verdict
    assert verdict.reason == reason


def test_the_reasons_data_is_cloudwatchs() -> None:
    verdict = evaluate(rule(2), samples("0-X"), NOON + 3.25)
    assert verdict
    assert json.loads(verdict.data) == {
        "version": "1.0",
        "queryDate": "2026-11-26T12:00:03.250+0000",
        "startDate": "2026-11-26T11:57:00.000+0000",
        "statistic": "Average",
        "period": 60,
        "recentDatapoints": [0.0, 10.0],
        "threshold": 5.0,
        "evaluatedDatapoints": [
            {"timestamp": "2026-11-26T11:59:00.000+0000", "sampleCount": 1.0, "value": 10.0},
            {"timestamp": "2026-11-26T11:57:00.000+0000", "sampleCount": 1.0, "value": 0.0},
        ],
    }


def test_what_was_looked_for_in_vain_is_told_too() -> None:
    verdict = evaluate(rule(2), [], NOON)
    assert verdict
    told = json.loads(verdict.data)
    assert "startDate" not in told
    assert [point["timestamp"][11:16] for point in told["evaluatedDatapoints"]] == ["11:59", "11:58", "11:57"]


def test_what_cannot_be_judged_is_known() -> None:
    assert is_judged("Sum", "LessThanThreshold")
    assert not is_judged(None, "LessThanThreshold"), "a percentile"
    assert not is_judged("Sum", "GreaterThanUpperThreshold"), "an anomaly"


def state(alarm: Rule, seen: list[Sample], now: float, measured_since: float = 0.0) -> str:
    verdict = evaluate(alarm, seen, now, measured_since=measured_since)
    assert verdict
    return verdict.state
