"""The stacks of an environment as CloudFormation has them: their states, what became of failed attempts, and why one failed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from catalog import names
from fleet.account import Account
from fleet.deploy.assembly import AssemblyStack
from fleet.errors import WantingError
from fleet.progress import Step

NEVER_CREATED = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States of a stack whose very creation failed: nothing of it is in use."""
BOOTSTRAP_STACK = "CDKToolkit"
_LOOK_SECONDS = 2.0
_LOCAL_WAIT_SECONDS = 300
_AWS_WAIT_SECONDS = 3600
# CloudFormation says so of resources that did not fail but were stopped because another one had.
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled", "Resource deletion cancelled")


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A stack that is there."""

    name: str
    status: str
    changed: datetime
    """When it was created or last updated."""
    protected: bool
    """Whether CloudFormation refuses to delete it."""

    @property
    def in_progress(self) -> bool:
        """Whether something is being done to it; a stack that only holds a change set waits for nobody."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def complete(self) -> bool:
        """Whether it is as its last successful deployment left it."""
        return self.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


@dataclass(frozen=True, slots=True)
class Failure:
    """A resource that made a deployment fail."""

    stack: str
    resource: str
    """Where it stands in the app."""
    type: str
    reason: str


def read_stacks(account: Account) -> dict[str, DeployedStack]:
    """Return every stack of the account and region by name."""
    pages = account.cloudformation.get_paginator("describe_stacks").paginate()
    return {
        stack["StackName"]: DeployedStack(
            stack["StackName"],
            stack["StackStatus"],
            stack.get("LastUpdatedTime", stack["CreationTime"]),
            stack.get("EnableTerminationProtection", False),
        )
        for page in pages
        for stack in page["Stacks"]
    }


def stacks_of(environment: str, stacks: Mapping[str, DeployedStack]) -> dict[str, DeployedStack]:
    """Return the stacks of one environment."""
    prefix = names.stack(environment, "")
    return {name: stack for name, stack in stacks.items() if name.startswith(prefix)}


def settle(account: Account, environment: str, step: Step) -> dict[str, DeployedStack]:
    """Clear away what an earlier attempt left in the way of this one, and return the environment's stacks.

    A stack whose creation failed is removed, so that it can be created; one whose roll-back got stuck is rolled back further;
    one that another deployment works on is waited for.

    Raises:
        WantingError: It cannot be cleared away without losing something, or takes too long.
    """
    stacks = _when_idle(account, environment, step)
    for stack in stacks.values():
        if stack.status in NEVER_CREATED or (stack.status == "DELETE_FAILED" and account.is_local):
            step.note(f"{stack.name} is in {stack.status} from an earlier attempt: it is removed first")
            _delete(account, stack)
        elif stack.status == "DELETE_FAILED":
            raise WantingError(
                f"{stack.name} is in DELETE_FAILED: its removal was begun and not finished, so it cannot be deployed\n"
                f"  finish it: aws cloudformation delete-stack --region {account.region} --stack-name {stack.name}"
            )
        elif stack.status == "UPDATE_ROLLBACK_FAILED":
            step.note(f"{stack.name} is in {stack.status} from an earlier attempt: its roll-back goes on first")
            account.cloudformation.continue_update_rollback(StackName=stack.name)
    return _when_idle(account, environment, step)


def _when_idle(account: Account, environment: str, step: Step) -> dict[str, DeployedStack]:
    deadline = time.monotonic() + (_LOCAL_WAIT_SECONDS if account.is_local else _AWS_WAIT_SECONDS)
    told: set[str] = set()
    while True:
        stacks = stacks_of(environment, read_stacks(account))
        busy = [stack for stack in stacks.values() if stack.in_progress]
        if not busy:
            return stacks
        for stack in busy:
            if stack.name not in told:
                step.note(f"{stack.name} is in {stack.status}: waiting for it")
                told.add(stack.name)
        if time.monotonic() > deadline:
            raise WantingError(
                f"{', '.join(stack.name for stack in busy)} did not come to rest in time; try again later"
            )
        time.sleep(_LOOK_SECONDS)


def _delete(account: Account, stack: DeployedStack) -> None:
    if stack.protected:
        account.cloudformation.update_termination_protection(EnableTerminationProtection=False, StackName=stack.name)
    account.cloudformation.delete_stack(StackName=stack.name)


def clock(account: Account) -> datetime:
    """Return what time it is in AWS; the machine's own clock may be minutes away from the events' times."""
    answer = account.cloudformation.list_exports()
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


def failures(account: Account, stacks: Iterable[AssemblyStack], since: datetime) -> list[Failure]:
    """Return the resources that failed since a moment, the first one of each stack first."""
    found = []
    for stack in stacks:
        try:
            pages = account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack.name)
            events = [event for page in pages for event in page["StackEvents"] if event["Timestamp"] >= since]
        except ClientError:  # it was never begun, or is gone
            continue
        found += [
            Failure(
                stack.name,
                stack.path_of(event["LogicalResourceId"]),
                event.get("ResourceType", ""),
                event.get("ResourceStatusReason", ""),
            )
            for event in reversed(events)
            if event.get("ResourceStatus", "").endswith("_FAILED")
            and event["LogicalResourceId"] != stack.name
            and not event.get("ResourceStatusReason", "").startswith(_CANCELLED)
        ]
    return found
