"""When requests are due."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_test.plan import Stage
from load_test.schedule import callers_at, due_times, requests_in

RATES = st.floats(0, 500)
STAGES = st.builds(Stage, st.just("rate"), RATES, RATES, st.floats(0.1, 20), st.just(value=True))


def times(stage: Stage, worker: int = 0, workers: int = 1) -> list[float]:
    return [seconds for _, seconds in due_times(stage, worker, workers)]


def test_a_constant_rate_is_evenly_spaced() -> None:
    found = times(Stage("rate", 50, 50, 2))

    assert len(found) == 100
    assert found[0] == 0
    assert {round(after - before, 9) for before, after in itertools.pairwise(found)} == {0.02}


def test_a_ramp_from_nothing_sends_a_quarter_in_its_first_half() -> None:
    found = times(Stage("rate", 0, 100, 10))

    assert len(found) == 500
    assert sum(1 for seconds in found if seconds < 5) == 125


def test_a_ramp_down_sends_three_quarters_in_its_first_half() -> None:
    found = times(Stage("rate", 100, 0, 10))

    assert sum(1 for seconds in found if seconds < 5) == 375


@given(STAGES)
def test_all_is_due_in_order_and_within_the_stage(stage: Stage) -> None:
    found = times(stage)

    assert found == sorted(found)
    assert len(found) == requests_in(stage)
    assert all(0 <= seconds <= stage.seconds for seconds in found)


@given(STAGES, st.integers(1, 7))
def test_workers_together_send_what_one_would(stage: Stage, workers: int) -> None:
    together = sorted(each for worker in range(workers) for each in due_times(stage, worker, workers))

    assert together == list(due_times(stage))


@pytest.mark.parametrize(("seconds", "callers"), [(0, 0), (2.5, 5), (5, 10), (9, 10)])
def test_callers_come_evenly(seconds: float, callers: int) -> None:
    assert callers_at(Stage("callers", 0, 10, 5), seconds) == callers


def test_workers_share_the_callers() -> None:
    stage = Stage("callers", 10, 10, 5)

    assert [callers_at(stage, 0, worker, 3) for worker in range(3)] == [4, 3, 3]
