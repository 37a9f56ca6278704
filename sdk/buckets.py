"""A key-value bucket of a service: JetStream's, provisioned by the platform, used through the client's pipeline."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import nats.js.errors
from nats.js.kv import KeyValue

from sdk.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ServiceUnavailableError,
    Violation,
)

if TYPE_CHECKING:
    from sdk.nats_client import NATSClient

T = TypeVar("T")

_BATCH = 256
_BATCH_SECONDS = 2.0
_NO_RESPONDERS = "503"
_DELETIONS = frozenset({"DEL", "PURGE"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value."""

    key: str
    value: bytes
    revision: int
    """What `put` wants to see unchanged, where two writers must not overwrite one another."""
    is_deleted: bool = False


class Bucket:
    """One bucket; `NATSClient.bucket` returns it.

    entry = await bucket.get("player-7")
    await bucket.put("player-7", b"...", revision=entry.revision)     # ConflictError where somebody was faster
    """

    def __init__(self, client: NATSClient, name: str) -> None:
        self._client = client
        self.name = name

    async def get(self, key: str) -> Entry:
        """Return the value of a key.

        Raises:
            NotFoundError: There is none.
        """

        async def attempt(store: KeyValue) -> Entry:
            try:
                return _entry(await store.get(key))
            except nats.js.errors.KeyNotFoundError:
                raise NotFoundError(f"{self.name} has no key {key}") from None

        return await self._run(attempt, idempotent=True)

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Store a value and return its revision.

        Args:
            key: Letters, digits and `-/_=.`.
            value: At most what a message may hold.
            revision: The one that is to be replaced; any where None.

        Raises:
            ConflictError: The key has another revision by now.
        """

        async def attempt(store: KeyValue) -> int:
            if revision is None:
                return await store.put(key, value)
            try:
                return await store.update(key, value, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                raise ConflictError(f"{self.name}: {key} is no longer at revision {revision}") from None

        # With a revision a second try would find what the first one did, and take it for somebody else's.
        return await self._run(attempt, idempotent=revision is None)

    async def create(self, key: str, value: bytes) -> int:
        """Store a value under a key that is not there, and return its revision.

        Raises:
            AlreadyExistsError: The key is there.
        """

        async def attempt(store: KeyValue) -> int:
            try:
                return await store.create(key, value)
            except nats.js.errors.KeyWrongLastSequenceError:
                raise AlreadyExistsError(f"{self.name} has a key {key} already") from None

        return await self._run(attempt, idempotent=False)

    async def delete(self, key: str) -> None:
        """Remove a key; nothing happens where it is not there."""

        async def attempt(store: KeyValue) -> bool:
            return await store.delete(key)

        await self._run(attempt, idempotent=True)

    async def entries(self, pattern: str = ">") -> list[Entry]:
        """Return what is there under the keys that match a pattern with wildcards, by key.

        It is read in batches, so what changes meanwhile may or may not be in it.
        """
        return await self._run(lambda store: _read_all(store, self.name, pattern), idempotent=True)

    async def keys(self, pattern: str = ">") -> list[str]:
        """Return the keys that match a pattern with wildcards, sorted."""
        return [entry.key for entry in await self.entries(pattern)]

    async def _run(self, attempt: Callable[[KeyValue], Awaitable[T]], *, idempotent: bool) -> T:
        try:
            return await self._client.run_on_bucket(self.name, attempt, idempotent=idempotent)
        except nats.js.errors.InvalidKeyError:
            why = "a key has letters, digits and -/_=. and neither begins nor ends with a dot"
            raise InvalidRequestError(violations=[Violation("key", why)]) from None


async def _read_all(store: KeyValue, bucket: str, pattern: str) -> list[Entry]:
    """Read a bucket by batches of direct gets: a watcher would have to create a consumer, which no service may."""
    connection = store._js._nc  # noqa: SLF001  # a store does not tell which connection it lives on
    prefix = f"$KV.{bucket}."
    found: dict[str, Entry] = {}
    start = 1
    while start:
        wanted = {"batch": _BATCH, "seq": start, "next_by_subj": f"{prefix}{pattern}"}
        start = 0
        inbox = connection.new_inbox()
        answers = await connection.subscribe(inbox)
        try:
            await connection.publish(f"$JS.API.DIRECT.GET.KV_{bucket}", json.dumps(wanted).encode(), reply=inbox)
            while True:
                message = await answers.next_msg(_BATCH_SECONDS)
                headers = message.headers or {}
                status = headers.get("Status", "")
                if status == _NO_RESPONDERS:
                    raise ServiceUnavailableError("nobody answers for this bucket now", was_delivered=False)
                if status:  # the end of the batch, or nothing from there on
                    break
                entry = _stored_entry(prefix, headers, message.data)
                found[entry.key] = entry
                start = entry.revision + 1 if int(headers.get("Nats-Num-Pending", "0")) else 0
        finally:
            await answers.unsubscribe()
    return [found[key] for key in sorted(found) if not found[key].is_deleted]


def _stored_entry(prefix: str, headers: Mapping[str, str], value: bytes) -> Entry:
    is_deleted = headers.get("KV-Operation", "") in _DELETIONS or "Nats-Marker-Reason" in headers
    return Entry(headers["Nats-Subject"].removeprefix(prefix), value, int(headers["Nats-Sequence"]), is_deleted)


def _entry(entry: KeyValue.Entry) -> Entry:
    return Entry(entry.key, entry.value or b"", entry.revision or 0)
