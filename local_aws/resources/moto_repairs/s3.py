"""S3: conditions of policies are not for the local AWS to judge, and requests are not for it to log.

moto 5.2.5 evaluates a bucket's policy at every request and looks at no condition, so that the usual «deny what does not come over
TLS» denies everything: the CLI could not publish its assets into the bootstrap bucket. And where a bucket's access is logged it
writes one object a request, which nobody reads, which the saved state carries for ever, and which keep the bucket of the logs from
being destroyed.
"""

from __future__ import annotations

import json
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


def apply() -> None:
    """Mend the evaluation of bucket policies, end the logging of requests."""
    add(FakeBucket, get_permission)
    add(S3Backend, log_incoming_request)
