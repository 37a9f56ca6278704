"""Histograms: how exact they are, and that many are one."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_test.histogram import COARSE_DIGITS, PRECISE_DIGITS, Histogram

VALUES = st.lists(st.integers(0, 10**11), min_size=1, max_size=200)
PERCENTS = [0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100]


def of(values: list[int], digits: int = PRECISE_DIGITS) -> Histogram:
    made = Histogram(digits)
    for value in values:
        made.record(value)
    return made


@given(VALUES, st.sampled_from([COARSE_DIGITS, PRECISE_DIGITS]))
def test_every_percentile_is_the_exact_one_to_so_many_digits(values: list[int], digits: int) -> None:
    ordered = sorted(values)

    found = of(values, digits).percentiles(PERCENTS)

    for percent, value in zip(PERCENTS, found, strict=True):
        exact = ordered[max(1, math.ceil(percent / 100 * len(values) - 1e-9)) - 1]
        assert exact <= value <= exact * (1 + 10**-digits)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_histograms_of_many_workers_are_the_one_that_one_would_have(parts: list[list[int]]) -> None:
    whole = Histogram()
    for part in parts:
        whole.add(of(part))

    assert whole == of([value for part in parts for value in part])


@given(VALUES)
def test_what_is_written_as_json_is_read_as_it_was(values: list[int]) -> None:
    made = of(values)

    again = Histogram.from_plain(json.loads(json.dumps(made.to_plain())))

    assert again == made
    assert again.number == len(values)


def test_mean_and_ends_are_exact() -> None:
    made = of([1_000_003, 5, 70_001])

    assert (made.lowest, made.highest, made.mean) == (5, 1_000_003, 1_070_009 / 3)


def test_adding_an_empty_histogram_changes_nothing() -> None:
    made = of([7])

    made.add(Histogram())

    assert made == of([7])


def test_an_empty_histogram_has_nothing_to_tell() -> None:
    assert (Histogram().percentile(99), Histogram().mean) == (0, 0.0)


def test_histograms_of_other_digits_are_not_added() -> None:
    with pytest.raises(ValueError, match="2 digits cannot be added to one of 3"):
        Histogram().add(Histogram(COARSE_DIGITS))


def test_a_day_of_values_takes_little_room() -> None:
    made = of([round(1.001**exponent) for exponent in range(25_000)])

    assert len(made.counts) < 25_000
    assert made.percentile(100) == round(1.001**24_999)
