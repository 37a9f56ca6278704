"""No dead keys: for every key that catalog and environments may have, there is a change of it that changes what is deployed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from catalog import Catalog, Environment, Service, load_environment
from catalog.reflect import bare_type, is_model
from tests.synthesis import Fleet, renamed, small_catalog, synthesise

DIGEST = f"sha256:{'ab' * 32}"

# Key of a service (`*` is any entry of a mapping or list), the entry of every-feature.yaml that is changed, the place there, and
# the new value. Environments without Spot would hide how it is bought, so that key is changed in staging.
SERVICE_KEYS: dict[str, tuple[str, str, Any]] = {
    "group": ("story-teller-nats", "group", "gateway"),
    "stack": ("world-state-nats", "stack", 2),
    "enabled": ("language-system-nats", "enabled", True),
    "reason": ("language-system-nats", "reason", "nobody asks for it"),
    "description": ("world-state-nats", "description", "Knows more than the world."),
    "owner": ("world-state-nats", "owner", "somebody-else"),
    "image/repository": ("world-state-nats", "image/repository", None),
    "image/tag": ("world-state-nats", "image/tag", "2.0.0"),
    "image/digest": ("state-manager-nats", "image/digest", DIGEST),
    "command": ("world-state-nats", "command", ["python", "-m", "world"]),
    "cpu": ("state-manager-nats", "cpu", 1024),
    "memory": ("world-state-nats", "memory", 1024),
    "architecture": ("world-state-nats", "architecture", "x86_64"),
    "replicas": ("world-state-nats", "replicas", 3),
    "spot_percent": ("state-manager-nats", "spot_percent", 100),
    "autoscaling/min": ("story-teller-nats", "autoscaling/min", 4),
    "autoscaling/max": ("story-teller-nats", "autoscaling/max", 8),
    "autoscaling/target_cpu_percent": ("story-teller-nats", "autoscaling/target_cpu_percent", 40),
    "environment": ("world-state-nats", "environment", {"LOG_LEVEL": "debug"}),
    "secrets/*/name": ("state-manager-nats", "secrets/PROVIDER_KEY/name", "elsewhere/provider"),
    "secrets/*/field": ("state-manager-nats", "secrets/PROVIDER_KEY/field", "another"),
    "health_check/path": ("world-state-nats", "health_check/path", "/healthy"),
    "health_check/interval_seconds": ("world-state-nats", "health_check/interval_seconds", 10),
    "health_check/timeout_seconds": ("world-state-nats", "health_check/timeout_seconds", 3),
    "health_check/retries": ("world-state-nats", "health_check/retries", 5),
    "health_check/start_period_seconds": ("world-state-nats", "health_check/start_period_seconds", 10),
    "health_check/nats_outage_tolerance_seconds": (
        "world-state-nats",
        "health_check/nats_outage_tolerance_seconds",
        300,
    ),
    "alarms/cpu/max_percent": ("world-state-nats", "alarms/cpu/max_percent", 70),
    "alarms/cpu/period_seconds": ("world-state-nats", "alarms/cpu/period_seconds", 300),
    "alarms/cpu/evaluation_periods": ("world-state-nats", "alarms/cpu/evaluation_periods", 6),
    "alarms/cpu/datapoints_to_alarm": ("world-state-nats", "alarms/cpu/datapoints_to_alarm", 2),
    "alarms/memory/max_percent": ("world-state-nats", "alarms/memory/max_percent", 70),
    "alarms/memory/period_seconds": ("world-state-nats", "alarms/memory/period_seconds", 300),
    "alarms/memory/evaluation_periods": ("world-state-nats", "alarms/memory/evaluation_periods", 6),
    "alarms/memory/datapoints_to_alarm": ("world-state-nats", "alarms/memory/datapoints_to_alarm", 2),
    "alarms/tasks/min_running": ("world-state-nats", "alarms/tasks/min_running", 1),
    "alarms/tasks/evaluation_periods": ("world-state-nats", "alarms/tasks/evaluation_periods", 4),
    "alarms/tasks/datapoints_to_alarm": ("world-state-nats", "alarms/tasks/datapoints_to_alarm", 2),
    "nats/serves/*/request": ("state-manager-nats", "nats/serves/state.get/request", "gaming.game.v1.PutStateRequest"),
    "nats/serves/*/reply": ("state-manager-nats", "nats/serves/state.get/reply", "gaming.game.v1.PutStateReply"),
    "nats/serves/*/timeout_seconds": ("state-manager-nats", "nats/serves/state.get/timeout_seconds", 4.0),
    "nats/serves/*/idempotent": ("state-manager-nats", "nats/serves/state.get/idempotent", False),
    "nats/calls": ("world-state-nats", "nats/calls", ["state.get"]),
    "nats/publishes/*/message": ("world-state-nats", "nats/publishes/events.world.>/message", "gaming.game.v1.Region"),
    "nats/subscribes": ("story-teller-nats", "nats/subscribes", []),
    "nats/streams/*/subjects": ("world-state-nats", "nats/streams/WORLD/subjects", ["events.world.storm"]),
    "nats/streams/*/max_mib": ("world-state-nats", "nats/streams/WORLD/max_mib", 5),
    "nats/streams/*/max_age_seconds": ("world-state-nats", "nats/streams/WORLD/max_age_seconds", 61),
    "nats/streams/*/max_message_kib": ("world-state-nats", "nats/streams/WORLD/max_message_kib", 17),
    "nats/streams/*/retention": ("world-state-nats", "nats/streams/WORLD/retention", "limits"),
    "nats/streams/*/discard": ("world-state-nats", "nats/streams/WORLD/discard", "old"),
    "nats/streams/*/duplicate_window_seconds": ("world-state-nats", "nats/streams/WORLD/duplicate_window_seconds", 61),
    "nats/consumers/*/stream": ("story-teller-nats", "nats/consumers/story-progress/stream", "OTHER"),
    "nats/consumers/*/filter_subjects": ("story-teller-nats", "nats/consumers/story-progress/filter_subjects", []),
    "nats/consumers/*/ack_wait_seconds": ("story-teller-nats", "nats/consumers/story-progress/ack_wait_seconds", 61),
    "nats/consumers/*/max_deliver": ("story-teller-nats", "nats/consumers/story-progress/max_deliver", 7),
    "nats/consumers/*/max_ack_pending": ("story-teller-nats", "nats/consumers/story-progress/max_ack_pending", 7),
    "nats/buckets/*/max_mib": ("state-manager-nats", "nats/buckets/player-state/max_mib", 5),
    "nats/buckets/*/history": ("state-manager-nats", "nats/buckets/player-state/history", 5),
    "nats/buckets/*/ttl_seconds": ("state-manager-nats", "nats/buckets/player-state/ttl_seconds", 61),
    "cache": ("world-state-nats", "cache", True),
    "routes/*/method": ("state-manager-nats", "routes/0/method", "POST"),
    "routes/*/path": ("state-manager-nats", "routes/0/path", "/v2/players/{player_id}/state/{key}"),
    "routes/*/subject": ("state-manager-nats", "routes/0/subject", "world.state.get"),
    "routes/*/events": ("world-state-nats", "routes/0/events", "events.world.storm"),
    "routes/*/allow": ("state-manager-nats", "routes/0/allow", ["operator"]),
    "tags": ("world-state-nats", "tags", {"colour": "green"}),
}  # fmt: skip
IN_STAGING = {"spot_percent"}

# Key of an environment, and its value in another than production.
ENVIRONMENT_KEYS: dict[str, Any] = {
    "name": "other",
    "account": "123456789012",
    "region": "eu-west-1",
    "availability_zones": ["us-east-1a", "us-east-1b"],
    "destroy_data": True,
    "network/cidr": "10.77.0.0/16",
    "network/nat_gateways": 1,
    "network/interface_endpoints": ["ecr.api"],
    "network/interface_endpoint_zones": 1,
    "network/flow_log_retention_days": 5,
    "fargate/allow_spot": True,
    "fargate/min_spot_percent": 100,
    "function_architecture": "x86_64",
    "fargate/max_cpu": 256,
    "fargate/max_memory": 1024,
    "monitoring/container_insights": False,
    "monitoring/log_retention_days": 90,
    "alerts/subscriptions/*/protocol": "https",
    "alerts/subscriptions/*/parameter": "alerts/others",
    "alerts/fallback_subscriptions/*/protocol": "https",
    "alerts/fallback_subscriptions/*/parameter": "alerts/others",
    "gateway/internet_facing": True,
    "gateway/allowed_cidrs": ["192.168.0.0/16"],
    "gateway/certificate_parameter": "gateway/another-certificate",
    "gateway/idle_timeout_seconds": 90,
    "nats/instance_type": "c7g.large",
    "nats/volume_gib": 100,
    "nats/volume_iops": 4000,
    "nats/volume_throughput_mib": 250,
    "nats/ami_id": "ami-0123456789abcdef0",
    "nats/store_percent": 50,
    "nats/sync_always": False,
    "nats/max_connections": 1000,
    "nats/max_payload_kib": 512,
    "nats/backup_retention_days": 3,
    "nats/wait_for_nodes": False,
    "certificates/key_type": "rsa-3072",
    "cache/engine": "redis",
    "cache/engine_version": "8.0",
    "cache/node_type": "cache.r7g.large",
    "cache/cluster_mode": True,
    "cache/shards": 2,
    "cache/replicas_per_shard": 2,
    "cache/multi_az": False,
    "cache/maintenance_window": "mon:10:00-mon:11:00",
    "cache/snapshot_retention_days": 3,
    "cache/snapshot_window": "12:00-13:00",
    "cache/password_rotation_days": 7,
    "cache/prove_passwords": False,
    "tags": {"cost-centre": "games"},
}
SPOT_ALLOWED = {"fargate/min_spot_percent"}
# What these change is the verdict on a load test (tests/unit/fleet/test_load_test_verdict.py) and the cost report
# (tests/unit/fleet/cost/test_usage.py).
JUDGES = ("objectives/", "cost/")


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the path of every key of a model, with `*` for the names and numbers of mappings and lists."""
    for name, field in model.model_fields.items():
        yield from _keys(field.annotation, f"{prefix}{name}")


