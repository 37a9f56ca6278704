"""Secrets Manager: secrets, given or made up, and when they change."""

from __future__ import annotations

import json

from local_aws.resources.calls import Task, call
from local_aws.resources.table import Name, Row, do
from local_aws.resources.tagging import Tagging

# A schedule without the key begins with a rotation.
_AT_ONCE = "RotateImmediatelyOnUpdate == `null` || RotateImmediatelyOnUpdate"
_RECIPE = ("GenerateStringKey", "SecretStringTemplate")


def _put_value(task: Task) -> None:
    """Put a new version with the text that is given, or with a password made to the recipe."""
    if "GenerateSecretString" in task.new:
        recipe = dict(task.new["GenerateSecretString"])
        key, template = (recipe.pop(name, None) for name in _RECIPE)
        value = task.perform(call("get_random_password"), **recipe)["RandomPassword"]
        if key:
            value = json.dumps({**json.loads(template or "{}"), key: value})
    else:
        value = task.new.get("SecretString", "")
    task.client.put_secret_value(SecretId=task.id, SecretString=value)


ROWS = (
    Row(
        type_name="AWS::SecretsManager::Secret",
        service="secretsmanager",
        name=Name("Name", 512),
        make=call("create_secret", AddReplicaRegions="ReplicaRegions"),
        id="ARN",
        attributes={"Id": "id"},
        change=call("update_secret", SecretId="id"),
        defaults={"Description": "", "KmsKeyId": ""},
        steps=(do(_put_value, "SecretString", "GenerateSecretString"),),
        tags=Tagging(call("tag_resource", SecretId="id"), "Tags", call("untag_resource", SecretId="id"), "TagKeys"),
        remove=call("delete_secret", SecretId="id", ForceDeleteWithoutRecovery="`true`"),
    ),
    Row(
        type_name="AWS::SecretsManager::RotationSchedule",
        service="secretsmanager",
        make=call("rotate_secret", RotateImmediately=_AT_ONCE),
        id="ARN",
        attributes={"Id": "id"},
        change=call("rotate_secret", SecretId="id", RotateImmediately=_AT_ONCE),
        ignored=("RotateImmediatelyOnUpdate",),
        remove=call("cancel_rotate_secret", SecretId="id"),
    ),
)
