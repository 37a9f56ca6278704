"""Remove an environment, and tell what stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.account import Account
from fleet.deploy.assembly import read_assembly
from fleet.deploy.cdk import CdkCli, complaint
from fleet.deploy.stacks import DeployedStack, clock, failures, read_stacks, settle, stacks_of
from fleet.errors import InputError, WantingError
from fleet.progress import Progress

_RETAINED = frozenset({"Retain", "RetainExceptOnCreate"})


@dataclass(frozen=True, slots=True)
class Retained:
    """A resource that outlives its stack."""

    stack: str
    type: str
    physical_id: str


def check_removable(environment: str, stacks: Iterable[DeployedStack]) -> None:
    """Refuse to begin where CloudFormation would refuse half-way.

    Raises:
        InputError: Stacks are protected.
    """
    protected = [stack.name for stack in stacks if stack.protected]
    if protected:
        listed = "\n".join(
            f"    aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {name}"
            for name in protected
        )
        raise InputError(
            f"{len(protected)} stacks of {environment} are protected against removal; nothing was done\n"
            f"  lift it where you mean it:\n{listed}"
        )


def destroy(environment: str, account: Account, cdk: CdkCli, progress: Progress) -> list[Retained]:
    """Remove every stack of an environment, those that the catalog no longer has too; return what is retained.

    Raises:
        WantingError: Something could not be removed.
    """
    with progress.step("synthesise the stacks") as step:
        cdk.synth(step)
        assembly = read_assembly(cdk.assembly)
    with progress.step("look at what is deployed") as step:
        deployed = settle(account, environment, step)
        resources = [one for name in deployed for one in _resources(account, name)]
        retained = [one.resource for one in resources if one.is_retained]
        step.outcome(f"{len(deployed)} stacks")
    buckets = [one.resource.physical_id for one in resources if one.holds_objects and not one.is_retained]
    if buckets:
        # CloudFormation removes no bucket that holds something, and records of traffic come until the last moment.
        with progress.step(f"empty {len(buckets)} buckets whose data goes too") as step:
            step.outcome(f"{sum(_empty(account, bucket) for bucket in buckets)} objects")
    orphans = sorted(deployed.keys() - assembly.keys())
    if orphans:
        with progress.step(f"remove {', '.join(orphans)}, which the catalog no longer has") as step:
            for name in orphans:
                account.cloudformation.delete_stack(StackName=name)
            settle(account, environment, step)
    with progress.step(f"remove {len(deployed) - len(orphans)} stacks") as step:
        began = clock(account)
        ended = cdk.destroy(step)
        left = stacks_of(environment, read_stacks(account))
        if ended.code or left:
            found = failures(account, assembly.values(), began)
            listed = [f"  - {one.stack}: {one.resource} ({one.type})\n    {one.reason}" for one in found]
            said = listed or [f"  {line}" for line in complaint(ended.lines) if line.strip()]
            raise WantingError("\n".join([f"{len(left)} stacks of {environment} are still there", *said]))
    return retained


@dataclass(frozen=True, slots=True)
class _Resource:
    resource: Retained
    is_retained: bool

    @property
    def holds_objects(self) -> bool:
        return self.resource.type == "AWS::S3::Bucket" and bool(self.resource.physical_id)


def _resources(account: Account, stack: str) -> list[_Resource]:
    body = account.cloudformation.get_template(StackName=stack)["TemplateBody"]
    template = body if isinstance(body, dict) else json.loads(body)
    kept = {
        logical_id
        for logical_id, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in _RETAINED
    }
    resources = account.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return [
        _Resource(
            Retained(stack, resource["ResourceType"], resource.get("PhysicalResourceId", "")),
            is_retained=resource["LogicalResourceId"] in kept,
        )
        for resource in resources
    ]


def _empty(account: Account, bucket: str) -> int:
    """Remove every version of every object, and return how many there were."""
    removed = 0
    for page in account.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if versions:
            account.s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})  # type: ignore[typeddict-item]
            removed += len(versions)
    return removed