def _keys(annotation: Any, path: str) -> Iterator[str]:
    bare = bare_type(annotation)
    arguments = get_args(bare)
    if is_model(bare):
        yield from keys(bare, f"{path}/")
    elif get_origin(bare) in {dict, list, Mapping, Sequence} and is_model(bare_type(arguments[-1])):
        yield from _keys(arguments[-1], f"{path}/*")
    else:
        yield path


def replaced(data: Any, path: Sequence[str], value: Any) -> Any:
    """Return plain data with one value replaced."""
    if not path:
        return value
    first, *rest = path
    if isinstance(data, list):
        index = 0 if first == "*" else int(first)
        return [replaced(child, rest, value) if n == index else child for n, child in enumerate(data)]
    return {**data, first: replaced(data[first], rest, value)}


@functools.cache
def base(environment: str) -> Fleet:
    return synthesise(small_catalog(), load_environment(environment), destroy_data=True)


def deployed(fleet: Fleet) -> dict[str, Any]:
    """Return all of a fleet that a deployment looks at."""
    stacks = {part: fleet.stack(part) for part in fleet.templates}
    return {
        part: (
            fleet.templates[part],
            stack["environment"],
            stack["properties"].get("tags"),
            stack["properties"].get("terminationProtection"),
        )
        for part, stack in stacks.items()
    }


