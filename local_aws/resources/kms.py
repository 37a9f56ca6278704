"""KMS: keys and their aliases."""

from __future__ import annotations

from local_aws.resources.calls import Task, call
from local_aws.resources.coerce import truth
from local_aws.resources.table import Put, Row, do
from local_aws.resources.tagging import Tagging


def _rotate(task: Task) -> None:
    if truth(task.new.get("EnableKeyRotation", False)):
        task.perform(call("enable_key_rotation", KeyId="id", RotationPeriodInDays="RotationPeriodInDays"))
    elif truth(task.old.get("EnableKeyRotation", False)):
        task.perform(call("disable_key_rotation", KeyId="id"))


def _enable(task: Task) -> None:
    task.perform(call("enable_key" if truth(task.new.get("Enabled", True)) else "disable_key", KeyId="id"))


ROWS = (
    Row(
        type_name="AWS::KMS::Key",
        service="kms",
        make=call("create_key", Policy="KeyPolicy"),
        id="KeyMetadata.KeyId",
        reads=((call("describe_key", KeyId="id"), "KeyMetadata"),),
        attributes={"Arn": "Arn", "KeyId": "id"},
        change=call("update_key_description", KeyId="id"),
        defaults={"Description": ""},
        replaced_by=("KeySpec", "KeyUsage", "MultiRegion", "Origin"),
        ignored=("PendingWindowInDays",),
        steps=(do(_rotate, "EnableKeyRotation", "RotationPeriodInDays"), do(_enable, "Enabled")),
        changes=(Put(call("put_key_policy", KeyId="id", PolicyName="'default'", Policy="KeyPolicy")),),
        tags=Tagging(call("tag_resource", KeyId="id"), "Tags", call("untag_resource", KeyId="id"), "TagKeys"),
        remove=call("schedule_key_deletion", KeyId="id", PendingWindowInDays="PendingWindowInDays || `30`"),
        renames={"Tags.Key": "TagKey", "Tags.Value": "TagValue"},
    ),
    Row(
        type_name="AWS::KMS::Alias",
        service="kms",
        make=call("create_alias"),
        id="AliasName",
        change=call("update_alias", AliasName="id"),
        remove=call("delete_alias", AliasName="id"),
    ),
)
