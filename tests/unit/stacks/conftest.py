"""The fleets that the tests of the stacks look at."""

from __future__ import annotations

import pytest

from catalog.load import environment_names
from tests.synthesis import Fleet, small_fleet, whole_fleet


@pytest.fixture(params=environment_names())
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """The product's catalog, in each environment in turn."""
    return whole_fleet(request.param)


@pytest.fixture
def prod() -> Fleet:
    """The product's catalog in production."""
    return whole_fleet("prod")


@pytest.fixture
def small() -> Fleet:
    """The catalog of every feature in production."""
    return small_fleet("prod")
