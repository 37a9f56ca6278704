"""What a program is told of places."""

from __future__ import annotations

import pytest

from fleet.local.plane.definition import Definition

PLACES = {"NATS_SERVERS": "tls://localhost:1,tls://localhost:2", "CACHE_ENDPOINT": "localhost:3"}


def told(**environment: str) -> dict[str, str]:
    plain = {"name": "ai", "image": "r/reference-service:1", "cpu": 256, "memory": 512}
    container = {**plain, "environment": [{"name": name, "value": value} for name, value in environment.items()]}
    definition = Definition.from_plain(
        {"taskDefinitionArn": "arn", "family": "ai", "cpu": "256", "memory": "512", "containerDefinitions": [container]}
    )
    return definition.variables(ports={}, places=PLACES, secrets={})


def test_places_of_the_private_network_become_places_of_this_machine() -> None:
    servers = ",".join(f"tls://nats-{number}.nats.gaming-system.internal:4222" for number in (1, 2, 3))
    found = told(NATS_SERVERS=servers, CACHE_ENDPOINT="cache.example.com:6379")
    assert {name: found[name] for name in PLACES} == PLACES


@pytest.mark.parametrize("servers", ["tls://localhost:4222", "nats://127.0.0.1:1,nats://127.0.0.1:2"])
def test_a_place_that_is_on_this_machine_already_stays(servers: str) -> None:
    assert told(NATS_SERVERS=servers)["NATS_SERVERS"] == servers


def test_one_place_elsewhere_is_enough() -> None:
    assert told(NATS_SERVERS="tls://localhost:1,tls://elsewhere:1")["NATS_SERVERS"] == PLACES["NATS_SERVERS"]
