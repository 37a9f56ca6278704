"""A small S3 that keeps its word under threads: conditional writes and deletes are atomic, and every state is kept.

moto 5.2.5 has all of these conditions, but checks them without a lock, and cannot answer 409 or lose an answer.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


class NoSuchKey(ClientError):  # noqa: N818  # boto3 calls it so
    """boto3's own error for an object that is not there."""


class _Exceptions:
    ClientError = ClientError
    NoSuchKey = NoSuchKey


@dataclass
class _Version:
    version_id: str
    data: bytes | None

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data or b"", usedforsecurity=False).hexdigest()}"'


def refusal(code: str, message: str = "refused", operation: str = "PutObject") -> ClientError:
    """Return the error that S3 would answer with."""
    kind = NoSuchKey if code == "NoSuchKey" else ClientError
    return kind({"Error": {"Code": code, "Message": message}}, operation)


class FakeS3:
    """A client of S3 with one bucket."""

    exceptions = _Exceptions

    def __init__(self) -> None:
        self.objects: dict[str, list[_Version]] = {}
        self.answers: dict[str, list[Exception | None]] = {}
        """What the next calls of an operation end with: an error before anything is done, or None."""
        self.lose_answers_of: set[str] = set()
        """Keys whose next write is done twice, as boto3 does when the first answer is lost."""
        self.before_change: Callable[[], None] = lambda: None
        """Called before each write and removal, to count them, or to raise."""
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def get_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:  # noqa: N803
        del Bucket
        self._answer("get_object")
        with self._lock:
            found = self._current(Key) if VersionId is None else self._version(Key, VersionId)
        if found is None or found.data is None:
            raise refusal("NoSuchKey" if VersionId is None else "NoSuchVersion", operation="GetObject")
        return {"Body": io.BytesIO(found.data), "ETag": found.etag, "VersionId": found.version_id}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **options: Any) -> dict[str, Any]:  # noqa: N803
        self.before_change()
        self._answer("put_object")
        with self._lock:
            current = self._current(Key)
            if "IfNoneMatch" in options and current is not None:
                raise refusal("PreconditionFailed")
            if "IfMatch" in options:
                if current is None:
                    raise refusal("NoSuchKey")
                if current.etag != options["IfMatch"]:
                    raise refusal("PreconditionFailed")
            version = _Version(f"v{next(self._numbers)}", Body)
            self.objects.setdefault(Key, []).append(version)
        if Key in self.lose_answers_of:
            self.lose_answers_of.discard(Key)
            return self.put_object(Bucket=Bucket, Key=Key, Body=Body, **options)
        return {"ETag": version.etag, "VersionId": version.version_id}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str) -> dict[str, Any]:  # noqa: N803
        del Bucket
        self.before_change()
        self._answer("delete_object")
        with self._lock:
            current = self._current(Key)
            if current is None:
                raise refusal("NoSuchKey", operation="DeleteObject")
            if current.etag != IfMatch:
                raise refusal("PreconditionFailed", operation="DeleteObject")
            self.objects[Key].append(_Version(f"v{next(self._numbers)}", None))
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        del Bucket
        self.before_change()
        self._answer("delete_objects")
        with self._lock:
            for entry in Delete["Objects"]:
                kept = [v for v in self.objects.get(entry["Key"], []) if v.version_id != entry["VersionId"]]
                self.objects[entry["Key"]] = kept
        return {}

    def copy(self) -> FakeS3:
        """Return another one that holds the same."""
        other = FakeS3()
        other.objects = {key: list(versions) for key, versions in self.objects.items()}
        other._numbers = itertools.count(sum(map(len, self.objects.values())))
        return other

    def get_paginator(self, operation: str) -> _Paginator:
        """Return what lists, two entries a page."""
        return _Paginator(self, operation)

    def _current(self, key: str) -> _Version | None:
        versions = self.objects.get(key, [])
        return versions[-1] if versions and versions[-1].data is not None else None

    def _version(self, key: str, version_id: str) -> _Version | None:
        return next((version for version in self.objects.get(key, []) if version.version_id == version_id), None)

    def _answer(self, operation: str) -> None:
        with self._lock:
            waiting = self.answers.get(operation)
            answer = waiting.pop(0) if waiting else None
        if answer is not None:
            raise answer


@dataclass
class _Paginator:
    client: FakeS3
    operation: str

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        """Yield pages of two entries."""
        del Bucket
        with self.client._lock:  # noqa: SLF001
            objects = {
                key: list(versions) for key, versions in sorted(self.client.objects.items()) if key.startswith(Prefix)
            }
        entries: list[tuple[str, dict[str, Any]]]
        if self.operation == "list_objects_v2":
            entries = [
                ("Contents", {"Key": key})
                for key, versions in objects.items()
                if versions and versions[-1].data is not None
            ]
        else:
            entries = [
                (
                    "DeleteMarkers" if version.data is None else "Versions",
                    {"Key": key, "VersionId": version.version_id, "IsLatest": version is versions[-1]},
                )
                for key, versions in objects.items()
                for version in versions
            ]
        for start in range(0, len(entries), 2):
            page: dict[str, Any] = {}
            for kind, entry in entries[start : start + 2]:
                page.setdefault(kind, []).append(entry)
            yield page
