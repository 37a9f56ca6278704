"""A request of the CloudFormation API, on moto's wire layer: its parsing and its serialisation, over our engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from moto.core.errors import COMMON_ERROR_CODES
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores

from local_aws.errors import RequestRefusedError
from local_aws.model import Stack
from local_aws.operations import DO_NOTHING
from local_aws.requests import DeploymentRequest, Requests

log = logging.getLogger(__name__)

_PAGE = 100
# The CDK CLI asks for a stack's status every five seconds. To it a busy stack's answer is held until the operation ends, or
# for this long, so that a deployment of many quick stacks does not consist of waiting. Its events are polled apart from that.
_HOLD_SECONDS = 20.0
_CDK_AGENT = "aws-cdk/"

# What a request may say and the engine would have to pass over in silence. ImportExistingResources is not among them: it only
# permits what does not happen here, and a resource that exists already still fails its creation.
_NOT_CARRIED: dict[str, Callable[[Any], bool]] = {
    "DeploymentMode": bool,
    "NotificationARNs": bool,
    "ResourceTypes": bool,
    "ResourcesToImport": bool,
    "RollbackConfiguration": lambda value: bool(value and value.get("RollbackTriggers")),
    "StackPolicyBody": bool,
    "StackPolicyDuringUpdateBody": bool,
    "StackPolicyDuringUpdateURL": bool,
    "StackPolicyURL": bool,
    "TimeoutInMinutes": bool,
    "DeploymentConfig": lambda value: (value or {}).get("Mode", "STANDARD") != "STANDARD",
}

# moto warns of codes that the service's model does not know.
COMMON_ERROR_CODES.extend(["InternalFailure", "UnsupportedOperation"])


class _Refused(ServiceException):
    """An error of ours on its way to the caller."""


class CloudFormationRequest(BaseResponse):
    """One request; the operations are the methods `do_…` of a subclass.

    moto makes one object of this class for each request, so what they share is an attribute of the class.
    """

    engine: ClassVar[Requests]

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True
        self.params: Mapping[str, Any] = {}

    def call_action(self) -> Any:
        """Answer the request."""
        self._hold()
        result: Any
        try:
            with self.engine.world.gate.request():
                result = self._answer()
        except RequestRefusedError as error:
            result = _Refused(error.code, str(error))
        except Exception as error:
            log.exception("%s broke", self._get_action())
            result = _Refused("InternalFailure", f"Internal failure of the local AWS: {error!r}")
        status, headers, body = self.serialized(ActionResult(result))
        headers, body = self._enrich_response(headers, body)
        return status, headers, body

    def _answer(self) -> Any:
        action = self._get_action()
        method: Callable[[], Any] | None = getattr(self, f"do_{camelcase_to_underscores(action)}", None)
        if method is None:
            raise RequestRefusedError(f"{action} is not carried by the local AWS", "UnsupportedOperation")
        return method()

    def _hold(self) -> None:
        """Wait, before a stack is described to the CDK CLI, until the stack is no longer busy."""
        if self._get_action() != "DescribeStacks" or _CDK_AGENT not in self.headers.get("User-Agent", ""):
            return
        name = self.params.get("StackName")
        stack = self.engine.world.find(self.region, str(name)) if name else None
        if stack is not None and stack.is_busy:
            self.engine.operations.wait(stack, _HOLD_SECONDS)

    # -- reading the request

    def stack(self) -> Stack:
        """Return the stack that the request names."""
        return self.engine.stack(self.region, str(self.params["StackName"]))

    def template_body(self) -> str | None:
        """Return the template that the request brings, or nothing if it asks for the one that is deployed."""
        body, url = self.params.get("TemplateBody"), self.params.get("TemplateURL")
        if self.params.get("UsePreviousTemplate"):
            if body or url:
                raise RequestRefusedError("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
            return None
        if not body and not url:
            raise RequestRefusedError("Either Template URL or Template Body must be specified.")
        return str(body) if body else self.engine.world.template_at(self.region, str(url))

    def deployment(self) -> DeploymentRequest:
        """Return what the request asks to be deployed.

        Raises:
            RequestRefusedError: it asks for something that the engine does not carry.
        """
        for name, is_asked in _NOT_CARRIED.items():
            if name in self.params and is_asked(self.params[name]):
                raise RequestRefusedError(f"{name} is not carried by the local AWS")
        # An empty list takes all tags off, and no list leaves them: the two differ only by the bare key.
        tags = {tag["Key"]: tag["Value"] for tag in self.params.get("Tags") or []}
        return DeploymentRequest(
            template_body=self.template_body(),
            parameters=self.params.get("Parameters") or [],
            tags=tags if tags or "Tags" in self.querystring else None,
            capabilities=tuple(self.params.get("Capabilities") or ()),
            role_arn=self.params.get("RoleARN"),
            token=self.params.get("ClientRequestToken") or self.params.get("ClientToken"),
        )

    def on_failure(self) -> str:
        """Return what is to become of a deployment that fails."""
        if self.params.get("DisableRollback"):
            return DO_NOTHING
        return str(self.params.get("OnFailure") or "ROLLBACK")

    def page(self, key: str, items: Sequence[Any]) -> dict[str, Any]:
        """Return one page of a list."""
        start = int(self.params.get("NextToken") or 0)
        following = start + _PAGE
        return {key: items[start:following], "NextToken": str(following) if following < len(items) else None}

    def page_of_latest(self, key: str, items: Sequence[Any]) -> dict[str, Any]:
        """Return one page of a list that grows while it is read, the latest first: what comes in between shifts nothing."""
        end = int(self.params.get("NextToken") or len(items))
        start = max(0, end - _PAGE)
        return {key: list(reversed(items[start:end])), "NextToken": str(start) if start else None}
