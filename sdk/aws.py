"""Calls of AWS without boto3, whose clients cost a service 27 MiB each time the first is made; botocore's signer alone costs 6."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ContainerProvider, CredentialResolver, EnvProvider
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_TIMEOUT_SECONDS = 5
_LARGEST_BYTES = 1_000_000


class AwsError(Exception):
    """AWS could not be asked."""


class Response(NamedTuple):
    """What AWS answered."""

    status: int
    content: bytes


class Aws:
    """One service of AWS, asked with the credentials of the task.

    Args:
        service: As it is signed for, such as `s3`.
        region: The container's own where not given.
    """

    def __init__(self, service: str, region: str | None = None) -> None:
        self._service = service
        self.region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._session = URLLib3Session(timeout=_TIMEOUT_SECONDS)
        self._resolver = CredentialResolver([EnvProvider(), ContainerProvider()])
        self._credentials: Credentials | None = None

    def endpoint(self) -> str | None:
        """Return where the service is where that is not AWS: the local one."""
        own = os.environ.get(f"AWS_ENDPOINT_URL_{self._service.upper()}")
        return (own or os.environ.get("AWS_ENDPOINT_URL") or "").rstrip("/") or None

    def send(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Response:
        """Make a signed call.

        Raises:
            AwsError: There are no credentials, or there is no way there.
        """
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
        signer = S3SigV4Auth if self._service == "s3" else SigV4Auth
        try:
            if self._credentials is None:  # those of a task renew themselves
                self._credentials = self._resolver.load_credentials()
            if self._credentials is None:
                raise AwsError(
                    "no credentials: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set, as it is in a task"
                )
            signer(self._credentials, self._service, self.region).add_auth(request)
            answer = self._session.send(request.prepare())
        except (BotoCoreError, OSError) as error:
            raise AwsError(str(error)) from error
        return Response(answer.status_code, bytes(answer.content[:_LARGEST_BYTES]))
