"""Bounds: over time and at a time, for each caller and for all."""

from __future__ import annotations

import pytest

from gateway import limits
from gateway.limits import Places, Rates
from gateway.problems import Problem


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quiet_caller_may_come_in_a_burst_and_then_evenly() -> None:
    clock = Clock()
    rates = Rates(10, 3, clock)
    for _ in range(3):
        rates.take("a")
    with pytest.raises(Problem) as caught:
        rates.take("a")
    assert caught.value.retry_after_seconds == pytest.approx(0.1)
    clock.now += 0.1001
    rates.take("a")
    with pytest.raises(Problem):
        rates.take("a")


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    rates = Rates(1, 1, clock)
    rates.take("a")
    for _ in range(100):
        with pytest.raises(Problem):
            rates.take("a")
    clock.now += 1.001
    rates.take("a")


def test_callers_do_not_share_a_bound() -> None:
    rates = Rates(1, 1, Clock())
    rates.take("a")
    rates.take("b")


def test_without_a_rate_there_is_no_bound() -> None:
    rates = Rates(0, 1, Clock())
    for _ in range(1000):
        rates.take("a")


def test_callers_are_remembered_in_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_CALLERS", 3)
    rates = Rates(1, 1, Clock())
    for caller in "abcd":
        rates.take(caller)
    rates.take("a")  # was quiet the longest, and is forgotten
    with pytest.raises(Problem):
        rates.take("d")


def test_a_caller_has_so_many_places_and_all_have_so_many() -> None:
    places = Places(3, 2, "requests")
    with places.hold("a"), places.hold("a"):
        with pytest.raises(Problem) as mine, places.hold("a"):
            pass
        with places.hold("b"), pytest.raises(Problem) as ours, places.hold("c"):
            pass
    assert (mine.value.status, ours.value.status) == (429, 503)
    assert places.taken == 0


def test_a_place_is_given_back_when_its_request_fails() -> None:
    places = Places(1, 1, "requests")
    with pytest.raises(ZeroDivisionError), places.hold("a"):
        raise ZeroDivisionError
    with places.hold("a"):
        assert places.taken == 1
