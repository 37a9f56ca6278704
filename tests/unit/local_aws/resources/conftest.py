"""One moto with our repairs for all tests of the types; each test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from local_aws.resources import moto_repairs
from tests.unit.local_aws.resources.world import World


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    moto_repairs.apply()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def moto_clients() -> Iterator[dict[str, Any]]:
    clients: dict[str, Any] = {}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def world(moto_endpoint: str, moto_clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> World:
    # moto reads both when it makes a back end, which it does again for every test; each would take seconds.
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    return World(moto_endpoint, moto_clients)
