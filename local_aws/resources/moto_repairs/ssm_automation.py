"""Systems Manager: Automations, which moto 5.2.5 does not have.

Their scripts run as functions do, in a process of their own with nothing but boto3, against this very server. What they ask of
machines goes the way of every command: without a data plane it is not delivered, and an Automation that needs a machine fails.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import uuid
import zipfile
from collections.abc import Mapping
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ssm.models import SimpleSystemManagerBackend
from moto.ssm.responses import SimpleSystemManagerResponse

from local_aws.automation import Automation, AutomationError
from local_aws.functions.runner import Invocation, run
from local_aws.resources.moto_repairs.awslambda import endpoint
from local_aws.resources.moto_repairs.patching import add

_MODULE = "automation_script"
_FILTERS = {"DocumentNamePrefix", "ExecutionStatus"}
_LOST = "the local AWS was started anew while it ran"
_running: set[str] = set()
log = logging.getLogger(__name__)


class AutomationDefinitionNotFoundError(ServiceException):
    """There is no such document."""

    code = "AutomationDefinitionNotFoundException"


class AutomationExecutionNotFoundError(ServiceException):
    """There is no such execution."""

    code = "AutomationExecutionNotFoundException"


class Execution(BaseModel):
    """One execution of a document, as the API tells of it."""

    def __init__(self, document: str, parameters: dict[str, list[str]], token: str | None) -> None:
        self.id = str(uuid.uuid4())
        self.document = document
        self.parameters = parameters
        self.token = token
        self.status = "InProgress"
        self.failure = ""
        self.began = utcnow()
        self.ended: Any = None
        self.steps: list[dict[str, Any]] = []

    def note(self, name: str, action: str, status: str) -> None:
        """Take down how a step stands."""
        if status == "InProgress":
            self.steps.append(
                {"StepName": name, "Action": action, "StepStatus": status, "ExecutionStartTime": utcnow()}
            )
            return
        step = next(step for step in reversed(self.steps) if step["StepName"] == name)
        step.update(StepStatus=status, ExecutionEndTime=utcnow())

    def end(self, status: str, failure: str = "") -> None:
        """Take down how it ended."""
        self.status, self.failure, self.ended = status, failure, utcnow()
        _running.discard(self.id)

    def summary(self) -> dict[str, Any]:
        """Return what a list tells of it."""
        if self.status == "InProgress" and self.id not in _running:
            self.end("Failed", _LOST)
        return {
            "AutomationExecutionId": self.id,
            "AutomationExecutionStatus": self.status,
            "DocumentName": self.document,
            "ExecutionStartTime": self.began,
            **({"ExecutionEndTime": self.ended} if self.ended else {}),
            **({"FailureMessage": self.failure} if self.failure else {}),
        }


def _executions(backend: SimpleSystemManagerBackend) -> dict[str, Execution]:
    found: dict[str, Execution] = backend.__dict__.setdefault("automation_executions", {})
    return found


def start_automation_execution(self: SimpleSystemManagerResponse) -> ActionResult:
    """StartAutomationExecution; the same token starts one only once."""
    backend, name, token = self.ssm_backend, self._get_param("DocumentName"), self._get_param("ClientToken")
    documents = backend._documents  # noqa: SLF001 - moto gives no other way to them
    if name not in documents or documents[name].get_default_version().document_type != "Automation":
        raise AutomationDefinitionNotFoundError(f"There is no Automation document {name}.")
    begun = next((one for one in _executions(backend).values() if token and one.token == token), None)
    if begun is None:
        begun = Execution(name, self._get_param("Parameters", {}), token)
        _executions(backend)[begun.id] = begun
        _running.add(begun.id)
        content = json.loads(documents[name].get_default_version().content)
        arguments = (begun, content, endpoint(), self.region)
        threading.Thread(target=_carry_out, args=arguments, name=f"automation {begun.id}", daemon=True).start()
    return ActionResult({"AutomationExecutionId": begun.id})


def get_automation_execution(self: SimpleSystemManagerResponse) -> ActionResult:
    """GetAutomationExecution."""
    found = _executions(self.ssm_backend).get(self._get_param("AutomationExecutionId"))
    if found is None:
        raise AutomationExecutionNotFoundError("There is no such execution.")
    told = {**found.summary(), "Parameters": found.parameters, "StepExecutions": found.steps}
    return ActionResult({"AutomationExecution": told})


def describe_automation_executions(self: SimpleSystemManagerResponse) -> ActionResult:
    """DescribeAutomationExecutions, by the beginning of the document's name and by status."""
    wanted = {one["Key"]: one["Values"] for one in self._get_param("Filters", [])}
    if unknown := wanted.keys() - _FILTERS:
        raise NotImplementedError(f"the filter {', '.join(sorted(unknown))} is not carried")
    found = [
        told
        for told in (one.summary() for one in list(_executions(self.ssm_backend).values()))
        if any(told["DocumentName"].startswith(prefix) for prefix in wanted.get("DocumentNamePrefix", [""]))
        and told["AutomationExecutionStatus"] in wanted.get("ExecutionStatus", [told["AutomationExecutionStatus"]])
    ]
    return ActionResult({"AutomationExecutionMetadataList": found})


def _carry_out(execution: Execution, content: Mapping[str, Any], address: str, region: str) -> None:
    """Carry an execution out to its end, in a thread of its own."""

    def run_script(script: str, handler: str, payload: Mapping[str, Any], seconds: float) -> Any:
        outcome = run(
            Invocation(
                name=execution.document,
                arn=execution.id,
                version="1",
                runtime="python",
                handler=f"{_MODULE}.{handler}",
                archive=_packed(script),
                timeout_seconds=seconds,
                region=region,
                endpoint=address,
                event=payload,
            )
        )
        if outcome.failed:
            raise AutomationError(str(outcome.payload.get("errorMessage", outcome.log)))
        return outcome.payload

    declared = content.get("parameters", {})
    defaults = {name: parameter["default"] for name, parameter in declared.items() if "default" in parameter}
    given = {name: values[0] for name, values in execution.parameters.items()}
    values = {**defaults, **given, "automation:EXECUTION_ID": execution.id}
    try:
        Automation(values, run_script, execution.note).carry_out(content["mainSteps"])
    except AutomationError as error:
        execution.end("Failed", str(error))
    except Exception as error:
        log.exception("the automation %s broke", execution.id)
        execution.end("Failed", f"it broke: {error!r}")
    else:
        execution.end("Success")


def _packed(script: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(zipfile.ZipInfo(f"{_MODULE}.py"), script)
    return packed.getvalue()


def apply() -> None:
    """Add Automations."""
    add(
        SimpleSystemManagerResponse,
        start_automation_execution,
        get_automation_execution,
        describe_automation_executions,
    )
