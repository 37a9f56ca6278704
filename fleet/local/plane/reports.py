"""What the plane tells the local AWS of its tasks, in ECS's own terms."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.local.plane.service import RunningService
from fleet.local.plane.task import ESSENTIAL_EXITED, RunningTask

PATH = "/_fleet/data-plane"
_SECONDS = 10.0


def report(services: Iterable[RunningService]) -> dict[str, Any]:
    """Return what is told of services, by their ARN."""
    return {
        service.wanted.arn: {
            "runningCount": service.running_count,
            "pendingCount": sum(task.status == "PENDING" for task in service.tasks),
            "deployments": service.deployments(),
            "rolledBack": list(service.rolled_back) if service.rolled_back else None,
            "events": list(service.events),
            "tasks": [_task(service, task) for task in [*service.tasks, *service.stopped]],
        }
        for service in services
    }


def _task(service: RunningService, task: RunningTask) -> dict[str, Any]:
    status = "STOPPED" if task.ended is not None else "DEACTIVATING" if task.status == "STOPPING" else task.status
    container = {
        "containerArn": task.arn.replace(":task/", ":container/") + f"/{task.definition.container}",
        "taskArn": task.arn,
        "name": task.definition.container,
        "image": task.definition.image,
        "lastStatus": "STOPPED" if status == "STOPPED" else "RUNNING" if task.started else "PENDING",
        "healthStatus": task.health,
        "cpu": str(task.definition.cpu_units),
        "memory": str(task.definition.memory_mib),
        **({"exitCode": task.exit.code} if task.exit else {}),
        **({"reason": task.exit.reason} if task.exit and task.exit.reason else {}),
        **({"runtimeId": f"{task.id}-{task.process.pid}"} if task.process else {}),
    }
    times = {
        "createdAt": task.created,
        "startedAt": task.started,
        "stoppingAt": task.stopping,
        "stoppedAt": task.ended,
    }
    told = {
        "taskArn": task.arn,
        "clusterArn": service.wanted.arn.partition(":service/")[0] + f":cluster/{task.cluster}",
        "taskDefinitionArn": task.definition.arn,
        "group": f"service:{task.service}",
        "startedBy": task.deployment,
        "lastStatus": status,
        "desiredStatus": "STOPPED" if task.status == "STOPPING" else "RUNNING",
        "healthStatus": task.health,
        "connectivity": "CONNECTED",
        "launchType": "FARGATE",
        "cpu": str(task.definition.cpu_units),
        "memory": str(task.definition.memory_mib),
        "containers": [container],
        **{name: value for name, value in times.items() if value is not None},
    }
    if task.status == "STOPPING":
        told["stoppedReason"] = _reason(task)
        told["stopCode"] = _code(task)
    return told


def _reason(task: RunningTask) -> str:
    return ESSENTIAL_EXITED if task.exit and not task.was_told else task.reason or ""


def _code(task: RunningTask) -> str:
    if task.was_told:
        return "UserInitiated" if task.by_user else "ServiceSchedulerInitiated"
    return "EssentialContainerExited" if task.exit else "TaskFailedToStart"


def send(endpoint: str, told: Mapping[str, Any]) -> None:
    """Tell the local AWS.

    Raises:
        OSError: It does not answer.
    """
    request = urllib.request.Request(  # noqa: S310 - loopback, from the server's record
        f"{endpoint}{PATH}",
        data=json.dumps(told).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SECONDS) as answer:
        answer.read()
