"""Certificates from the bucket that `tls` keeps them in, read without boto3: its S3 client costs a service 27 MiB, this 6.

`current.json` below the client's prefix names a version, with the version ids and checksums of its files; the one below
`ca/certificates/` does the same for the authorities. So what is read is of one version, whatever is written at the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ContainerProvider, CredentialResolver, Credentials, EnvProvider
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from sdk.certificates import CHAIN, KEY, SERVER_CA, Certificates
from sdk.errors import CertificateError

_AUTHORITY = "ca/certificates/"
_CURRENT = "current.json"
_LARGEST_BYTES = 1_000_000
_OK, _NOT_FOUND, _FORBIDDEN, _UNAVAILABLE = 200, 404, 403, 500


class S3Certificates:
    """A client's certificate in S3.

    Args:
        bucket: Of the certificates.
        prefix: Of this client, such as `client/quest-system-nats/`.
        region: Of the bucket; the container's own where not given.
        poll_seconds: How often to look for new ones.
    """

    def __init__(self, bucket: str, prefix: str, *, region: str | None = None, poll_seconds: float = 300.0) -> None:
        self._bucket = bucket
        self._prefix = prefix.rstrip("/") + "/"
        self._region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._session = URLLib3Session(timeout=5)
        self._resolver = CredentialResolver([EnvProvider(), ContainerProvider()])
        self._credentials: Credentials | None = None
        self.poll_seconds = poll_seconds

    def fetch(self) -> Certificates:
        """Read the current ones.

        Raises:
            CertificateError: They are not there, are not ours to read, or are damaged.
        """
        pointer = self._read_record(f"{self._prefix}{_CURRENT}")
        authority = self._read_record(f"{_AUTHORITY}{_CURRENT}")
        try:
            chain, key = (self._read_file(self._prefix, pointer, name) for name in (CHAIN, KEY))
            server_ca = self._read_file(_AUTHORITY, authority, SERVER_CA)
            not_after = datetime.fromisoformat(str(pointer["certificate"]["not_after"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CertificateError(
                f"s3://{self._bucket}/{self._prefix}{_CURRENT} or {_AUTHORITY}{_CURRENT} is damaged: {error!r}"
            ) from error
        return Certificates(chain, key, server_ca, not_after)

    def _read_record(self, key: str) -> Mapping[str, Any]:
        try:
            record: Mapping[str, Any] = json.loads(self._read(key, None))
        except ValueError as error:
            raise CertificateError(f"s3://{self._bucket}/{key} is no JSON: {error}") from error
        return record

    def _read_file(self, folder: str, record: Mapping[str, Any], name: str) -> bytes:
        file = record["files"][name]
        key = f"{folder}{record['version']}/{name}"
        data = self._read(key, file["version_id"])
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise CertificateError(f"s3://{self._bucket}/{key} is not what its pointer says: the checksums differ")
        return data

    def _read(self, key: str, version_id: str | None) -> bytes:
        query = f"?versionId={urllib.parse.quote(version_id, safe='')}" if version_id else ""
        request = AWSRequest("GET", f"{self._address()}/{urllib.parse.quote(key)}{query}")
        try:
            S3SigV4Auth(self._credentials_now(), "s3", self._region).add_auth(request)
            response = self._session.send(request.prepare())
        except (BotoCoreError, OSError) as error:
            raise CertificateError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        if response.status_code == _OK:
            return bytes(response.content[:_LARGEST_BYTES])
        why = {
            _NOT_FOUND: "it is not there; the deployment issues it, or `fleet certs issue` by hand",
            _FORBIDDEN: "the task's role may not read it, or it is not there",
        }.get(response.status_code, "S3 cannot answer now" if response.status_code >= _UNAVAILABLE else "S3 refused")
        raise CertificateError(f"s3://{self._bucket}/{key}: {why} (HTTP {response.status_code})")

    def _address(self) -> str:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:  # the local AWS
            return f"{endpoint.rstrip('/')}/{self._bucket}"
        return f"https://{self._bucket}.s3.{self._region}.amazonaws.com"

    def _credentials_now(self) -> Credentials:
        """Return credentials; those of a task renew themselves."""
        if self._credentials is None:
            self._credentials = self._resolver.load_credentials()
        if self._credentials is None:
            raise CertificateError(
                "no credentials for S3: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set, as it is in a task"
            )
        return self._credentials
