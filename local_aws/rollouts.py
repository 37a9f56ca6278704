"""What a stack operation waits for after it has made or changed an ECS service: that the version runs, where somebody runs it."""

from __future__ import annotations

import secrets
import time
import uuid

from local_aws import data_plane
from local_aws.data_plane import DataPlane
from local_aws.errors import ResourceFailedError
from local_aws.resources.contract import Made
from local_aws.resources.moto_repairs.ecs_deployments import COMPLETED, FAILED, find, outcomes
from local_aws.world import Settled

_SERVICE = "AWS::ECS::Service"


def settling(resource_type: str, made: Made) -> Settled | None:
    """Return what to wait for; nothing where no data plane is there to run anything, or it is about something else."""
    if resource_type != _SERVICE or data_plane.current() is None:
        return None
    service = find(made.physical_id)
    if service is None or not service.deployments:
        return None
    deployment = str(service.deployments[0]["id"])
    asked = time.monotonic()

    def has_rolled_out() -> bool:
        service = find(made.physical_id)
        plane = data_plane.current()
        if service is None or plane is None:
            raise ResourceFailedError(f"the local data plane went away while {made.physical_id} was rolled out")
        if outcomes(service).get(deployment) == FAILED:
            raise ResourceFailedError(
                "Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit Breaker was "
                f"triggered'.\" (RequestToken: {uuid.UUID(bytes=secrets.token_bytes(16))}, HandlerErrorCode: GeneralServiceException)"
                f"{_last_failure(plane, made.physical_id, deployment)}"
            )
        return plane.heard > asked and _runs(plane, made.physical_id, deployment, int(service.desired_count))

    return has_rolled_out


def _runs(plane: DataPlane, arn: str, deployment: str, desired: int) -> bool:
    """Tell whether a deployment is all that runs of a service, by what the plane told last."""
    told = (plane.told.get("services") or {}).get(arn)
    if told is None:
        return False
    states = {each["id"]: each["rolloutState"] for each in told["deployments"]}
    return states.get(deployment) == COMPLETED and bool(told["runningCount"] == desired)


def _last_failure(plane: DataPlane, arn: str, deployment: str) -> str:
    """Return why a task of a deployment stopped last, which AWS leaves its callers to look for."""
    told = (plane.told.get("services") or {}).get(arn) or {"tasks": []}
    stopped = [task for task in told["tasks"] if task["startedBy"] == deployment and task["lastStatus"] == "STOPPED"]
    if not stopped:
        return ""
    last = max(stopped, key=lambda task: float(task["stoppedAt"]))
    codes = [f", exit code {each['exitCode']}" for each in last["containers"] if "exitCode" in each]
    return f" The task that stopped last: {last['stoppedReason']}{''.join(codes)}"
