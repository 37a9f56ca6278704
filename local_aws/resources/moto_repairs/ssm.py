"""Systems Manager: a command that nobody carries out has not succeeded, and it goes only to those that it names.

moto 5.2.5 answers every command with Success at once, which lets any gate pass that asks a node by SSM; a command without targets
goes to every instance there is; and nobody can be asked which instances there are. Here the data plane carries commands out, by the
very script of the document; where none is registered, a command is one that could not be delivered in time.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ssm.exceptions import InvalidDocument
from moto.ssm.models import Command, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from local_aws import data_plane
from local_aws.data_plane import DataPlane, DataPlaneError
from local_aws.errors import LocalAwsError
from local_aws.resources.moto_repairs.patching import add, around

NOT_DELIVERED = {
    "Status": "TimedOut",
    "StatusDetails": "DeliveryTimedOut",
    "ResponseCode": -1,
    "ExecutionStartDateTime": "",
    "ExecutionElapsedTime": "",
    "ExecutionEndDateTime": "",
}
_UNDER_WAY = {**NOT_DELIVERED, "Status": "InProgress", "StatusDetails": "InProgress"}
_DETAILS = {"TimedOut": "ExecutionTimedOut"}
_USUAL_SECONDS = 3600
_ANSWER_SECONDS = 30.0
_PARAMETER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_running: set[str] = set()


class DocumentNotCarriedError(LocalAwsError):
    """A document does something that the data plane does not do."""


def script_of(content: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> tuple[str, float]:
    """Return the shell that a document runs, with its parameters in their places, and how long it may take.

    Raises:
        DocumentNotCarriedError: A step is something else, or a parameter is missing or not allowed.
    """
    values = {}
    for name, parameter in content.get("parameters", {}).items():
        value = given[name][0] if name in given else parameter.get("default")
        if not isinstance(value, str) or not re.fullmatch(parameter.get("allowedPattern", ".*"), value, re.DOTALL):
            raise DocumentNotCarriedError(f"the parameter {name} is missing, or is not what its pattern allows")
        values[name] = value
    lines: list[str] = []
    seconds = 0.0
    for step in content["mainSteps"]:
        if step["action"] != "aws:runShellScript":
            raise DocumentNotCarriedError(f"{step['action']} is not carried, only aws:runShellScript is")
        lines += step["inputs"]["runCommand"]
        seconds += float(step["inputs"].get("timeoutSeconds", _USUAL_SECONDS))
    return _PARAMETER.sub(lambda found: values.get(found[1], found[0]), "\n".join(lines)), seconds


def _begin(plane: DataPlane, command: Command) -> None:
    """Hand a command to the plane, and let it go on by itself."""
    documents = ssm_backends[command.account_id][command.backend_region]._documents  # noqa: SLF001
    if command.document_name not in documents:
        raise InvalidDocument(f"Document with name {command.document_name} does not exist.")
    document = documents[command.document_name].get_default_version()
    script, seconds = script_of(json.loads(document.content), command.parameters)
    command.status = command.status_details = "InProgress"
    command.completed_count = 0
    _running.add(command.command_id)
    waiting = [_Waiting(plane, command, invocation, script, seconds) for invocation in command.invocations]
    for each in waiting:
        each.invocation.update(_UNDER_WAY)
    for each in waiting:
        threading.Thread(target=each.carry_out, name=f"command {command.command_id}", daemon=True).start()


class _Waiting:
    """One command on its way to one instance."""

    def __init__(
        self, plane: DataPlane, command: Command, invocation: dict[str, Any], script: str, seconds: float
    ) -> None:
        self.invocation = invocation
        self._plane = plane
        self._command = command
        self._script = script
        self._seconds = seconds

    def carry_out(self) -> None:
        """Have the plane carry it out, and note how it ended."""
        command, delivery = self._command, float(self._command.timeout_seconds)
        asked = {
            "instance": self.invocation["InstanceId"],
            "script": self._script,
            "timeout_seconds": self._seconds,
            "delivery_seconds": delivery,
        }
        began = utcnow()
        try:
            told = self._plane.call("run-command", asked, delivery + self._seconds + _ANSWER_SECONDS)
        except DataPlaneError as error:
            told = {"status": "Failed", "code": -1, "output": "", "errors": str(error)}
        if told["status"] == "DeliveryTimedOut":
            ended: dict[str, Any] = NOT_DELIVERED
        else:
            ended = {
                "ResponseCode": told["code"],
                "StandardOutputContent": told["output"],
                "StandardErrorContent": told["errors"],
                "ExecutionStartDateTime": began.isoformat(),
                "ExecutionElapsedTime": f"PT{(utcnow() - began).total_seconds():.3f}S",
                "ExecutionEndDateTime": utcnow().isoformat(),
                "StatusDetails": _DETAILS.get(told["status"], told["status"]),
                # Last: whoever looks in between sees a command that is under way.
                "Status": told["status"],
            }
        self.invocation.update(ended)
        command.completed_count += 1
        command.error_count += ended["Status"] != "Success"
        if command.completed_count == len(command.invocations):
            command.status, command.status_details = ended["Status"], ended["StatusDetails"]
            _running.discard(command.command_id)


def describe_instance_information(self: SimpleSystemManagerResponse) -> ActionResult:
    """DescribeInstanceInformation: the machines that the plane runs."""
    plane = data_plane.current()
    machines: Mapping[str, str] = plane.told.get("machines", {}) if plane else {}
    filters = [
        (one.get("Key") or one.get("key"), one.get("Values") or one.get("valueSet") or [])
        for name in ("Filters", "InstanceInformationFilterList")
        for one in self._get_param(name, [])
    ]
    wanted = [values for key, values in filters if key == "InstanceIds"]
    online = [
        {"InstanceId": machine, "PingStatus": "Online", "LastPingDateTime": utcnow(), "PlatformType": "Linux"}
        for machine in machines
        if all(machine in values for values in wanted)
    ]
    return ActionResult({"InstanceInformationList": online})


def apply() -> None:
    """Mend the outcome of commands and the instances that they go to."""
    add(SimpleSystemManagerResponse, describe_instance_information)

    @around(Command, "__init__")
    def begun_or_not_delivered(original: Callable[..., None], command: Command, *arguments: Any, **named: Any) -> None:
        original(command, *arguments, **named)
        if plane := data_plane.current():
            _begin(plane, command)
            return
        command.status = "TimedOut"
        command.status_details = "DeliveryTimedOut"
        command.completed_count = 0
        for invocation in command.invocations:
            invocation.update(NOT_DELIVERED)

    @around(Command, "get_invocation")
    def of_one_that_runs(original: Callable[..., Any], command: Command, *arguments: Any) -> dict[str, Any]:
        invocation: dict[str, Any] = original(command, *arguments)
        if invocation["Status"] == "InProgress" and command.command_id not in _running:
            # The local AWS was started anew meanwhile: nobody waits for it any more.
            invocation.update(NOT_DELIVERED)
        return invocation

    @around(Command, "response_object")
    def counted(original: Callable[[Command], dict[str, Any]], command: Command) -> dict[str, Any]:
        silent = sum(invocation["StatusDetails"] == "DeliveryTimedOut" for invocation in command.invocations)
        return {**original(command), "DeliveryTimedOutCount": silent, "TargetCount": len(command.invocations)}

    @around(Command, "_get_instance_ids_from_targets")
    def only_targets(original: Callable[[Command], list[str]], command: Command) -> list[str]:
        return original(command) if command.targets else []
