"""IAM: roles, their policies, and profiles for instances."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local_aws.resources.calls import Properties, Task, call, is_gone
from local_aws.resources.contract import Context, Made
from local_aws.resources.table import Name, Put, Row, do
from local_aws.resources.tagging import Tagging

_VERSIONS = 5  # that IAM keeps of one managed policy

_PRINCIPALS = (("Roles", "role", "RoleName"), ("Users", "user", "UserName"), ("Groups", "group", "GroupName"))


def _attach_managed(task: Task) -> None:
    old, new = task.old.get("ManagedPolicyArns", []), task.new.get("ManagedPolicyArns", [])
    for arn in [arn for arn in old if arn not in new]:
        task.client.detach_role_policy(RoleName=task.id, PolicyArn=arn)
    for arn in [arn for arn in new if arn not in old]:
        task.client.attach_role_policy(RoleName=task.id, PolicyArn=arn)


def _put_inline(task: Task) -> None:
    new = {policy["PolicyName"]: policy["PolicyDocument"] for policy in task.new.get("Policies", [])}
    for policy in task.old.get("Policies", []):
        if policy["PolicyName"] not in new:
            task.client.delete_role_policy(RoleName=task.id, PolicyName=policy["PolicyName"])
    for name, document in new.items():
        task.client.put_role_policy(RoleName=task.id, PolicyName=name, PolicyDocument=_text(document))


def _strip_role(task: Task) -> None:
    """IAM deletes only a role that nothing hangs on."""
    for policy in task.client.list_attached_role_policies(RoleName=task.id)["AttachedPolicies"]:
        task.client.detach_role_policy(RoleName=task.id, PolicyArn=policy["PolicyArn"])
    for name in task.client.list_role_policies(RoleName=task.id)["PolicyNames"]:
        task.client.delete_role_policy(RoleName=task.id, PolicyName=name)


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def _attach_to_principals(task: Task) -> None:
    for kind, noun, argument in _PRINCIPALS:
        old, new = task.old.get(kind, []), task.new.get(kind, [])
        for verb, names in (
            ("detach", [one for one in old if one not in new]),
            ("attach", [one for one in new if one not in old]),
        ):
            for name in names:
                getattr(task.client, f"{verb}_{noun}_policy")(**{argument: name, "PolicyArn": task.id})


def _add_version(task: Task) -> None:
    """A managed policy's document changes by a new default version; the oldest goes when there are too many."""
    versions = task.client.list_policy_versions(PolicyArn=task.id)["Versions"]
    others = sorted((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"])
    if len(versions) >= _VERSIONS:
        task.client.delete_policy_version(PolicyArn=task.id, VersionId=others[0]["VersionId"])
    task.perform(call("create_policy_version", PolicyArn="id", PolicyDocument="PolicyDocument", SetAsDefault="`true`"))


def _strip_policy(task: Task) -> None:
    entities = task.client.list_entities_for_policy(PolicyArn=task.id)
    for kind, noun, argument in _PRINCIPALS:
        for entity in entities[f"Policy{kind}"]:
            getattr(task.client, f"detach_{noun}_policy")(**{argument: entity[argument], "PolicyArn": task.id})
    for version in task.client.list_policy_versions(PolicyArn=task.id)["Versions"]:
        if not version["IsDefaultVersion"]:
            task.client.delete_policy_version(PolicyArn=task.id, VersionId=version["VersionId"])


def _set_roles(task: Task) -> None:
    old, new = task.old.get("Roles", []), task.new.get("Roles", [])
    for name in [name for name in old if name not in new]:
        task.client.remove_role_from_instance_profile(InstanceProfileName=task.id, RoleName=name)
    for name in [name for name in new if name not in old]:
        task.client.add_role_to_instance_profile(InstanceProfileName=task.id, RoleName=name)


def _empty_profile(task: Task) -> None:
    for role in task.client.get_instance_profile(InstanceProfileName=task.id)["InstanceProfile"]["Roles"]:
        task.client.remove_role_from_instance_profile(InstanceProfileName=task.id, RoleName=role["RoleName"])


def _tagging(noun: str, argument: str) -> Tagging:
    return Tagging(
        call(f"tag_{noun}", **{argument: "id"}), "Tags", call(f"untag_{noun}", **{argument: "id"}), "TagKeys"
    )


ROWS = (
    Row(
        type_name="AWS::IAM::Role",
        service="iam",
        name=Name("RoleName", 64),
        make=call("create_role"),
        id="Role.RoleName",
        reads=((call("get_role", RoleName="id"), "Role"),),
        attributes={"Arn": "Arn", "RoleId": "RoleId"},
        change=call("update_role", RoleName="id"),
        defaults={"Description": "", "MaxSessionDuration": 3600},
        steps=(do(_attach_managed, "ManagedPolicyArns"), do(_put_inline, "Policies")),
        changes=(
            Put(call("update_assume_role_policy", RoleName="id", PolicyDocument="AssumeRolePolicyDocument")),
            Put(
                call("put_role_permissions_boundary", RoleName="id", PermissionsBoundary="PermissionsBoundary"),
                unset=call("delete_role_permissions_boundary", RoleName="id"),
            ),
        ),
        tags=_tagging("role", "RoleName"),
        before_remove=_strip_role,
        remove=call("delete_role", RoleName="id"),
    ),
    Row(
        type_name="AWS::IAM::ManagedPolicy",
        service="iam",
        name=Name("ManagedPolicyName", 128),
        make=call("create_policy", PolicyName="ManagedPolicyName"),
        id="Policy.Arn",
        reads=((call("get_policy", PolicyArn="id"), "Policy"),),
        attributes={
            "PolicyArn": "id",
            "PolicyId": "PolicyId",
            "DefaultVersionId": "DefaultVersionId",
            "AttachmentCount": "AttachmentCount",
            "PermissionsBoundaryUsageCount": "PermissionsBoundaryUsageCount || `0`",
            "IsAttachable": "IsAttachable",
            "CreateDate": "to_string(CreateDate)",
            "UpdateDate": "to_string(UpdateDate)",
        },
        steps=(do(_attach_to_principals, "Roles", "Users", "Groups"),),
        changes=(do(_add_version, "PolicyDocument"),),
        before_remove=_strip_policy,
        remove=call("delete_policy", PolicyArn="id"),
    ),
    Row(
        type_name="AWS::IAM::InstanceProfile",
        service="iam",
        name=Name("InstanceProfileName", 128),
        make=call("create_instance_profile"),
        id="InstanceProfile.InstanceProfileName",
        reads=((call("get_instance_profile", InstanceProfileName="id"), "InstanceProfile"),),
        attributes={"Arn": "Arn"},
        steps=(do(_set_roles, "Roles"),),
        tags=_tagging("instance_profile", "InstanceProfileName"),
        before_remove=_empty_profile,
        remove=call("delete_instance_profile", InstanceProfileName="id"),
    ),
)


class Policy:
    """`AWS::IAM::Policy`: one inline policy put into each of the roles, users and groups that it names."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the policy in everywhere, or nowhere."""
        made = Made(f"{context.stack_name[:20]}-{context.logical_id[:20]}-{secrets.token_hex(6).upper()}")
        try:
            self._put(context, properties)
        except Exception:
            self.delete(context, made, properties)
            raise
        return Made(made.physical_id, {"Id": made.physical_id})

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Put it where it is to be, then take it from where it is no longer."""
        self._put(context, new)
        kept = set(_places(new))
        self._remove(context, [place for place in _places(old) if place not in kept])
        return made

    def delete(self, context: Context, _made: Made, properties: Properties) -> None:
        """Take it out of everything that still exists."""
        self._remove(context, list(_places(properties)))

    @staticmethod
    def _put(context: Context, properties: Properties) -> None:
        for noun, argument, name, policy in _places(properties):
            put = getattr(context.client("iam"), f"put_{noun}_policy")
            put(**{argument: name}, PolicyName=policy, PolicyDocument=_text(properties["PolicyDocument"]))

    @staticmethod
    def _remove(context: Context, places: list[tuple[str, str, str, str]]) -> None:
        for noun, argument, name, policy in places:
            try:
                getattr(context.client("iam"), f"delete_{noun}_policy")(**{argument: name}, PolicyName=policy)
            except ClientError as error:
                if not is_gone(error):
                    raise


def _places(properties: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield where a policy is put: the noun of the operation, its argument, the principal's name, the policy's."""
    for kind, noun, argument in _PRINCIPALS:
        for name in properties.get(kind, ()):
            yield noun, argument, name, properties["PolicyName"]
