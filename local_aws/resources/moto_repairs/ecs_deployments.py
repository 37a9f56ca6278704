"""ECS deployments: each version of a service is one, and what became of it is what the data plane told.

moto 5.2.5 knows one deployment a service, for ever, and no outcome. What is told by the plane of the moment (`local_aws.data_plane`) is never
kept, but for two things that are ECS's own to know: which deployments were completed or failed, and that a service was rolled back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from moto.core.utils import utcnow
from moto.ecs.models import EC2ContainerServiceBackend, Service, ecs_backends

from local_aws import data_plane
from local_aws.data_plane import DataPlane

DEPLOYED = (
    "launchType",
    "capacityProviderStrategy",
    "networkConfiguration",
    "platformVersion",
    "taskDefinition",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)
COMPLETED, FAILED = "COMPLETED", "FAILED"
_KEPT_OUTCOMES = 10


def outcomes(service: Service) -> dict[str, str]:
    """Return what has become of a service's deployments, by their ids."""
    found: dict[str, str] = service.__dict__.setdefault("outcomes", {})
    return found


def is_another_version(before: Mapping[str, Any], service: Service, parameters: Mapping[str, Any]) -> bool:
    """Tell whether an update asks for other tasks than there were."""
    if parameters.get("forceNewDeployment"):
        return True
    wanted = {**parameters, "taskDefinition": service.task_definition}
    return any(wanted.get(name) is not None and wanted[name] != before.get(name) for name in DEPLOYED)


def begin(service: Service, before: dict[str, Any], parameters: Mapping[str, Any]) -> None:
    """Make a new primary deployment; those before it go on until it is completed.

    Back to a completed version whose tasks may still run, it is that deployment again: nothing is started that runs already.
    """
    earlier = [before | {"status": "ACTIVE"}, *service.deployments[1:]]
    for deployment in earlier[1:]:
        if outcomes(service).get(deployment["id"]) == COMPLETED and not is_another_version(
            deployment, service, parameters
        ):
            deployment["status"] = "PRIMARY"
            service.deployments = [deployment, *(each for each in earlier if each is not deployment)]
            return
    primary = deepcopy(before) | {
        "id": f"ecs-svc/{secrets.randbelow(10**19):019d}",
        "createdAt": utcnow(),
        "failedTasks": 0,
        "status": "PRIMARY",
    }
    service.deployments = [primary, *earlier]


def bring_up_to_date(service: Service, parameters: Mapping[str, Any]) -> None:
    """Let the primary deployment tell what the service is now."""
    for deployment in service.deployments[:1]:
        deployment |= {name: parameters[name] for name in DEPLOYED if parameters.get(name) is not None}
        deployment |= {
            "taskDefinition": service.task_definition,
            "desiredCount": service.desired_count,
            "updatedAt": utcnow(),
        }
    present(service)


def told_of(service: Service) -> Mapping[str, Any] | None:
    """Return what the plane tells of a service; none without a plane, or one that has not seen it yet."""
    plane = data_plane.current()
    found: Mapping[str, Any] | None = (plane.told.get("services") or {}).get(service.arn) if plane else None
    return found


def present(service: Service) -> None:
    """Let a service tell what runs of it: what the plane tells, and nothing where none does."""
    told = told_of(service) or {}
    service.running_count = told.get("runningCount", 0)
    service.pending_count = told.get("pendingCount", max(service.desired_count - service.running_count, 0))
    service.events = [
        {**event, "createdAt": datetime.fromtimestamp(event["createdAt"], UTC)} for event in told.get("events", ())
    ]
    known = {each["id"]: each for each in told.get("deployments", ())}
    for deployment in service.deployments:
        _present_deployment(service, deployment, known.get(deployment["id"]))
    primary = service.deployments[:1]
    others = service.deployments[1:]
    has_rolled_out = bool(primary) and primary[0]["rolloutState"] == COMPLETED
    # The last one that was completed is where a failed one goes back to; the others stay while tasks of theirs run.
    service.deployments = [
        *primary,
        *(
            each
            for each in others
            if each["runningCount"] or (each["rolloutState"] == COMPLETED and not has_rolled_out)
        ),
    ]


def _present_deployment(service: Service, deployment: dict[str, Any], told: Mapping[str, Any] | None) -> None:
    is_primary = deployment["status"] == "PRIMARY"
    outcome = outcomes(service).get(deployment["id"])
    wanted = service.desired_count if is_primary else 0
    if told is None:
        # Where nobody runs tasks nothing has rolled out, unless nothing is to run.
        state = outcome if outcome and (data_plane.current() or not is_primary) else None
        state = state or ("IN_PROGRESS" if wanted or not is_primary else COMPLETED)
        words = {COMPLETED: "completed", FAILED: "failed", "IN_PROGRESS": "in progress"}
        told = {
            "rolloutState": state,
            "rolloutStateReason": f"ECS deployment {deployment['id']} {words[state]}.",
            "runningCount": 0,
            "pendingCount": wanted,
            "failedTasks": 0,
        }
    deployment |= {**told, "desiredCount": wanted}


def take(plane: DataPlane) -> None:
    """Keep of what a plane tells what is ECS's own to know."""
    told = plane.told.get("services") or {}
    for service in _services():
        if service.arn in told:
            _take(service, told[service.arn])


def _take(service: Service, told: Mapping[str, Any]) -> None:
    known = outcomes(service)
    before = dict(known)
    for deployment in told["deployments"]:
        if deployment["rolloutState"] in {COMPLETED, FAILED}:
            known[deployment["id"]] = deployment["rolloutState"]
    ids = {deployment["id"] for deployment in service.deployments}
    rolled_back = told.get("rolledBack")
    if rolled_back and service.deployments[0]["id"] == rolled_back[0] and rolled_back[1] in ids:
        _roll_back(service, rolled_back[1])
    if known != before:
        for old in list(known)[:-_KEPT_OUTCOMES]:
            del known[old]
        data_plane.touch()


def _roll_back(service: Service, target: str) -> None:
    """Make an earlier deployment the primary one again, and the service what that was."""
    (again,) = [deployment for deployment in service.deployments if deployment["id"] == target]
    others = [deployment | {"status": "ACTIVE"} for deployment in service.deployments if deployment is not again]
    again["status"] = "PRIMARY"
    service.deployments = [again, *others]
    for name in DEPLOYED:
        if again.get(name) is not None:
            setattr(service, xform_name(name), again[name])


def _services() -> Iterator[Service]:
    for _, _, backend in list(ecs_backends.iter_backends()):
        assert isinstance(backend, EC2ContainerServiceBackend)  # noqa: S101 - for the type checker: they are ECS's
        yield from list(backend.services.values())


def find(arn: str) -> Service | None:
    """Return a service by its ARN."""
    return next((service for service in _services() if service.arn == arn), None)


data_plane.on_beat.append(take)
