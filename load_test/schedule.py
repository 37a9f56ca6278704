"""When which request is due. The schedule is made of the plan alone: no answer, late or early, moves it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from load_test.plan import Stage


def due_times(stage: Stage, worker: int = 0, workers: int = 1) -> Iterator[tuple[int, float]]:
    """Yield number and due time, in seconds since the stage began, of each request that one of several workers sends.

    All workers together send at exactly the stage's rate: each takes every so-manieth request.
    """
    slope = (stage.end - stage.begin) / stage.seconds
    for number in range(worker, requests_in(stage), workers):
        yield number, _time_of(number, stage.begin, slope)


def requests_in(stage: Stage) -> int:
    """Return how many requests are due in a stage of a rate."""
    # What rounding leaves of a whole number must not cost the last request.
    return math.floor((stage.begin + stage.end) / 2 * stage.seconds + 1e-6)


def callers_at(stage: Stage, seconds: float, worker: int = 0, workers: int = 1) -> int:
    """Return how many callers of one of several workers there are at a time of a stage."""
    share = min(1.0, seconds / stage.seconds)
    callers = math.ceil(stage.begin + (stage.end - stage.begin) * share - 1e-9)
    return len(range(worker, callers, workers))


def _time_of(number: int, begin: float, slope: float) -> float:
    """Solve begin·t + slope·t²/2 = number for t."""
    if abs(slope) < 1e-12:  # noqa: PLR2004  # a rate that does not change
        return number / begin
    root = math.sqrt(max(0.0, begin * begin + 2 * slope * number))
    # In this form nothing cancels out where the slope is small.
    return 2 * number / (begin + root) if number else 0.0
