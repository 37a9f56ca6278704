"""Whether an alarm is in ALARM, as CloudWatch decides it.

More periods are looked at than the alarm has evaluation periods: two more. Real datapoints among them come first; what they are too
few for is filled in as the alarm treats missing data. An alarm that treats it as `missing` or `ignore` goes into ALARM for too few
datapoints only when they all breach, and the oldest of them is as old as the datapoints that an alarm takes ("premature alarm state").
See https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from local_aws.watch.samples import Sample

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["breaching", "notBreaching", "missing", "ignore"]
MINUTE_SECONDS = 60.0
_LOOKED_BACK = 2  # periods more than the evaluation periods

_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
_STATISTICS: dict[str, Callable[[Sequence[Sample]], float]] = {
    "SampleCount": lambda samples: math.fsum(sample.number for sample in samples),
    "Sum": lambda samples: math.fsum(sample.total for sample in samples),
    "Average": lambda samples: (
        math.fsum(sample.total for sample in samples) / math.fsum(sample.number for sample in samples)
    ),
    "Minimum": lambda samples: min(sample.least for sample in samples),
    "Maximum": lambda samples: max(sample.most for sample in samples),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """When an alarm is in ALARM.

    Args:
        datapoints_to_alarm: nothing where the alarm does not say, which then are all of the evaluation periods.
        unit: samples of another one do not count; nothing where any will do.
    """

    statistic: str
    comparison: str
    threshold: float
    period_seconds: int
    evaluation_periods: int
    datapoints_to_alarm: int | None = None
    missing: Missing = "missing"
    unit: str | None = None

    @property
    def needed(self) -> int:
        """How many datapoints must breach."""
        return self.datapoints_to_alarm or self.evaluation_periods

    @property
    def looked_at(self) -> int:
        """How many periods are looked at."""
        return self.evaluation_periods + _LOOKED_BACK

    def breaches(self, value: float) -> bool:
        """Tell whether a value is beyond the threshold."""
        return _COMPARISONS[self.comparison][0](value, self.threshold)


def is_judged(statistic: str | None, comparison: str | None) -> bool:
    """Tell whether alarms of this kind can be judged here; percentiles, metric math and anomalies cannot."""
    return statistic in _STATISTICS and comparison in _COMPARISONS


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The statistic of one period; without a value where nothing came."""

    start: float
    value: float | None
    samples: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an alarm's state is to be, in CloudWatch's words."""

    state: State
    reason: str
    data: str


def end_of_last_period(rule: Rule, now: float, minute_seconds: float) -> float:
    """Return the end of the last period that is over: periods slide by the minute, whatever their length."""
    step = min(minute_seconds, scaled(rule.period_seconds, minute_seconds))
    return math.floor(now / step) * step


def scaled(seconds: float, minute_seconds: float) -> float:
    """Return how long something takes where a minute takes so many seconds."""
    return seconds * minute_seconds / MINUTE_SECONDS


def window(rule: Rule, now: float, minute_seconds: float) -> tuple[float, float]:
    """Return the time that is looked at: from when on, and until when."""
    end = end_of_last_period(rule, now, minute_seconds)
    return end - rule.looked_at * scaled(rule.period_seconds, minute_seconds), end


def datapoints(rule: Rule, samples: Sequence[Sample], now: float, minute_seconds: float) -> list[Datapoint]:
    """Return the statistic of each period that is looked at, the oldest first."""
    start, _ = window(rule, now, minute_seconds)
    period = scaled(rule.period_seconds, minute_seconds)
    buckets: list[list[Sample]] = [[] for _ in range(rule.looked_at)]
    for sample in samples:
        index = math.floor((sample.at - start) / period)
        if 0 <= index < len(buckets) and sample.number and (rule.unit is None or sample.unit == rule.unit):
            buckets[index].append(sample)
    statistic = _STATISTICS[rule.statistic]
    return [
        Datapoint(
            start + index * period, statistic(bucket) if bucket else None, math.fsum(each.number for each in bucket)
        )
        for index, bucket in enumerate(buckets)
    ]


def evaluate(
    rule: Rule,
    samples: Sequence[Sample],
    now: float,
    minute_seconds: float = MINUTE_SECONDS,
    measured_since: float = -math.inf,
) -> Verdict | None:
    """Judge an alarm.

    Args:
        rule: the alarm.
        samples: of its metric; those of other times do not matter.
        now: seconds since 1970.
        minute_seconds: how long a minute takes.
        measured_since: from when on a missing datapoint is one: before, there was nobody to send it.

    Returns:
        Its state, or nothing where it keeps the one that it has.
    """
    points = datapoints(rule, samples, now, minute_seconds)
    state = decide(rule, points)
    if rule.missing == "breaching" and state == "ALARM":
        known = [point for point in points if point.value is not None or point.start >= measured_since]
        if len(known) < rule.evaluation_periods and decide(rule, points, "notBreaching") != "ALARM":
            return None
    if state is None:
        return None
    return Verdict(state, *_words(rule, points, state, now))


def decide(rule: Rule, points: Sequence[Datapoint], missing: Missing | None = None) -> State | None:
    """Return the state for these datapoints, the oldest first; nothing says that the alarm keeps its own."""
    missing = missing or rule.missing
    real = [point for point in points if point.value is not None]
    used = real[-rule.evaluation_periods :]
    breaching = sum(_breaches(rule, point) for point in used)
    filled = rule.evaluation_periods - len(used)
    if breaching >= rule.needed:
        return "ALARM"
    if not filled or missing == "notBreaching" or (missing != "breaching" and breaching < len(used)):
        return "OK"
    if missing == "breaching":
        return "ALARM" if breaching + filled >= rule.needed else "OK"
    # Only breaching datapoints, and fewer than needed, or none at all.
    if missing == "missing":
        age = len(points) - points.index(used[0]) if used else 0
        return "ALARM" if used and age >= rule.needed else "INSUFFICIENT_DATA"
    return None


def _breaches(rule: Rule, point: Datapoint) -> bool:
    return point.value is not None and rule.breaches(point.value)


def _words(rule: Rule, points: Sequence[Datapoint], state: State, now: float) -> tuple[str, str]:
    """Return the reason for a state, as a sentence and as data."""
    used = [point for point in points if point.value is not None][-rule.evaluation_periods :]
    newest_first = used[::-1]
    data: dict[str, Any] = {"version": "1.0", "queryDate": timestamp(now)}
    if used:
        data["startDate"] = timestamp(used[0].start)
    if rule.unit:
        data["unit"] = rule.unit
    evaluated = newest_first or points[: -rule.evaluation_periods - 1 : -1]
    data |= {
        "statistic": rule.statistic,
        "period": rule.period_seconds,
        "recentDatapoints": [point.value for point in used],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": timestamp(point.start)}
            | ({} if point.value is None else {"sampleCount": point.samples, "value": point.value})
            for point in evaluated
        ],
    }
    return _sentence(rule, newest_first, state), json.dumps(data, separators=(",", ":"))


def _sentence(rule: Rule, used: Sequence[Datapoint], state: State) -> str:
    periods = rule.evaluation_periods
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_number(periods, 'datapoint')} unknown."
    filled = periods - len(used)
    if filled and rule.missing in {"breaching", "notBreaching"}:
        received = _number(len(used), "datapoint") if used else "no datapoints were"
        treated = "Breaching" if rule.missing == "breaching" else "NonBreaching"
        return (
            f"Threshold Crossed: {received} received for {periods} period{'s' * (periods != 1)} and "
            f"{_number(filled, 'missing datapoint')} treated as [{treated}]."
        )
    told = [point for point in used if _breaches(rule, point) is (state == "ALARM")]
    listed = ", ".join(
        f"{point.value} ({datetime.fromtimestamp(point.start, UTC):%d/%m/%y %H:%M:%S})" for point in told
    )
    comparison = (
        f"{'' if state == 'ALARM' else 'not '}{_COMPARISONS[rule.comparison][1]} the threshold ({rule.threshold})"
    )
    if rule.datapoints_to_alarm is None:
        plural = len(told) != 1
        return f"Threshold Crossed: {len(told)} datapoint{'s' * plural} [{listed}] {'were' if plural else 'was'} {comparison}."
    enough = rule.needed if state == "ALARM" else periods - rule.needed + 1
    way = "OK -> ALARM" if state == "ALARM" else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(told)} out of the last {periods} datapoints [{listed}] "
        f"{'were' if len(told) != 1 else 'was'} {comparison} "
        f"(minimum {enough} datapoint{'s' * (enough != 1)} for {way} transition)."
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s were' if count != 1 else ' was'}"


def timestamp(seconds: float) -> str:
    """Return a time as CloudWatch's messages and records have it."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}+0000"
