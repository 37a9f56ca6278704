"""Secrets Manager: rotations that keep to their schedule's function, and that succeed only when the function says so.

moto 5.2.5

- forgets the function at a rotation that does not name it, and then makes a version without a value the current one;
- refuses a second rotation, since the pending label stays with what became the current version;
- leaves the version behind with which it tries a schedule that does not begin with a rotation;
- takes whatever the function did for a rotation that has succeeded, and tells when it was tried for when it was done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

from local_aws.resources.moto_repairs.patching import around

_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"


def _at(secret: FakeSecret, stage: str) -> str | None:
    return next((name for name, version in secret.versions.items() if stage in version["version_stages"]), None)


def apply() -> None:
    """Mend rotations."""

    @around(SecretsManagerBackend, "rotate_secret")
    def rotate_secret(
        original: Callable[..., str],
        backend: SecretsManagerBackend,
        secret_id: str,
        client_request_token: str | None = None,
        rotation_lambda_arn: str | None = None,
        rotation_rules: dict[str, Any] | None = None,
        rotate_immediately: bool = True,  # noqa: FBT001, FBT002 (moto's own signature)
    ) -> str:
        secret: Any = backend.secrets.get(secret_id)
        before, last = (_at(secret, _CURRENT), secret.last_rotation_date) if secret else (None, None)
        if secret and before and _PENDING in secret.versions[before]["version_stages"]:
            secret.versions[before]["version_stages"].remove(_PENDING)
        answer = original(
            backend,
            secret_id,
            client_request_token,
            rotation_lambda_arn or (secret.rotation_lambda_arn if secret else None),
            rotation_rules,
            rotate_immediately,
        )
        after, pending = _at(secret, _CURRENT), _at(secret, _PENDING)
        secret.default_version_id = after
        secret.last_rotation_date = int(time.time()) if after != before else last
        if not rotate_immediately and pending and pending != after:
            del secret.versions[pending]
        return answer
