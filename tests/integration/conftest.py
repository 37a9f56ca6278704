"""What the tests with real servers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nats_machines import issued


@pytest.fixture(scope="session")
def fleet_bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of the whole catalog, issued once, as the bucket holds them."""
    return issued(tmp_path_factory.mktemp("certificates"))