def test_the_table_has_every_key_of_a_service() -> None:
    assert sorted(keys(Service)) == sorted([*SERVICE_KEYS, "name"])


def test_the_table_has_every_key_of_an_environment() -> None:
    assert sorted(key for key in keys(Environment) if not key.startswith(JUDGES)) == sorted(ENVIRONMENT_KEYS)


def test_the_catalog_has_no_other_keys() -> None:
    assert sorted(key for key in keys(Catalog) if not key.startswith("services/")) == [
        "groups/*/description",
        "groups/*/gateway",
    ]


@pytest.mark.parametrize("key", SERVICE_KEYS)
def test_a_key_of_a_service_changes_what_is_deployed(key: str) -> None:
    service, path, value = SERVICE_KEYS[key]
    environment = "staging" if key in IN_STAGING else "prod"
    catalog = small_catalog()
    entry = replaced(catalog.services[service].model_dump(), path.split("/"), value)
    services = {**catalog.services, service: Service.model_validate(entry)}
    changed = synthesise(
        catalog.model_copy(update={"services": services}), load_environment(environment), destroy_data=True
    )
    assert deployed(changed) != deployed(base(environment))


def test_the_name_of_a_service_changes_what_is_deployed() -> None:
    fleet = synthesise(renamed(small_catalog(), "world-state-nats", "region-state-nats"), load_environment("prod"))
    assert deployed(fleet) != deployed(base("prod"))


@pytest.mark.parametrize(("key", "value"), [("description", "Another."), ("gateway", True)])
def test_a_key_of_a_group_changes_what_is_deployed(key: str, value: Any) -> None:
    catalog = small_catalog()
    groups = {**catalog.groups, "game": catalog.groups["game"].model_copy(update={key: value})}
    fleet = synthesise(catalog.model_copy(update={"groups": groups}), load_environment("prod"))
    assert deployed(fleet) != deployed(base("prod"))


def environment_with(key: str, value: Any) -> Environment:
    data = load_environment("prod").model_dump()
    if key in SPOT_ALLOWED:
        data = replaced(data, ["fargate", "allow_spot"], value=True)
    return Environment.model_validate(replaced(data, key.split("/"), value))


@pytest.mark.parametrize("key", ENVIRONMENT_KEYS)
def test_a_key_of_an_environment_changes_what_is_deployed(key: str) -> None:
    before = load_environment("prod")
    if key in SPOT_ALLOWED:
        before = environment_with("fargate/allow_spot", value=True)
    fleet = synthesise(small_catalog(), environment_with(key, ENVIRONMENT_KEYS[key]), destroy_data=True)
    unchanged = synthesise(small_catalog(), before, destroy_data=True) if key in SPOT_ALLOWED else base("prod")
    assert deployed(fleet) != deployed(unchanged)
