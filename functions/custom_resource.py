"""How a function answers CloudFormation.

Source: CloudFormation user guide, "Custom resource request and response objects".
"""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.exceptions import ClientError

LONGEST_REASON = 1000  # characters; the whole answer may have 4,096 bytes
_ANSWER_SECONDS = 30
_log = logging.getLogger(__name__)

RequestType = Literal["Create", "Update", "Delete"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What CloudFormation is told of a resource that is as it should be."""

    physical_id: str
    data: Mapping[str, str]
    """Attributes for `Fn::GetAtt`."""


Provider = Callable[[RequestType, Mapping[str, Any]], Answer | None]
"""Does what is asked for; None where another run of the function, which it has seen to, is going to answer."""


def is_request(event: Mapping[str, Any]) -> bool:
    """Tell whether CloudFormation asks, and not a schedule or a person."""
    return "ResponseURL" in event


def rolls_back(event: Mapping[str, Any]) -> bool:
    """Tell whether the stack that asks is on its way back.

    A node that does not follow then must not hold up the way back: that would leave the whole stack in a state that only a person
    can end, and help nobody.
    """
    try:
        (stack,) = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    except ClientError as error:
        _log.warning(
            "whether the stack is on its way back could not be seen, so it is taken for one that goes on: %s", error
        )
        return False
    return "ROLLBACK" in stack["StackStatus"]


def answer(event: Mapping[str, Any], provider: Provider) -> None:
    """Let a provider do what CloudFormation asks for, and send what came of it.

    Whatever happens, an answer is sent, unless the provider has seen to it that one comes: a stack waits an hour for it.
    """
    body: dict[str, Any] = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    # Of a resource that was never made, a failed creation has no id yet; CloudFormation wants one all the same.
    body["PhysicalResourceId"] = event.get("PhysicalResourceId", event["LogicalResourceId"])
    try:
        made = provider(event["RequestType"], event["ResourceProperties"])
    except Exception as error:  # noqa: BLE001 (the stack is told, whatever it was)
        _log.exception("%s of %s failed", event["RequestType"], event["LogicalResourceId"])
        body |= {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}"[:LONGEST_REASON]}
    else:
        if made is None:
            return
        body |= {"Status": "SUCCESS", "PhysicalResourceId": made.physical_id, "Data": dict(made.data)}
    request = urllib.request.Request(  # noqa: S310 (CloudFormation's own address, from its own event)
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310
        pass
