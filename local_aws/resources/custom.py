"""Custom resources: CloudFormation's protocol, with the function's own handler at the other end.

CloudFormation calls the function with a request and an address; the handler puts its answer there. Here the handler is a child
process, so that one which ends without an answer is known at once, where CloudFormation waits for an hour.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.errors import LocalAwsError
from local_aws.functions.answer_box import AnswerBox
from local_aws.functions.moto_function import function_at, invoke
from local_aws.resources.calls import Properties
from local_aws.resources.contract import Context, Made

_LONGEST_ANSWER = 4096
_LONGEST_ID = 1024
_USUAL_TIMEOUT = 3600


class CustomResourceError(LocalAwsError):
    """A custom resource answered that it failed, or did not answer as it must.

    Args:
        message: what CloudFormation would show.
        physical_id: what the failed resource said that it is called, if it said so.
    """

    def __init__(self, message: str, physical_id: str | None = None) -> None:
        super().__init__(message)
        self.physical_id = physical_id


@dataclass(frozen=True, slots=True)
class CustomResource:
    """One type of custom resource: `AWS::CloudFormation::CustomResource`, or `Custom::` and a name."""

    type_name: str

    def create(self, context: Context, properties: Properties) -> Made:
        """Ask for a resource; one that failed is asked to go again, as it may be half there."""
        provisional = f"{context.stack_name}-{context.logical_id}-{uuid.uuid4().hex[:12].upper()}"
        try:
            return self._ask(context, "Create", properties)
        except CustomResourceError as error:
            try:
                self.delete(context, Made(error.physical_id or provisional), properties)
            except CustomResourceError as second:
                error.add_note(f"and it could not be asked to delete what it may have made: {second}")
            raise

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Ask for a change; an answer with another physical id is a replacement."""
        if old == new:  # only the stack's tags changed, of which custom resources are not told
            return made
        if old["ServiceToken"] != new["ServiceToken"]:
            raise CustomResourceError("Modifying service token is not allowed.")
        return self._ask(
            context, "Update", new, PhysicalResourceId=made.physical_id, OldResourceProperties=_as_text(old)
        )

    def delete(self, context: Context, made: Made, properties: Properties) -> None:
        """Ask the resource to go."""
        self._ask(context, "Delete", properties, PhysicalResourceId=made.physical_id)

    def _ask(self, context: Context, request_type: str, properties: Properties, **more: Any) -> Made:
        function = function_at(properties["ServiceToken"])
        if function is None:
            raise CustomResourceError(f"there is no function {properties['ServiceToken']} to ask")
        with AnswerBox() as box:
            request = {
                "RequestType": request_type,
                "ResponseURL": box.url,
                "StackId": context.stack_id,
                "RequestId": str(uuid.uuid4()),
                "ResourceType": self.type_name,
                "LogicalResourceId": context.logical_id,
                "ServiceToken": properties["ServiceToken"],
                "ResourceProperties": _as_text(properties),
                **more,
            }
            outcome = invoke(
                function,
                request,
                endpoint=context.client("lambda").meta.endpoint_url,
                at_most_seconds=float(properties.get("ServiceTimeout", _USUAL_TIMEOUT)),
            )
            answer = box.answer()
        if answer is None:
            raise CustomResourceError(f"{function.function_name} ended without an answer: {outcome.reason}")
        return _made(_checked(answer, request), request)


def _checked(answer: bytes, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an answer that keeps to the protocol."""
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise CustomResourceError("Invalid Json") from error
    if not isinstance(said, dict) or said.get("Status") not in {"SUCCESS", "FAILED"}:
        raise CustomResourceError("Invalid Status: an answer is SUCCESS or FAILED")
    told = said.get("PhysicalResourceId")
    physical_id = told if isinstance(told, str) and told else None
    if len(answer) > _LONGEST_ANSWER:
        raise CustomResourceError(
            f"Response object is too long: {len(answer)} bytes, {_LONGEST_ANSWER} are allowed", physical_id
        )
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if said.get(name) != request[name]:
            raise CustomResourceError(f"the answer's {name} is not the request's", physical_id)
    if said["Status"] == "FAILED":
        reason = said.get("Reason") or "none was given"
        raise CustomResourceError(
            f"Received response status [FAILED] from custom resource. Message returned: {reason} (RequestId: {request['RequestId']})",
            physical_id,
        )
    if physical_id is None or len(physical_id) > _LONGEST_ID:
        raise CustomResourceError("Invalid PhysicalResourceId")
    return said


def _made(said: Mapping[str, Any], request: Mapping[str, Any]) -> Made:
    data = said.get("Data") or {}
    if not isinstance(data, dict):
        raise CustomResourceError(
            "Vendor response doesn't contain attributes: Data is not an object", said["PhysicalResourceId"]
        )
    if request["RequestType"] == "Delete":
        return Made(said["PhysicalResourceId"])
    return Made(said["PhysicalResourceId"], data)


def _as_text(value: Any) -> Any:
    """Return properties as CloudFormation hands them on: whatever is no list and no object is text."""
    if isinstance(value, Mapping):
        return {name: _as_text(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(member) for member in value]
    return json.dumps(value) if isinstance(value, bool) else str(value)
