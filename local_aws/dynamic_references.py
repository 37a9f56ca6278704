"""Dynamic references: `{{resolve:service:reference}}` inside of properties."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local_aws.errors import TemplateError

_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^{}]*)\}\}")
_SECRET = re.compile(r"(?P<id>.+?)(?::SecretString(?::(?P<key>[^:]*))?(?::(?P<stage>[^:]*))?(?::(?P<version>[^:]*))?)?")

ClientFor = Callable[[str], Any]


def resolve(value: Any, client_for: ClientFor) -> Any:
    """Replace every dynamic reference in a value, at any depth, by what it stands for now.

    Raises:
        TemplateError: a reference cannot be resolved.
    """
    if isinstance(value, dict):
        return {key: resolve(member, client_for) for key, member in value.items()}
    if isinstance(value, list):
        return [resolve(item, client_for) for item in value]
    if isinstance(value, str) and "{{resolve:" in value:
        return _REFERENCE.sub(lambda match: _look_up(match.group(1), match.group(2), client_for), value)
    return value


def _look_up(service: str, reference: str, client_for: ClientFor) -> str:
    try:
        if service in {"ssm", "ssm-secure"}:
            answer = client_for("ssm").get_parameter(Name=reference, WithDecryption=service == "ssm-secure")
            return str(answer["Parameter"]["Value"])
        if service == "secretsmanager":
            return _secret(reference, client_for)
    except ClientError as error:
        # The reference alone: what it stands for may be a secret.
        raise TemplateError(f"Could not resolve {{{{resolve:{service}:{reference}}}}}: {error}") from error
    raise TemplateError(f"Dynamic reference to {service} is not carried by the local AWS")


def _secret(reference: str, client_for: ClientFor) -> str:
    match = _SECRET.fullmatch(reference)
    if match is None:
        raise TemplateError(f"Incorrect format of the secret reference {reference!r}")
    wanted = {"VersionStage": match["stage"], "VersionId": match["version"]}
    answer = client_for("secretsmanager").get_secret_value(
        SecretId=match["id"], **{name: text for name, text in wanted.items() if text}
    )
    secret = str(answer.get("SecretString", ""))
    if not match["key"]:
        return secret
    try:
        return str(json.loads(secret)[match["key"]])
    except (ValueError, KeyError, TypeError) as error:
        raise TemplateError(f"Could not find key {match['key']!r} in the secret {match['id']}") from error
