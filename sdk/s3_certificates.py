"""Certificates from the bucket that `tls` keeps them in.

`current.json` below the client's prefix names a version, with the version ids and checksums of its files; the one below
`ca/certificates/` does the same for the authorities. So what is read is of one version, whatever is written at the time.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sdk.aws import Aws, AwsError
from sdk.certificates import CHAIN, KEY, SERVER_CA, Certificates
from sdk.errors import CertificateError

_AUTHORITY = "ca/certificates/"
_CURRENT = "current.json"
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
        self._aws = Aws("s3", region)
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
        try:
            answer = self._aws.send("GET", f"{self._address()}/{urllib.parse.quote(key)}{query}")
        except AwsError as error:
            raise CertificateError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        if answer.status == _OK:
            return answer.content
        why = {
            _NOT_FOUND: "it is not there; the deployment issues it, or `fleet certs issue` by hand",
            _FORBIDDEN: "the task's role may not read it, or it is not there",
        }.get(answer.status, "S3 cannot answer now" if answer.status >= _UNAVAILABLE else "S3 refused")
        raise CertificateError(f"s3://{self._bucket}/{key}: {why} (HTTP {answer.status})")

    def _address(self) -> str:
        endpoint = self._aws.endpoint()
        return (
            f"{endpoint}/{self._bucket}" if endpoint else f"https://{self._bucket}.s3.{self._aws.region}.amazonaws.com"
        )
