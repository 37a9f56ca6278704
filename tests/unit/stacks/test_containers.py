"""Task definitions: what runs, as whom, with what, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog import names
from tests.synthesis import Fleet, Resource, small_fleet, strings

TASK_DEFINITION = "AWS::ECS::TaskDefinition"


def containers(fleet: Fleet) -> dict[str, tuple[Resource, dict[str, Any]]]:
    """Return task definition and only container by service."""
    found = {}
    for name, task in fleet.of_service(TASK_DEFINITION).items():
        (container,) = task["ContainerDefinitions"]
        found[name] = (task, container)
    return found


def variables(fleet: Fleet, service: str) -> dict[str, str]:
    task, container = containers(fleet)[service]
    return {variable["Name"]: fleet.text(task.part, variable["Value"]) for variable in container["Environment"]}


def secrets(fleet: Fleet, service: str) -> dict[str, str]:
    task, container = containers(fleet)[service]
    return {secret["Name"]: fleet.text(task.part, secret["ValueFrom"]) for secret in container.get("Secrets", [])}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", "10001:10001"),
        ("Privileged", False),
        ("ReadonlyRootFilesystem", True),
        ("Essential", True),
        ("LinuxParameters", {"Capabilities": {}, "InitProcessEnabled": True}),
        ("MountPoints", [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}]),  # noqa: S108
    ],
)
def test_every_container_runs_with_little(fleet: Fleet, name: str, value: Any) -> None:
    found = {service: container.get(name) for service, (_, container) in containers(fleet).items()}
    assert found == dict.fromkeys((service.name for service in fleet.catalog.enabled), value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NetworkMode", "awsvpc"),
        ("RequiresCompatibilities", ["FARGATE"]),
        ("Volumes", [{"Name": "tmp"}]),
        ("PidMode", None),
    ],
)
def test_every_task_runs_on_fargate(fleet: Fleet, name: str, value: Any) -> None:
    found = [task.properties.get(name) for task in fleet.resources(TASK_DEFINITION)]
    assert found == [value] * (len(fleet.catalog.enabled) + 1)  # and the load test's


def test_the_health_check_is_a_program_and_no_shell(fleet: Fleet) -> None:
    for task, container in containers(fleet).values():
        assert container["HealthCheck"]["Command"][:4] == ["CMD", "python", "-m", "sdk.health_check_http"], task


def test_the_health_check_asks_port_8080(fleet: Fleet) -> None:
    for _, container in containers(fleet).values():
        assert container["HealthCheck"]["Command"][-1].startswith("http://127.0.0.1:8080/")


def test_the_health_check_is_the_catalogs(small: Fleet) -> None:
    _, container = containers(small)["state-manager-nats"]
    assert container["HealthCheck"] == {
        "Command": [
            "CMD",
            "python",
            "-m",
            "sdk.health_check_http",
            "--probe",
            "http://127.0.0.1:8080/health/deep",
        ],
        "Interval": 20,
        "Timeout": 4,
        "Retries": 2,
        "StartPeriod": 90,
    }


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [("prod", {60}), ("local", {60}), ("staging", {120}), ("dev", {120})],
)
def test_a_task_on_spot_gets_the_two_minutes_of_its_warning(environment: str, seconds: set[int]) -> None:
    found = containers(small_fleet(environment)).values()
    assert {container["StopTimeout"] for _, container in found} == seconds


@pytest.mark.parametrize(("service", "ports"), [("world-state-nats", [8080]), ("http-nats-gateway", [8080, 8000])])
def test_a_container_opens_no_port_but_its_own(small: Fleet, service: str, ports: list[int]) -> None:
    _, container = containers(small)[service]
    assert [mapping["ContainerPort"] for mapping in container["PortMappings"]] == ports


@pytest.mark.parametrize(
    ("environment", "sizes"),
    [
        # CPU units and MiB of world-state, state-manager, story-teller and the gateway.
        ("prod", [("256", "512"), ("512", "2048"), ("256", "512"), ("512", "1024")]),
        ("staging", [("256", "512"), ("256", "1024"), ("256", "512"), ("256", "1024")]),
        ("dev", [("256", "512"), ("256", "512"), ("256", "512"), ("256", "512")]),
    ],
)
def test_the_size_is_the_catalogs_up_to_the_environments_cap(environment: str, sizes: list[tuple[str, str]]) -> None:
    found = small_fleet(environment).of_service(TASK_DEFINITION)
    order = ["world-state-nats", "state-manager-nats", "story-teller-nats", "http-nats-gateway"]
    assert [(found[name]["Cpu"], found[name]["Memory"]) for name in order] == sizes


@pytest.mark.parametrize(("service", "processor"), [("world-state-nats", "ARM64"), ("state-manager-nats", "X86_64")])
def test_the_processor_is_the_catalogs(small: Fleet, service: str, processor: str) -> None:
    task = small.of_service(TASK_DEFINITION)[service]
    assert task["RuntimePlatform"] == {"CpuArchitecture": processor, "OperatingSystemFamily": "LINUX"}


@pytest.mark.parametrize(
    ("service", "image"),
    [
        ("world-state-nats", "gaming-system-prod/reference-service:1.0.0"),
        (
            "state-manager-nats",
            f"gaming-system-prod/state-manager-nats@sha256:{'00112233445566778899aabbccddeeff' * 2}",
        ),
    ],
)
def test_the_image_is_the_catalogs_from_our_own_repository(small: Fleet, service: str, image: str) -> None:
    task, container = containers(small)[service]
    registry = "${AWS::AccountId}.dkr.ecr.us-east-1.${AWS::URLSuffix}"
    assert small.text(task.part, container["Image"]) == f"{registry}/{image}"


def test_every_image_comes_from_a_repository_that_we_make(fleet: Fleet) -> None:
    ours = {repository["RepositoryName"] for repository in fleet.resources("AWS::ECR::Repository")}
    for task, container in containers(fleet).values():
        path = fleet.text(task.part, container["Image"]).partition("/")[2]
        assert path.partition("@")[0].partition(":")[0] in ours


@pytest.mark.parametrize(
    ("service", "command"), [("world-state-nats", None), ("state-manager-nats", ["python", "-m", "state_manager"])]
)
def test_the_command_is_the_catalogs(small: Fleet, service: str, command: list[str] | None) -> None:
    assert containers(small)[service][1].get("Command") == command


def test_a_container_logs_to_the_fleets_group_without_blocking(fleet: Fleet) -> None:
    group = fleet.one("AWS::Logs::LogGroup", part="monitoring")
    for service, (task, container) in containers(fleet).items():
        assert fleet.plain(task.part, container["LogConfiguration"]) == {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": f"${{monitoring:{group.logical_id}}}",
                "awslogs-stream-prefix": service,
                "awslogs-region": "us-east-1",
                "mode": "non-blocking",
            },
        }


def test_a_container_is_told_who_it_is_and_where_everything_is(small: Fleet) -> None:
    told = variables(small, "world-state-nats")
    contract = told.pop("SERVICE_CONTRACT")
    assert told == {
        "SERVICE_NAME": "world-state-nats",
        "FLEET_ENVIRONMENT": "prod",
        "NATS_SERVERS": ",".join(f"tls://nats-{n}.nats.gaming-system.internal:4222" for n in (1, 2, 3)),
        "NATS_IDENTITY": "world-state-nats.svc.gaming-system.internal",
        "NATS_OUTAGE_TOLERANCE_SECONDS": "180",
        "HEALTH_PORT": "8080",
        "HEALTH_PATH": "/health",
        "CERTIFICATES_BUCKET": "gaming-system-prod-certificates-${AWS::AccountId}-us-east-1",
        "CERTIFICATES_PREFIX": "client/world-state-nats/",
    }
    assert json.loads(contract)["serves"].keys() == {"world.state.get"}


def test_a_container_is_told_its_contract_as_those_who_serve_and_tell_declared_it(small: Fleet) -> None:
    assert json.loads(variables(small, "story-teller-nats")["SERVICE_CONTRACT"]) == {
        "calls": {
            "state.get": {
                "request": "gaming.game.v1.GetStateRequest",
                "reply": "gaming.game.v1.GetStateReply",
                "timeout_seconds": 3,
                "idempotent": True,
            }
        },
        "subscribes": {"events.world.storm": {"message": "gaming.game.v1.WorldState"}},
        "consumers": {"story-progress": {"stream": "WORLD", "filter_subjects": ["events.world.dawn"]}},
    }


def test_a_container_is_told_of_its_own_events_streams_and_buckets(small: Fleet) -> None:
    world = json.loads(variables(small, "world-state-nats")["SERVICE_CONTRACT"])
    assert world["publishes"] == {"events.world.>": {"message": "gaming.game.v1.WorldState"}}
    assert world["streams"] == {"WORLD": {"subjects": ["events.world.>"]}}
    assert json.loads(variables(small, "state-manager-nats")["SERVICE_CONTRACT"])["buckets"] == {"player-state": {}}


def test_the_gateway_alone_is_told_the_routes(small: Fleet) -> None:
    told = {service for service in containers(small) if "GATEWAY_ROUTES" in variables(small, service)}
    assert told == {"http-nats-gateway"}
    assert json.loads(variables(small, "http-nats-gateway")["GATEWAY_ROUTES"]) == [
        {"method": "GET", "path": "/v1/world/events", "events": "events.world.>", "allow": ["operator"]},
        {
            "method": "GET",
            "path": "/v1/players/{player_id}/state/{key}",
            "subject": "state.get",
            "allow": ["player", "operator"],
        },
    ]


def test_the_gateway_may_call_and_hear_the_subjects_of_its_routes(small: Fleet) -> None:
    contract = json.loads(variables(small, "http-nats-gateway")["SERVICE_CONTRACT"])
    assert contract["calls"].keys() == {"state.get"}
    assert contract["subscribes"].keys() == {"events.world.>"}


def test_a_container_gets_the_variables_of_the_catalog(small: Fleet) -> None:
    assert variables(small, "state-manager-nats")["SAVE_INTERVAL_SECONDS"] == "30"


def test_only_a_service_that_uses_the_cache_is_told_where_it_is(small: Fleet) -> None:
    told = {
        service: variables(small, service)["CACHE_ENDPOINT"]
        for service in containers(small)
        if "CACHE_ENDPOINT" in variables(small, service)
    }
    cache = small.one("AWS::ElastiCache::ReplicationGroup").logical_id
    assert told == {"state-manager-nats": f"${{cache:{cache}.PrimaryEndPoint.Address}}:6379"}


def test_secrets_come_by_arn_from_secrets_manager(small: Fleet) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:${AWS::AccountId}:secret:"
    own = next(
        secret
        for secret in small.resources("AWS::SecretsManager::Secret")
        if secret["Name"] == "gaming-system/prod/state-manager-nats/SIGNING_KEY"
    )
    assert secrets(small, "state-manager-nats") == {
        "SIGNING_KEY": f"${{services-game:{own.logical_id}}}",
        "PROVIDER_KEY": f"{arn}somewhere/provider:key::",
        "CACHE_SECRET": f"{arn}gaming-system/prod/cache/state-manager-nats/user",
    }


def test_a_service_without_secrets_gets_none(small: Fleet) -> None:
    assert secrets(small, "world-state-nats") == {}


def test_no_variable_holds_a_secret(fleet: Fleet) -> None:
    for task, container in containers(fleet).values():
        told = list(strings(fleet.plain(task.part, container["Environment"])))
        assert not [text for text in told if "{{resolve:" in text or ":secret:" in text]


def test_only_the_platforms_own_variables_are_set_beside_the_catalogs(fleet: Fleet) -> None:
    for service in fleet.catalog.enabled:
        beside = variables(fleet, service.name).keys() - service.environment.keys()
        assert beside <= set(names.PLATFORM_VARIABLES)
