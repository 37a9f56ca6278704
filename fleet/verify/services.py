"""The services of ECS: those of the catalog and no others, as many tasks as it says, and safe to deploy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from catalog import names
from catalog.service import Service
from fleet.chunks import chunks
from fleet.verify.check import Check, Checks
from fleet.verify.scope import NO_TASKS, Scope
from fleet.verify.tasks import check_task_definition

_SERVICES_A_REQUEST = 10
_TASKS_A_REQUEST = 100


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """How many tasks of a service there are; running and healthy are not known where no tasks run."""

    desired: int
    running: int | None
    healthy: int | None


@dataclass(slots=True)
class SeenServices:
    """What is known of the services."""

    checks: list[Check]
    counts: dict[str, ServiceCounts] = field(default_factory=dict)
    """Of those of the catalog that are there."""
    task_ids: dict[str, list[str]] = field(default_factory=dict)
    """The running tasks of each service, where tasks run."""


def check_services(scope: Scope, threads: Executor) -> SeenServices:
    """Look at the cluster, its services and their tasks."""
    checks = scope.checks()
    seen = SeenServices(checks.made)
    if not _check_cluster(scope, checks):
        for service in scope.catalog.enabled:
            checks.lacks("service.exists", service.name, "there", "missing")
        return seen
    deployed = _read_services(scope)
    tasks = _read_tasks(scope) if scope.claims_tasks else []
    ecs = scope.account.ecs
    definitions = threads.map(
        lambda service: ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"],
        deployed.values(),
    )
    definition_of = dict(zip(deployed, definitions, strict=True))
    targets = _read_scaling(scope)
    for service in scope.catalog.enabled:
        found = deployed.get(service.name)
        checks.holds("service.exists", service.name, found is not None, "there", "there" if found else "missing")
        if found is None:
            continue
        mine = [
            task for task in tasks if task["group"] == f"service:{service.name}" and task["lastStatus"] == "RUNNING"
        ]
        seen.task_ids[service.name] = [task["taskArn"].rpartition("/")[2] for task in mine]
        seen.counts[service.name] = _check_counts(scope, checks, service, found, mine)
        _check_scaling(checks, service, targets.get(service.name))
        _check_deployment(checks, service, found, wanted="COMPLETED" if scope.claims_tasks else None)
        _check_network(scope, checks, service, found)
        check_task_definition(scope, checks, service, definition_of[service.name])
    for name in sorted(deployed.keys() - {service.name for service in scope.catalog.enabled}):
        entry = scope.catalog.services.get(name)
        expected = f"nothing: the catalog {'has it disabled' if entry else 'has no such service'}"
        checks.lacks("service.unexpected", name, expected, f"{deployed[name]['desiredCount']} tasks wanted")
    return seen


def _check_cluster(scope: Scope, checks: Checks) -> bool:
    cluster = names.cluster(scope.name)
    found = scope.account.ecs.describe_clusters(clusters=[cluster], include=["SETTINGS"])["clusters"]
    active = [one for one in found if one.get("status") == "ACTIVE"]
    if not checks.holds("cluster.exists", cluster, bool(active), "there", "there" if active else "missing"):
        return False
    settings = {setting["name"]: setting["value"] for setting in active[0].get("settings", [])}
    insights = settings.get("containerInsights", "disabled") in {"enabled", "enhanced"}
    checks.equal("cluster.container-insights", cluster, scope.environment.monitoring.container_insights, insights)
    return True


def _read_services(scope: Scope) -> dict[str, Mapping[str, Any]]:
    cluster = names.cluster(scope.name)
    ecs = scope.account.ecs
    arns = [arn for page in ecs.get_paginator("list_services").paginate(cluster=cluster) for arn in page["serviceArns"]]
    found = [
        service
        for part in chunks(arns, _SERVICES_A_REQUEST)
        for service in ecs.describe_services(cluster=cluster, services=part)["services"]
    ]
    return {service["serviceName"]: service for service in found if service["status"] != "INACTIVE"}


def _read_tasks(scope: Scope) -> list[Mapping[str, Any]]:
    cluster = names.cluster(scope.name)
    ecs = scope.account.ecs
    arns = [arn for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster) for arn in page["taskArns"]]
    return [
        task
        for part in chunks(arns, _TASKS_A_REQUEST)
        for task in ecs.describe_tasks(cluster=cluster, tasks=part)["tasks"]
    ]


def _read_scaling(scope: Scope) -> dict[str, Mapping[str, Any]]:
    pages = scope.account.autoscaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="ecs")
    prefix = f"service/{names.cluster(scope.name)}/"
    return {
        target["ResourceId"].removeprefix(prefix): target
        for page in pages
        for target in page["ScalableTargets"]
        if target["ResourceId"].startswith(prefix)
    }


def _check_counts(
    scope: Scope, checks: Checks, service: Service, found: Mapping[str, Any], tasks: list[Mapping[str, Any]]
) -> ServiceCounts:
    desired = found["desiredCount"]
    low, high = (
        (service.autoscaling.min, service.autoscaling.max)
        if service.autoscaling
        else (service.replicas, service.replicas)
    )
    checks.holds(
        "service.desired-count",
        service.name,
        low <= desired <= high,
        str(low) if low == high else f"{low} to {high}",
        str(desired),
    )
    if not scope.claims_tasks:
        for kind in ("running", "healthy"):
            checks.unproven(f"service.{kind}-count", service.name, f"{desired} {kind}", NO_TASKS)
        return ServiceCounts(desired, None, None)
    running = found["runningCount"]
    healthy = Counter(task.get("healthStatus") for task in tasks)["HEALTHY"]
    logs = f"aws logs tail {names.log_group(scope.name)} --log-stream-name-prefix {service.name}/ --since 1h"
    checks.holds("service.running-count", service.name, running >= desired, f"{desired} running", f"{running}", logs)
    checks.holds("service.healthy-count", service.name, healthy >= desired, f"{desired} healthy", f"{healthy}", logs)
    return ServiceCounts(desired, running, healthy)


def _check_scaling(checks: Checks, service: Service, target: Mapping[str, Any] | None) -> None:
    expected = f"{service.autoscaling.min} to {service.autoscaling.max}" if service.autoscaling else "none"
    found = f"{target['MinCapacity']} to {target['MaxCapacity']}" if target else "none"
    checks.equal("service.autoscaling", service.name, expected, found)


def _check_deployment(checks: Checks, service: Service, found: Mapping[str, Any], *, wanted: str | None) -> None:
    """Check that a deployment never has fewer tasks than before, takes itself back when it fails, and that the last did not.

    Args:
        checks: Where it is taken down.
        service: The catalog's entry.
        found: The service as ECS describes it.
        wanted: State that its last deployment must have come to, where there is anything behind it.
    """
    configuration = found.get("deploymentConfiguration", {})
    breaker = configuration.get("deploymentCircuitBreaker", {})
    checks.equal("service.circuit-breaker", service.name, expected=True, found=breaker.get("enable"))
    checks.equal("service.roll-back", service.name, expected=True, found=breaker.get("rollback"))
    checks.equal("service.minimum-healthy-percent", service.name, 100, configuration.get("minimumHealthyPercent"))
    checks.equal("service.maximum-percent", service.name, 200, configuration.get("maximumPercent"))
    checks.equal("service.zone-rebalancing", service.name, "ENABLED", found.get("availabilityZoneRebalancing"))
    checks.equal(
        "service.execute-command", service.name, expected=False, found=found.get("enableExecuteCommand", False)
    )
    rollout = next(
        (one.get("rolloutState") for one in found.get("deployments", []) if one["status"] == "PRIMARY"), None
    )
    good = rollout == wanted if wanted else rollout != "FAILED"
    checks.holds("service.rollout", service.name, good, wanted or "not FAILED", rollout or "not told")


def _check_network(scope: Scope, checks: Checks, service: Service, found: Mapping[str, Any]) -> None:
    network = found.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    checks.equal("service.public-ip", service.name, "DISABLED", network.get("assignPublicIp"))
    zones = len(scope.environment.availability_zones)
    checks.equal("service.subnets", service.name, zones, len(network.get("subnets", [])))
    gateway = scope.catalog.is_gateway(service)
    groups = 1 + service.cache + gateway
    checks.equal("service.security-groups", service.name, groups, len(network.get("securityGroups", [])))
    providers = {one["capacityProvider"] for one in found.get("capacityProviderStrategy", [])}
    percent = scope.environment.spot_percent(service)
    wanted = {"FARGATE"} if not percent else {"FARGATE", "FARGATE_SPOT"}
    # A service whose tasks are all on Spot names no other provider.
    right = providers == wanted or (percent == 100 and providers == {"FARGATE_SPOT"})  # noqa: PLR2004
    checks.holds(
        "service.capacity",
        service.name,
        right,
        " and ".join(sorted(wanted)),
        " and ".join(sorted(providers)) or found.get("launchType", "nothing"),
    )
    ports = sorted(one["containerPort"] for one in found.get("loadBalancers", []))
    checks.equal("service.load-balancer", service.name, [names.GATEWAY_PORT] if gateway else [], ports)
