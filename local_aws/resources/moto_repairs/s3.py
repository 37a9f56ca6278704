"""S3: conditions of policies are not for the local AWS to judge, and requests are not for it to log.

moto 5.2.5 evaluates a bucket's policy at every request and looks at no condition, so that the usual «deny what does not come over
TLS» denies everything: the CLI could not publish its assets into the bootstrap bucket. And where a bucket's access is logged it
writes one object a request, which nobody reads, which the saved state carries for ever, and which keep the bucket of the logs from
being destroyed. That the logs' bucket lets them in it sees only where a statement is about one prefix, and not about a list.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, S3Backend

from local_aws.resources.moto_repairs.patching import add


def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
    """Evaluate the statements of the policy that have no condition."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    unconditional = [statement for statement in statements if not statement.get("Condition")]
    return IAMPolicy(json.dumps({**policy, "Statement": unconditional})).is_action_permitted(action, resource)


def log_incoming_request(self: S3Backend, request: Any, bucket_name: str) -> None:
    """Keep no log; that a bucket asks for one stays in its configuration."""


def _log_permissions_enabled_policy(self: FakeBucket, target_bucket: FakeBucket, target_prefix: str | None) -> bool:
    """Tell whether a bucket's policy lets S3 write logs below a prefix."""
    del self
    if not target_bucket.policy:
        return False
    written = f"arn:{target_bucket.partition}:s3:::{target_bucket.name}/{target_prefix or ''}log"
    return any(
        fnmatchcase(written, resource)
        for statement in json.loads(target_bucket.policy)["Statement"]
        if statement["Effect"] == "Allow"
        and statement.get("Principal", {}).get("Service") == "logging.s3.amazonaws.com"
        and "s3:PutObject" in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def apply() -> None:
    """Mend the evaluation of bucket policies, end the logging of requests."""
    add(FakeBucket, get_permission, _log_permissions_enabled_policy)
    add(S3Backend, log_incoming_request)
