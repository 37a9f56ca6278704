"""The operations of the CloudFormation API."""

from __future__ import annotations

import json
from typing import Any

from local_aws import describe
from local_aws.errors import RequestRefusedError
from local_aws.model import REVIEW
from local_aws.template import parse
from local_aws.wire_request import CloudFormationRequest


class CloudFormationApi(CloudFormationRequest):
    """One request of the CloudFormation API, answered by the method that its operation names."""

    # -- stacks

    def do_create_stack(self) -> Any:
        """Begin to create a stack."""
        stack = self.engine.create_stack(
            self.current_account,
            self.region,
            str(self.params["StackName"]),
            self.deployment(),
            on_failure=self.on_failure(),
            protect=bool(self.params.get("EnableTerminationProtection")),
        )
        return {"StackId": stack.id}

    def do_update_stack(self) -> Any:
        """Begin to update a stack."""
        stack = self.stack()
        self.engine.update_stack(stack, self.deployment(), on_failure=self.on_failure())
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
        stack = self.stack()
        self.engine.operations.roll_back(stack, token=self.params.get("ClientRequestToken"))
        return {"StackId": stack.id}

    def do_continue_update_rollback(self) -> Any:
        """Begin to go on with a roll-back that failed."""
        skip = frozenset(self.params.get("ResourcesToSkip") or ())
        self.engine.operations.roll_back(self.stack(), skip=skip, token=self.params.get("ClientRequestToken"))
        return {}

    def do_update_termination_protection(self) -> Any:
        """Allow or forbid the deletion of a stack."""
        stack = self.stack()
        stack.termination_protection = bool(self.params["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def do_describe_stacks(self) -> Any:
        """Tell of one stack or of all."""
        name = self.params.get("StackName")
        if name is None:
            return self.page(
                "Stacks",
                [describe.stack(stack) for stack in self.engine.world.standing(self.region)],
            )
        stack = self.stack()
        return {"Stacks": [describe.stack(stack)]}

    def do_list_stacks(self) -> Any:
        """List the stacks, the deleted ones among them."""
        wanted = self.params.get("StackStatusFilter") or []
        stacks = [stack for stack in list(self.engine.world.stacks.values()) if stack.region == self.region]
        chosen = [stack for stack in stacks if not wanted or stack.status in wanted]
        return self.page("StackSummaries", [describe.stack_summary(stack) for stack in reversed(chosen)])

    # -- events and resources

    def do_describe_stack_events(self) -> Any:
        """Tell what happened to a stack, the latest first."""
        name = str(self.params["StackName"])
        stack = self.engine.world.find(self.region, name)
        if stack is None:
            raise RequestRefusedError(f"Stack [{name}] does not exist")
        return self.page_of_latest("StackEvents", [describe.event(event) for event in list(stack.events)])

    def do_describe_events(self) -> Any:
        """Tell what happened to a stack; of the filters, failures alone is carried."""
        if not self.params.get("StackName"):
            raise RequestRefusedError("DescribeEvents without StackName is not carried by the local AWS")
        only_failed = bool((self.params.get("Filters") or {}).get("FailedEvents"))
        events = list(self.stack().events)
        chosen = [describe.event(event) for event in events if not only_failed or event.status.endswith("_FAILED")]
        return self.page_of_latest("OperationEvents", chosen)

    def do_list_hook_results(self) -> Any:
        """List the results of hooks: there are no hooks here."""
        return {"HookResults": []}

    def do_describe_stack_resources(self) -> Any:
        """Tell of the resources of a stack, found by its name or by one of them."""
        wanted = self.params.get("LogicalResourceId")
        physical = self.params.get("PhysicalResourceId")
        stacks = [self.stack()] if self.params.get("StackName") else list(self.engine.world.standing(self.region))
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
        stack, name = self.stack(), str(self.params["LogicalResourceId"])
        if name not in stack.resources:
            raise RequestRefusedError(f"Resource {name} does not exist for stack {stack.name}")
        resource = stack.resources[name]
        metadata = json.dumps(resource.metadata) if resource.metadata is not None else None
        return {"StackResourceDetail": {**describe.resource(stack, resource), "Metadata": metadata}}

    def do_list_stack_resources(self) -> Any:
        """List the resources of a stack."""
        stack = self.stack()
        return self.page(
            "StackResourceSummaries",
            [describe.resource(stack, resource) for resource in list(stack.resources.values())],
        )

    def do_list_exports(self) -> Any:
        """List what the stacks export."""
        exports = self.engine.world.exports(self.region).items()
        listed = [
            {"ExportingStackId": stack.id, "Name": name, "Value": output.value} for name, (stack, output) in exports
        ]
        return self.page("Exports", listed)

    def do_list_imports(self) -> Any:
        """List the stacks that use an export."""
        export = str(self.params["ExportName"])
        users = self.engine.world.importers(self.region, export)
        if not users:
            raise RequestRefusedError(f"Export '{export}' is not imported by any stack.")
        return self.page("Imports", users)

    # -- change sets

    def do_create_change_set(self) -> Any:
        """Find out what a deployment would change."""
        kind = str(self.params.get("ChangeSetType") or "UPDATE")
        stack = self.engine.stack_for_change_set(self.current_account, self.region, str(self.params["StackName"]), kind)
        change_set = self.engine.create_change_set(
            stack,
            str(self.params["ChangeSetName"]),
            kind,
            self.deployment(),
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
        stack = self.stack()
        return self.page(
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
            settings = self.stack().settings
            body = settings.template_body if settings else "{}"
        return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}

    def do_get_template_summary(self) -> Any:
        """Tell what a template holds."""
        body: str | None
        if self.params.get("StackName"):
            stack = self.stack()
            if stack.status == REVIEW or stack.settings is None:
                raise RequestRefusedError("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
            body = stack.settings.template_body
        else:
            body = self.template_body()
        return self._summary(body)

    def do_validate_template(self) -> Any:
        """Check the shape of a template, and that each of its types is carried."""
        return self._summary(self.template_body())

    def _summary(self, body: str | None) -> dict[str, Any]:
        template = parse(body or "")
        for definition in template.resources.values():
            self.engine.world.handler_for(definition.type)
        return describe.template_summary(template, self.region)
