"""A store in a bucket of S3: versioned, and every write on condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tls.errors import InputError, StoreError
from tls.store import Store, Stored, Write

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WORKERS = 10  # as many connections as boto3 keeps
_MOST_DELETED_AT_ONCE = 1000
# S3 answers 412 where the condition does not hold, 409 where another write was under way, and 404 where what was to be replaced
# is gone.
_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
_ABSENT = {"NoSuchKey", "NoSuchVersion"}
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class S3Store(Store):
    """A store in a bucket, which must keep versions."""

    def __init__(self, bucket: str, client: S3Client | None = None) -> None:
        """Open a bucket.

        Args:
            bucket: Its name.
            client: A client of S3; None makes one from the process's own credentials and region.
        """
        self._bucket = bucket
        if client is None:
            import boto3  # noqa: PLC0415  # slow, and a directory needs none

            with self._told(""):
                client = boto3.client("s3")
        self._client = client

    @property
    def address(self) -> str:
        """The bucket."""
        return f"s3://{self._bucket}"

    def read(self, key: str, version_id: str | None = None) -> Stored | None:
        """Return an object, as it is now or was in one version."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        with self._told(key):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key, **version)
            except self._client.exceptions.ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            data = answer["Body"].read()
        return Stored(data, answer["ETag"], answer.get("VersionId"))

    def read_all(self, keys: Sequence[tuple[str, str | None]]) -> list[Stored | None]:
        """Return many objects, several at a time."""
        return _each(lambda entry: self.read(*entry), keys)

    def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
        """Write many objects, several at a time."""
        return _each(self._write, writes)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so."""
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def delete(self, key: str, etag: str) -> bool:
        """Remove an object with its versions if it still is as it was; what somebody else puts there meanwhile stays."""
        with self._told(key):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=etag)
            except self._client.exceptions.ClientError as error:
                if _code(error) in _CONFLICTS:
                    return False
                raise
            self._delete_versions(
                [entry for entry, is_there in self._versions(key) if entry["Key"] == key and not is_there]
            )
        return True

    def purge(self, keys: Iterable[str]) -> None:
        """Remove objects with all of their versions."""
        for key in keys:
            with self._told(key):
                self._delete_versions([entry for entry, _ in self._versions(key) if entry["Key"] == key])

    def empty(self) -> None:
        """Remove everything, also what is seen no more: S3 removes no bucket that holds but a mark of something deleted."""
        with self._told(""):
            self._delete_versions([entry for entry, _ in self._versions("")])

    def _versions(self, prefix: str) -> Iterator[tuple[dict[str, str], bool]]:
        """Yield every version and mark of what begins so, and whether it is what a reader finds there now."""
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix):
            for entry in page.get("Versions", []):
                yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}, bool(entry["IsLatest"])
            for mark in page.get("DeleteMarkers", []):
                yield {"Key": mark["Key"], "VersionId": mark["VersionId"]}, False

    def _delete_versions(self, versions: Sequence[Any]) -> None:
        for start in range(0, len(versions), _MOST_DELETED_AT_ONCE):
            some = versions[start : start + _MOST_DELETED_AT_ONCE]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": some, "Quiet": True})
            if errors := answer.get("Errors"):
                first = errors[0]
                raise StoreError(f"{self.address}: {first.get('Key')} cannot be removed: {first.get('Message')}")

    def _write(self, write: Write) -> Stored | None:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if write.replaces is None else {"IfMatch": write.replaces}
        with self._told(write.key):
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=write.key, Body=write.data, ChecksumAlgorithm="SHA256", **condition
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in _CONFLICTS:
                    return self._already_there(write)
                raise
        if answer.get("VersionId") in {None, "null"}:
            raise StoreError(f"{self.address} keeps no versions; turn versioning on first")
        return Stored(write.data, answer["ETag"], answer["VersionId"])

    def _already_there(self, write: Write) -> Stored | None:
        """Return what is there if it is just what was to be written.

        boto3 tries again when an answer is lost. The second attempt then fails on what the first one wrote.
        """
        there = self.read(write.key)
        return there if there is not None and there.data == write.data else None

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # slow, and a directory needs none

        try:
            yield
        except ClientError as error:
            code, message = _code(error), error.response.get("Error", {}).get("Message", "")
            if code == "NoSuchBucket":
                raise InputError(f"{self.address} is not there") from error
            raise StoreError(f"{self.address}/{key}: {message or code} ({code})") from error
        except BotoCoreError as error:
            raise StoreError(f"{self.address}/{key}: {error}") from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _each(function: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
    if len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(_WORKERS, len(items))) as pool:
        return list(pool.map(function, items))
