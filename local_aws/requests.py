"""What callers ask of the engine: stacks and change sets, created, executed, rolled back and removed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws import parameters
from local_aws.change_view import change_view
from local_aws.changes import Plan
from local_aws.errors import RequestRefusedError, TemplateError
from local_aws.model import REVIEW, ChangeSet, Settings, Stack
from local_aws.operations import DO_NOTHING, Operations, check_deployable
from local_aws.template import Template, parse

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
NO_UPDATES = "No updates are to be performed."

_IAM_NAMES = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}
_IAM_TYPES = frozenset({*_IAM_NAMES, "AWS::IAM::AccessKey", "AWS::IAM::Policy", "AWS::IAM::UserToGroupAddition"})


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """One request to deploy a template.

    Args:
        template_body: the template, or nothing to use the one that is deployed.
        parameters: as the API has them.
        tags: nothing to leave them as they are.
    """

    template_body: str | None
    parameters: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str] | None = None
    capabilities: Sequence[str] = ()
    role_arn: str | None = None
    token: str | None = None


def capabilities_needed(template: Template) -> tuple[str, ...]:
    """Return what a caller must acknowledge before the template may make identities."""
    found = [definition for definition in template.resources.values() if definition.type in _IAM_TYPES]
    if any(_IAM_NAMES.get(definition.type) in definition.properties for definition in found):
        return ("CAPABILITY_NAMED_IAM",)
    return ("CAPABILITY_IAM",) if found else ()


class Requests:
    """The engine's front: every method answers at once, and what takes time runs on."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self.world = operations.world

    def stack(self, region: str, name_or_id: str) -> Stack:
        """Return a stack.

        Raises:
            RequestRefusedError: there is none of that name.
        """
        stack = self.world.find(region, name_or_id)
        if stack is None:
            raise RequestRefusedError(f"Stack with id {name_or_id} does not exist")
        return stack

    def create_stack(
        self, account_id: str, region: str, name: str, request: DeploymentRequest, *, on_failure: str, protect: bool
    ) -> Stack:
        """Begin to create a stack."""
        with self.world.lock:
            if self.world.find(region, name) is not None:
                raise RequestRefusedError(f"Stack [{name}] already exists", "AlreadyExistsException")
            stack = _new_stack(account_id, region, name)
            stack.termination_protection = protect
            settings, _ = self._plan(stack, request)
            self.world.stacks[stack.id] = stack
            self.operations.deploy(stack, settings, on_failure=on_failure, token=request.token)
            return stack

    def update_stack(self, stack: Stack, request: DeploymentRequest, *, on_failure: str) -> None:
        """Begin to update a stack."""
        with self.world.lock:
            check_deployable(stack, on_failure)
            if stack.status == REVIEW:
                raise RequestRefusedError(f"Stack:{stack.id} is in {REVIEW} state and can not be updated.")
            settings, plan = self._plan(stack, request)
            if not self._changes_anything(stack, settings, plan):
                raise RequestRefusedError(NO_UPDATES)
            self.operations.deploy(stack, settings, on_failure=on_failure, token=request.token)

    def create_change_set(
        self,
        stack: Stack,
        name: str,
        kind: str,
        request: DeploymentRequest,
        *,
        description: str | None = None,
        on_failure: str | None = None,
    ) -> ChangeSet:
        """Find out what a deployment would change, and keep it ready."""
        with self.world.lock:
            if any(change_set.name == name for change_set in stack.change_sets.values()):
                raise RequestRefusedError(f"ChangeSet {name} already exists", "AlreadyExistsException")
            # Whether the roll-back is wanted is known only when the change set is executed.
            check_deployable(stack, DO_NOTHING)
            settings, plan = self._plan(stack, request)
            is_empty = not self._changes_anything(stack, settings, plan)
            change_set = ChangeSet(
                name=name,
                id=f"arn:aws:cloudformation:{stack.region}:{stack.account_id}:changeSet/{name}/{uuid.uuid4()}",
                kind=kind,
                settings=settings,
                changes=[change_view(change) for change in plan.changes],
                description=description,
                on_failure=on_failure,
                status="FAILED" if is_empty else "CREATE_COMPLETE",
                reason=NO_CHANGES if is_empty else None,
                execution="UNAVAILABLE" if is_empty else "AVAILABLE",
            )
            stack.change_sets[change_set.id] = change_set
            if self.world.stacks.setdefault(stack.id, stack) is stack and not stack.events:
                stack.record(REVIEW, "User Initiated")
            return change_set

    def stack_for_change_set(self, account_id: str, region: str, name: str, kind: str) -> Stack:
        """Return the stack that a change set is for; one that is to be created by it is not kept yet."""
        if kind not in {"CREATE", "UPDATE"}:
            raise RequestRefusedError(f"change sets of type {kind} are not carried by the local AWS")
        stack = self.world.find(region, name)
        if kind == "UPDATE":
            if stack is None or stack.is_gone:
                raise RequestRefusedError(f"Stack [{name}] does not exist")
            return stack
        if stack is not None and stack.status != REVIEW:
            raise RequestRefusedError(f"Stack [{name}] already exists and cannot be created again with the changeSet.")
        return stack or _new_stack(account_id, region, name)

    def change_set(self, region: str, name_or_id: str, stack_name: str | None) -> tuple[Stack, ChangeSet]:
        """Return a change set and its stack.

        Raises:
            RequestRefusedError: there is none of that name.
        """
        stacks = [self.stack(region, stack_name)] if stack_name else list(self.world.standing(region))
        for stack in stacks:
            for change_set in list(stack.change_sets.values()):
                if name_or_id in {change_set.id, change_set.name}:
                    return stack, change_set
        raise RequestRefusedError(f"ChangeSet [{name_or_id}] does not exist", "ChangeSetNotFound")

    def execute(self, stack: Stack, change_set: ChangeSet, *, disable_rollback: bool, token: str | None) -> None:
        """Begin what a change set prepared."""
        with self.world.lock:
            if change_set.execution != "AVAILABLE":
                raise RequestRefusedError(
                    f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{change_set.status}]",
                    "InvalidChangeSetStatus",
                )
            on_failure = DO_NOTHING if disable_rollback else change_set.on_failure or "ROLLBACK"
            self.operations.deploy(stack, change_set.settings, on_failure=on_failure, token=token)
            # The others were compared with what is being replaced now.
            stack.change_sets = {}
            stack.last_change_set = change_set.id

    def _plan(self, stack: Stack, request: DeploymentRequest) -> tuple[Settings, Plan]:
        body = request.template_body
        if body is None:
            if stack.settings is None:
                raise RequestRefusedError("Either Template URL or Template Body must be specified.")
            body = stack.settings.template_body
        template = parse(body)
        if missing := [
            needed for needed in capabilities_needed(template) if not _acknowledged(needed, request.capabilities)
        ]:
            raise RequestRefusedError(
                f"Requires capabilities : [{', '.join(missing)}]", "InsufficientCapabilitiesException"
            )
        previous = stack.settings
        settings = Settings(
            template_body=body,
            description=template.description,
            parameters=parameters.settle(
                template.parameters,
                request.parameters,
                previous.parameters if previous else {},
                lambda name: self.world.ssm_value(stack.region, name),
            ),
            tags=dict(request.tags if request.tags is not None else previous.tags if previous else {}),
            capabilities=tuple(request.capabilities),
            role_arn=request.role_arn or (previous.role_arn if previous else None),
        )
        plan = Plan(self.world, stack, template, settings)
        if plan.faults:
            raise TemplateError("; ".join(plan.faults))
        return settings, plan

    @staticmethod
    def _changes_anything(stack: Stack, settings: Settings, plan: Plan) -> bool:
        tags = stack.settings.tags if stack.settings else {}
        return bool(plan.changes) or plan.outputs_change or settings.tags != tags


def _acknowledged(needed: str, given: Sequence[str]) -> bool:
    return needed in given or (needed == "CAPABILITY_IAM" and "CAPABILITY_NAMED_IAM" in given)


def _new_stack(account_id: str, region: str, name: str) -> Stack:
    stack_id = f"arn:aws:cloudformation:{region}:{account_id}:stack/{name}/{uuid.uuid4()}"
    return Stack(name=name, id=stack_id, region=region, account_id=account_id)
