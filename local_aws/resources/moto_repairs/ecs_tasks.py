"""ECS tasks: those of services are what the data plane says that runs.

moto 5.2.5 runs no task for a service, and lists those of RunTask as running although nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from local_aws import data_plane
from local_aws.data_plane import DataPlaneError
from local_aws.resources.moto_repairs.patching import around

_TIMES = ("createdAt", "startedAt", "stoppingAt", "stoppedAt")
_STOP_SECONDS = 10.0


def tasks() -> list[dict[str, Any]]:
    """Return the tasks that the plane tells of."""
    plane = data_plane.current()
    told: Mapping[str, Any] = (plane.told.get("services") or {}) if plane else {}
    return [_task(task) for service in told.values() for task in service["tasks"]]


def _task(told: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromtimestamp(told[name], UTC) for name in _TIMES if name in told}
    return {**told, **times}


def _name(text: str) -> str:
    """Return the last part of an ARN, or of what is a name already."""
    return text.rpartition("/")[2]


def _is_meant(task: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    family = parameters.get("family")
    service = parameters.get("serviceName")
    return (
        _name(task["clusterArn"]) == _name(parameters.get("cluster", "default"))
        and task["desiredStatus"] == parameters.get("desiredStatus", "RUNNING")
        and (service is None or task["group"] == f"service:{_name(service)}")
        and (family is None or _name(task["taskDefinitionArn"]).partition(":")[0] == family)
        and parameters.get("startedBy", task["startedBy"]) == task["startedBy"]
        and parameters.get("launchType", task["launchType"]) == task["launchType"]
        and "containerInstance" not in parameters
    )


def apply() -> None:
    """Mend listing, description and stopping of tasks."""

    @around(EC2ContainerServiceResponse, "list_tasks")
    def list_tasks(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        parameters = response._get_params()  # noqa: SLF001 - moto's own way to all parameters
        others = [] if parameters.get("serviceName") else original(response).result["taskArns"]  # type: ignore[index]
        return ActionResult({"taskArns": [*others, *(t["taskArn"] for t in tasks() if _is_meant(t, parameters))]})

    @around(EC2ContainerServiceResponse, "describe_tasks")
    def describe_tasks(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        result = original(response)
        parameters = response._get_params()  # noqa: SLF001
        wanted = {_name(task) for task in parameters.get("tasks", ())}
        ours = [task for task in tasks() if _name(task["taskArn"]) in wanted]
        answer: Any = result.result
        found = [*answer["tasks"], *ours]
        known = {_name(task["taskArn"] if isinstance(task, dict) else task.task_arn) for task in found}
        missing = [task for task in parameters.get("tasks", ()) if _name(task) not in known]
        answer |= {"tasks": found, "failures": [{"arn": task, "reason": "MISSING"} for task in missing]}
        return result

    @around(EC2ContainerServiceResponse, "stop_task")
    def stop_task(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        parameters = response._get_params()  # noqa: SLF001
        plane = data_plane.current()
        ours = [task for task in tasks() if _name(task["taskArn"]) == _name(parameters["task"])]
        if plane is None or not ours:
            known = response.ecs_backend.tasks.get(_name(parameters.get("cluster", "default")), {})
            if not any(_name(arn) == _name(parameters["task"]) for arn in known):
                raise InvalidParameterException("The referenced task was not found.")
            return original(response)
        arguments = {"task": ours[0]["taskArn"], "reason": parameters.get("reason")}
        try:
            plane.call("stop-task", arguments, _STOP_SECONDS)
        except DataPlaneError as error:
            raise InvalidParameterException(str(error)) from error
        return ActionResult({"task": {**ours[0], "desiredStatus": "STOPPED"}})
