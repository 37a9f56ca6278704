from __future__ import annotations

from typing import Any

import pytest

from fleet.local.plane.definition import CannotRunError, Definition, Image

PROBE = ["CMD", "python", "-m", "sdk.health_check_http", "--probe", "http://127.0.0.1:8080/health"]
PLACES = {"NATS_SERVERS": "tls://localhost:1", "CACHE_ENDPOINT": "localhost:2", "SSL_CERT_FILE": "/ca.pem"}


def plain(repository: str = "reference-service", **container: Any) -> dict[str, Any]:
    variables = {
        "SERVICE_NAME": "player-nats",
        "NATS_SERVERS": "tls://nats-1:4222",
        "HEALTH_PORT": "8080",
        "LIMIT": "7",
    }
    variables |= container.pop("variables", {})
    return {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:1:task-definition/player:3",
        "family": "player",
        "memory": "512",
        "cpu": "256",
        "containerDefinitions": [
            {
                "name": "player-nats",
                "image": f"1.dkr.ecr.us-east-1.amazonaws.com/{repository}:0.1.0",
                "environment": [{"name": name, "value": value} for name, value in variables.items()],
                "healthCheck": {"command": PROBE, "interval": 30, "timeout": 5, "retries": 3, "startPeriod": 60},
                "logConfiguration": {"options": {"awslogs-group": "/fleet", "awslogs-stream-prefix": "player-nats"}},
                **container,
            }
        ],
    }


def told(definition: Definition, places: dict[str, str], **ports: int) -> dict[str, str]:
    return definition.variables(ports=ports or {"HEALTH_PORT": 9}, places=places, secrets={})


def test_what_names_places_is_replaced_and_all_else_is_word_for_word() -> None:
    assert told(Definition.from_plain(plain()), PLACES) == {
        "SERVICE_NAME": "player-nats",
        "NATS_SERVERS": "tls://localhost:1",
        "HEALTH_PORT": "9",
        "HEALTH_HOST": "127.0.0.1",
        "LIMIT": "7",
    }


def test_a_service_with_a_cache_is_told_of_the_local_one_and_whom_to_trust() -> None:
    definition = Definition.from_plain(plain(variables={"CACHE_ENDPOINT": "cache:6379", "CACHE_SECRET": "s"}))
    variables = told(definition, PLACES)
    assert (variables["CACHE_ENDPOINT"], variables["SSL_CERT_FILE"]) == ("localhost:2", "/ca.pem")


def test_without_a_cache_here_it_is_told_of_none() -> None:
    definition = Definition.from_plain(plain(variables={"CACHE_ENDPOINT": "cache:6379", "CACHE_SECRET": "s"}))
    variables = told(definition, {"NATS_SERVERS": "tls://localhost:1"})
    assert not {"CACHE_ENDPOINT", "CACHE_SECRET", "SSL_CERT_FILE"} & variables.keys()


def test_secrets_are_told_with_their_values() -> None:
    definition = Definition.from_plain(plain(secrets=[{"name": "TOKEN", "valueFrom": "arn:secret"}]))
    assert definition.secrets == {"TOKEN": "arn:secret"}
    variables = definition.variables(ports={"HEALTH_PORT": 9}, places=PLACES, secrets={"TOKEN": "value"})
    assert variables["TOKEN"] == "value"


def test_the_image_says_which_program_it_is_and_the_command_follows_it() -> None:
    service = Definition.from_plain(plain(command=["--slow"]))
    assert service.argv()[1:] == ["-m", "reference_service", "--slow"]
    gateway = Definition.from_plain(plain("http-nats-gateway"))
    assert gateway.argv()[1:] == ["-m", "gateway"]
    assert gateway.port_variables == ("HEALTH_PORT", "GATEWAY_PORT")
    variables = told(gateway, PLACES, HEALTH_PORT=9, GATEWAY_PORT=10)
    assert (variables["GATEWAY_HOST"], variables["GATEWAY_PORT"]) == ("127.0.0.1", "10")
    assert variables["GATEWAY_LEAVE_SECONDS"] == "0"


def test_what_bounds_and_watches_a_task_is_read() -> None:
    definition = Definition.from_plain(plain(stopTimeout=60))
    assert (definition.memory_mib, definition.cpu_units, definition.stop_seconds) == (512, 256, 60)
    assert (definition.log_group, definition.log_prefix) == ("/fleet", "player-nats")
    assert definition.health is not None
    assert (definition.health.path, definition.health.interval_seconds, definition.health.retries) == ("/health", 30, 3)


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("host/gaming/x:1", Image(repository="gaming/x", tag="1", digest=None)),
        ("host/x@sha256:ab", Image(repository="x", tag=None, digest="sha256:ab")),
        ("host/x", Image(repository="x", tag="latest", digest=None)),
    ],
)
def test_an_image_is_taken_apart(reference: str, image: Image) -> None:
    assert Image.parse(reference) == image


def test_what_cannot_be_run_here_is_told() -> None:
    two = plain()
    two["containerDefinitions"] *= 2
    with pytest.raises(CannotRunError, match="player has 2 containers"):
        Definition.from_plain(two)
    with pytest.raises(CannotRunError, match="is none that the local plane can do"):
        Definition.from_plain(plain(healthCheck={"command": ["CMD", "true"]}))
