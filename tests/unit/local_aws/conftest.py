"""What the tests of the local AWS stand on."""

from __future__ import annotations

import pytest

from tests.unit.local_aws.fakes import Engine


@pytest.fixture
def engine() -> Engine:
    return Engine()
