"""Whether a fleet is whole: what must be so before a drill begins, and again when it has ended."""

from __future__ import annotations

import asyncio
from typing import Any

from catalog import names
from fleet.chunks import chunks
from fleet.drills.field import Field
from fleet.errors import FleetError
from fleet.nats import cluster_findings, task
from fleet.verify.scope import Scope

_SERVICES_A_REQUEST = 10


async def wanting(field: Field) -> list[str]:
    """Return what is not healthy."""
    services = await asyncio.to_thread(_services, field.scope)
    if field.is_local:
        return [*services, *_plane(await field.ask("status"))]
    return [*services, *await asyncio.to_thread(_nodes, field.scope)]


def _services(scope: Scope) -> list[str]:
    cluster, ecs = names.cluster(scope.name), scope.account.ecs
    found: list[str] = []
    for part in chunks([service.name for service in scope.catalog.enabled], _SERVICES_A_REQUEST):
        told = ecs.describe_services(cluster=cluster, services=part)
        found += [f"{failure['arn'].rpartition('/')[2]} is missing" for failure in told["failures"]]
        found += [fault for service in told["services"] if (fault := _fault(service))]
    return found


def _fault(service: Any) -> str:
    name, running, desired = service["serviceName"], service["runningCount"], service["desiredCount"]
    if running < desired:
        return f"{name} has {running} of {desired} tasks"
    states = {deployment.get("rolloutState") for deployment in service["deployments"]}
    return "" if states <= {"COMPLETED"} else f"a deployment of {name} is under way"


def _plane(status: Any) -> list[str]:
    tasks = [
        f"{service['name']} has {service['healthy']} of {service['desired']} healthy tasks"
        for service in status["tasks"]["services"]
        if service["healthy"] < service["desired"]
    ]
    nodes = [
        f"{row['name']} is {row['health']}: {row['detail']}"
        for row in status["nodes"]["rows"]
        if row["health"] != "healthy"
    ]
    cut = [f"{node} is cut off" for node in status["nodes"]["cut_off"]]
    cache = status.get("cache", {})
    members = [
        f"{row['name']} of the cache is {row['health']}" for row in cache.get("rows", ()) if row["health"] != "healthy"
    ]
    return [*tasks, *nodes, *cut, *members]


def _nodes(scope: Scope) -> list[str]:
    if not scope.claims_nodes:
        return []
    try:
        return cluster_findings(task(scope.account, scope.environment, "status"))
    except FleetError as error:
        return [str(error)]
