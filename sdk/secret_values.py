"""A secret of Secrets Manager, read again while the process runs."""

from __future__ import annotations

import json

from sdk.aws import Aws, AwsError
from sdk.errors import ConfigurationError

_OK = 200


def read_secret(name: str) -> str:
    """Return the current value of a secret.

    Raises:
        ConfigurationError: It cannot be read.
    """
    aws = Aws("secretsmanager")
    url = aws.endpoint() or f"https://secretsmanager.{aws.region}.amazonaws.com"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    try:
        answer = aws.send("POST", f"{url}/", headers, json.dumps({"SecretId": name}).encode())
    except AwsError as error:
        raise ConfigurationError(f"the secret {name} cannot be read: {error}") from error
    if answer.status != _OK:
        kind = json.loads(answer.content or b"{}").get("__type", "")
        raise ConfigurationError(f"the secret {name} cannot be read: HTTP {answer.status} {kind}".rstrip())
    return str(json.loads(answer.content)["SecretString"])
