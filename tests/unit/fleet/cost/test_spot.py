"""Tasks on Spot: how many there are, and that their price is a range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cost import Usage
from fleet.cost.compute import providers
from fleet.cost.resources import Resource, UnreadableError
from tests.unit.fleet.cost.templates import Body, report, service, task

ON_DEMAND = {"CapacityProvider": "FARGATE", "Weight": 1}
SPOT = {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}


def split(count: int, *strategy: Body) -> tuple[int, int]:
    """Return how many tasks run on demand, and on Spot."""
    shares = providers(
        Resource("stack", "Service", "AWS::ECS::Service", service(count, *strategy)["Properties"]), count
    )
    return shares[False], shares[True]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ([ON_DEMAND], (4, 0)),
        ([SPOT], (0, 4)),
        ([ON_DEMAND, SPOT], (2, 2)),
        ([ON_DEMAND | {"Base": 1, "Weight": 0}, SPOT], (1, 3)),
        ([ON_DEMAND | {"Base": 9, "Weight": 0}, SPOT], (4, 0)),
        ([ON_DEMAND, SPOT | {"Weight": 2}], (2, 2)),  # 1.33 and 2.67: the dearer way has the one that does not divide
    ],
)
def test_tasks_are_shared_among_providers_by_base_and_then_by_weight(
    strategy: list[Body], expected: tuple[int, int]
) -> None:
    assert split(4, *strategy) == expected


@given(
    count=st.integers(0, 50),
    bases=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    weights=st.tuples(st.integers(0, 1000), st.integers(1, 1000)),
)
def test_every_task_is_bought_once(count: int, bases: tuple[int, int], weights: tuple[int, int]) -> None:
    one = ON_DEMAND | {"Base": bases[0], "Weight": weights[0]}
    other = SPOT | {"Base": bases[1], "Weight": weights[1]}

    shares = split(count, one, other)

    assert sum(shares) == count
    assert min(shares) >= 0


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ([{"CapacityProvider": "machines-of-ours", "Weight": 1}], "CapacityProvider is machines-of-ours"),
        ([ON_DEMAND | {"Base": 1, "Weight": 0}], "no weight for the tasks beyond its base"),
    ],
)
def test_tasks_that_are_bought_in_another_way_are_not_guessed_at(strategy: list[Body], told: str) -> None:
    with pytest.raises(UnreadableError, match=told):
        split(2, *strategy)


def test_spot_is_reckoned_at_60_percent_less_and_ranges_from_50_to_70() -> None:
    found = report({"Task": task(256, 512, "X86_64"), "Service": service(2, ON_DEMAND, SPOT)})

    spot, on_demand = sorted((line for line in found.lines if line.part == "services"), key=lambda line: line.usd)
    assert on_demand.usd == on_demand.least_usd == on_demand.most_usd == pytest.approx(9.010025)
    assert (spot.least_usd, spot.usd, spot.most_usd) == pytest.approx((2.7030075, 3.60401, 4.5050125))
    assert found.total_range_usd[1] - found.total_range_usd[0] == pytest.approx(0.2 * 9.010025)


@pytest.mark.parametrize(("assumed", "expected"), [(20.0, (20.0, 70.0)), (80.0, (50.0, 80.0)), (55.0, (50.0, 70.0))])
def test_the_range_holds_what_is_assumed(assumed: float, expected: tuple[float, float]) -> None:
    usage = Usage(spot_discount_percent=assumed)
    assert report({"Task": task(), "Service": service(1, SPOT)}, usage=usage).spot_percent == expected
