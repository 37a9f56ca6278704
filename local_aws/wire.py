"""The CloudFormation API, on moto's wire layer: its parsing and its serialisation, over our engine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores

from local_aws import describe
from local_aws.errors import RequestRefusedError
from local_aws.model import REVIEW, Stack
from local_aws.operations import DO_NOTHING
from local_aws.requests import DeploymentRequest, Requests
from local_aws.template import load, parse

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


class _Refused(ServiceException):
    """An error of ours on its way to the caller."""


class CloudFormationApi(BaseResponse):
    """One request of the CloudFormation API.

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

    def _stack(self, key: str = "StackName") -> Stack:
        return self.engine.stack(self.region, str(self.params[key]))

    def _template_body(self) -> str | None:
        body, url = self.params.get("TemplateBody"), self.params.get("TemplateURL")
        if self.params.get("UsePreviousTemplate"):
            if body or url:
                raise RequestRefusedError("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
            return None
        if not body and not url:
            raise RequestRefusedError("Either Template URL or Template Body must be specified.")
        return str(body) if body else self.engine.world.template_at(self.region, str(url))

    def _deployment(self) -> DeploymentRequest:
        for name, is_asked in _NOT_CARRIED.items():
            if name in self.params and is_asked(self.params[name]):
                raise RequestRefusedError(f"{name} is not carried by the local AWS")
        # An empty list takes all tags off, and no list leaves them: the two differ only by the bare key.
        tags = {tag["Key"]: tag["Value"] for tag in self.params.get("Tags") or []}
        return DeploymentRequest(
            template_body=self._template_body(),
            parameters=self.params.get("Parameters") or [],
            tags=tags if tags or "Tags" in self.querystring else None,
            capabilities=tuple(self.params.get("Capabilities") or ()),
            role_arn=self.params.get("RoleARN"),
            token=self.params.get("ClientRequestToken") or self.params.get("ClientToken"),
        )

    def _on_failure(self) -> str:
        if self.params.get("DisableRollback"):
            return DO_NOTHING
        return str(self.params.get("OnFailure") or "ROLLBACK")

    def _page(self, key: str, items: list[Any]) -> dict[str, Any]:
        start = int(self.params.get("NextToken") or 0)
        following = start + _PAGE
        return {key: items[start:following], "NextToken": str(following) if following < len(items) else None}

    @staticmethod
    def _description(stack: Stack) -> str | None:
        return load(stack.settings.template_body).get("Description") if stack.settings else None

    # -- stacks

    def do_create_stack(self) -> Any:
        """Begin to create a stack."""
        stack = self.engine.create_stack(
            self.current_account,
            self.region,
            str(self.params["StackName"]),
            self._deployment(),
            on_failure=self._on_failure(),
            protect=bool(self.params.get("EnableTerminationProtection")),
        )
        return {"StackId": stack.id}

    def do_update_stack(self) -> Any:
        """Begin to update a stack."""
        stack = self._stack()
        self.engine.update_stack(stack, self._deployment(), on_failure=self._on_failure())
        return {"StackId": stack.id}

    def do_delete_stack(self) -> Any:
        """Begin to delete a stack; one that does not exist is deleted already."""
        stack = self.engine.world.find(self.region, str(self.params["StackName"]))
        if stack is not None and not stack.is_gone:
            self.engine.operations.delete(
                stack,
                retain=frozenset(self.params.get("RetainResources") or ()),
                force=self.params.get("DeletionMode") == "FORCE_DELETE_STACK",
                token=self.params.get("ClientRequestToken"),
            )

    def do_rollback_stack(self) -> Any:
        """Begin to take a failed deployment back."""
        stack = self._stack()
        self.engine.operations.roll_back(stack, token=self.params.get("ClientRequestToken"))
        return {"StackId": stack.id}

    def do_continue_update_rollback(self) -> Any:
        """Begin to go on with a roll-back that failed."""
        skip = frozenset(self.params.get("ResourcesToSkip") or ())
        self.engine.operations.roll_back(self._stack(), skip=skip, token=self.params.get("ClientRequestToken"))
        return {}

    def do_update_termination_protection(self) -> Any:
        """Allow or forbid the deletion of a stack."""
        stack = self._stack()
        stack.termination_protection = bool(self.params["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def do_describe_stacks(self) -> Any:
        """Tell of one stack or of all."""
        name = self.params.get("StackName")
        if name is None:
            return self._page(
                "Stacks",
                [describe.stack(stack, self._description(stack)) for stack in self.engine.world.standing(self.region)],
            )
        stack = self._stack()
        return {"Stacks": [describe.stack(stack, self._description(stack))]}

    def do_list_stacks(self) -> Any:
        """List the stacks, the deleted ones among them."""
        wanted = self.params.get("StackStatusFilter") or []
        stacks = [stack for stack in list(self.engine.world.stacks.values()) if stack.region == self.region]
        chosen = [stack for stack in stacks if not wanted or stack.status in wanted]
        return self._page(
            "StackSummaries", [describe.stack_summary(stack, self._description(stack)) for stack in reversed(chosen)]
        )

    # -- events and resources

    def do_describe_stack_events(self) -> Any:
        """Tell what happened to a stack, the latest first."""
        name = str(self.params["StackName"])
        stack = self.engine.world.find(self.region, name)
        if stack is None:
            raise RequestRefusedError(f"Stack [{name}] does not exist")
        return self._page("StackEvents", [describe.event(event) for event in reversed(list(stack.events))])

    def do_describe_events(self) -> Any:
        """Tell what happened to a stack; of the filters, failures alone is carried."""
        if not self.params.get("StackName"):
            raise RequestRefusedError("DescribeEvents without StackName is not carried by the local AWS")
        only_failed = bool((self.params.get("Filters") or {}).get("FailedEvents"))
        events = reversed(list(self._stack().events))
        chosen = [describe.event(event) for event in events if not only_failed or event.status.endswith("_FAILED")]
        return self._page("OperationEvents", chosen)

    def do_list_hook_results(self) -> Any:
        """List the results of hooks: there are no hooks here."""
        return {"HookResults": []}

    def do_describe_stack_resources(self) -> Any:
        """Tell of the resources of a stack, found by its name or by one of them."""
        wanted = self.params.get("LogicalResourceId")
        physical = self.params.get("PhysicalResourceId")
        stacks = [self._stack()] if self.params.get("StackName") else list(self.engine.world.standing(self.region))
        if not self.params.get("StackName"):
            stacks = [
                stack
                for stack in stacks
                if any(resource.physical_id == physical for resource in stack.resources.values())
            ]
            if not stacks:
                raise RequestRefusedError(f"Stack for {physical} does not exist")
        stack = stacks[0]
        chosen = [resource for resource in list(stack.resources.values()) if wanted in {None, resource.logical_id}]
        return {"StackResources": [describe.resource(stack, resource) for resource in chosen]}

    def do_describe_stack_resource(self) -> Any:
        """Tell of one resource of a stack."""
        stack, name = self._stack(), str(self.params["LogicalResourceId"])
        if name not in stack.resources:
            raise RequestRefusedError(f"Resource {name} does not exist for stack {stack.name}")
        resource = stack.resources[name]
        metadata = json.dumps(resource.metadata) if resource.metadata is not None else None
        return {"StackResourceDetail": {**describe.resource(stack, resource), "Metadata": metadata}}

    def do_list_stack_resources(self) -> Any:
        """List the resources of a stack."""
        stack = self._stack()
        return self._page(
            "StackResourceSummaries",
            [describe.resource(stack, resource) for resource in list(stack.resources.values())],
        )

    def do_list_exports(self) -> Any:
        """List what the stacks export."""
        exports = self.engine.world.exports(self.region).items()
        listed = [
            {"ExportingStackId": stack.id, "Name": name, "Value": output.value} for name, (stack, output) in exports
        ]
        return self._page("Exports", listed)

    def do_list_imports(self) -> Any:
        """List the stacks that use an export."""
        export = str(self.params["ExportName"])
        users = self.engine.world.importers(self.region, export)
        if not users:
            raise RequestRefusedError(f"Export '{export}' is not imported by any stack.")
        return self._page("Imports", users)

    # -- change sets

    def do_create_change_set(self) -> Any:
        """Find out what a deployment would change."""
        kind = str(self.params.get("ChangeSetType") or "UPDATE")
        stack = self.engine.stack_for_change_set(self.current_account, self.region, str(self.params["StackName"]), kind)
        change_set = self.engine.create_change_set(
            stack,
            str(self.params["ChangeSetName"]),
            kind,
            self._deployment(),
            description=self.params.get("Description"),
            on_failure=self.params.get("OnStackFailure"),
        )
        return {"Id": change_set.id, "StackId": stack.id}

    def do_describe_change_set(self) -> Any:
        """Tell of a change set."""
        stack, change_set = self.engine.change_set(
            self.region, str(self.params["ChangeSetName"]), self.params.get("StackName")
        )
        return describe.change_set(stack, change_set, values=bool(self.params.get("IncludePropertyValues")))

    def do_list_change_sets(self) -> Any:
        """List the change sets of a stack."""
        stack = self._stack()
        return self._page(
            "Summaries",
            [describe.change_set_summary(stack, change_set) for change_set in list(stack.change_sets.values())],
        )

    def do_delete_change_set(self) -> Any:
        """Remove a change set; one that does not exist is removed already."""
        try:
            stack, change_set = self.engine.change_set(
                self.region, str(self.params["ChangeSetName"]), self.params.get("StackName")
            )
        except RequestRefusedError as error:
            if error.code != "ChangeSetNotFound":
                raise
        else:
            stack.change_sets.pop(change_set.id, None)
        return {}

    def do_execute_change_set(self) -> Any:
        """Begin what a change set prepared."""
        stack, change_set = self.engine.change_set(
            self.region, str(self.params["ChangeSetName"]), self.params.get("StackName")
        )
        disable = bool(self.params.get("DisableRollback"))
        self.engine.execute(stack, change_set, disable_rollback=disable, token=self.params.get("ClientRequestToken"))
        return {}

    # -- templates

    def do_get_template(self) -> Any:
        """Return the template of a stack, or of a change set."""
        if self.params.get("ChangeSetName"):
            _, change_set = self.engine.change_set(
                self.region, str(self.params["ChangeSetName"]), self.params.get("StackName")
            )
            body = change_set.settings.template_body
        else:
            settings = self._stack().settings
            body = settings.template_body if settings else "{}"
        return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}

    def do_get_template_summary(self) -> Any:
        """Tell what a template holds."""
        body: str | None
        if self.params.get("StackName"):
            stack = self._stack()
            if stack.status == REVIEW or stack.settings is None:
                raise RequestRefusedError("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
            body = stack.settings.template_body
        else:
            body = self._template_body()
        return self._summary(body)

    def do_validate_template(self) -> Any:
        """Check the shape of a template, and that each of its types is carried."""
        return self._summary(self._template_body())

    def _summary(self, body: str | None) -> dict[str, Any]:
        template = parse(body or "")
        for definition in template.resources.values():
            self.engine.world.handler_for(definition.type)
        return describe.template_summary(template, self.region)
