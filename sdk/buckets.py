"""A key-value bucket of a service: JetStream's, provisioned by the platform, used through the client's pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nats.js.errors
from nats.js.kv import KeyValue

from sdk.connection import Connection
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

_KEY = re.compile(r"[-/_=A-Za-z0-9]+(?:\.[-/_=A-Za-z0-9]+)*", re.ASCII)
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


class Bucket:
    """One bucket; `NATSClient.bucket` returns it.

    entry = await bucket.get("player-7")
    await bucket.put("player-7", b"...", revision=entry.revision)     # ConflictError where somebody was faster

    That a key is not there, or not at a revision, is an answer: it is raised, and neither logged nor counted as a failed call.
    """

    def __init__(self, client: NATSClient, name: str) -> None:
        self._client = client
        self.name = name

    async def get(self, key: str) -> Entry:
        """Return the value of a key, as the last writer left it: it is asked for where it is written, not at a copy.

        Raises:
            NotFoundError: There is none.
        """
        entry = await self.find(key)
        if entry is None:
            raise NotFoundError(f"{self.name} has no key {key}", endpoint=self._endpoint)
        return entry

    async def find(self, key: str) -> Entry | None:
        """Return the value of a key as `get` does; None where there is none."""
        subject = self._subject(key)

        async def attempt(connection: Connection, remaining: float) -> Entry | None:
            try:
                message = await connection.jetstream(timeout=remaining).get_last_msg(f"KV_{self.name}", subject)
            except nats.js.errors.NotFoundError:
                return None
            headers = message.headers or {}
            return None if _is_deletion(headers) else Entry(key, message.data or b"", message.seq or 0)

        return await self._client.carry_out(self._endpoint, attempt, idempotent=True)

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Store a value and return its revision.

        Args:
            key: Letters, digits and `-/_=`, with dots between.
            value: At most what a message may hold.
            revision: The one that is to be replaced; any where None.

        Raises:
            ConflictError: The key has another revision by now.
        """
        self._subject(key)

        async def attempt(store: KeyValue) -> int | None:
            if revision is None:
                return await store.put(key, value)
            try:
                return await store.update(key, value, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                return None

        # With a revision a second try would find what the first one did, and take it for somebody else's.
        written = await self._client.run_on_bucket(self.name, attempt, idempotent=revision is None)
        if written is None:
            raise ConflictError(f"{self.name}: {key} is no longer at revision {revision}", endpoint=self._endpoint)
        return written

    async def create(self, key: str, value: bytes) -> int:
        """Store a value under a key that is not there, and return its revision.

        Raises:
            AlreadyExistsError: The key is there.
        """
        self._subject(key)

        async def attempt(store: KeyValue) -> int | None:
            try:
                return await store.create(key, value)
            except nats.js.errors.KeyWrongLastSequenceError:
                return None

        written = await self._client.run_on_bucket(self.name, attempt, idempotent=False)
        if written is None:
            raise AlreadyExistsError(f"{self.name} has a key {key} already", endpoint=self._endpoint)
        return written

    async def delete(self, key: str) -> None:
        """Remove a key; nothing happens where it is not there."""
        self._subject(key)

        async def attempt(store: KeyValue) -> bool:
            return await store.delete(key)

        await self._client.run_on_bucket(self.name, attempt, idempotent=True)

    async def entries(self, pattern: str = ">") -> list[Entry]:
        """Return what is there under the keys that match a pattern with wildcards, by key.

        It is read in batches, from whichever copy answers, so what changed just now may or may not be in it.
        """

        async def attempt(connection: Connection, _: float) -> list[Entry]:
            return await _read_all(connection, self.name, pattern)

        return await self._client.carry_out(self._endpoint, attempt, idempotent=True)

    async def keys(self, pattern: str = ">") -> list[str]:
        """Return the keys that match a pattern with wildcards, sorted; as fresh as `entries`."""
        return [entry.key for entry in await self.entries(pattern)]

    @property
    def _endpoint(self) -> str:
        return f"$KV.{self.name}"

    def _subject(self, key: str) -> str:
        """Return where a key is written.

        Raises:
            InvalidRequestError: It is no key.
        """
        if not _KEY.fullmatch(key):
            why = f"{key!r} is no key; a key has letters, digits and -/_=, with dots between"
            raise InvalidRequestError(violations=[Violation("key", why)], endpoint=self._endpoint)
        return f"$KV.{self.name}.{key}"


async def _read_all(connection: Connection, bucket: str, pattern: str) -> list[Entry]:
    """Read a bucket by batches of direct gets: a watcher would have to create a consumer, which no service may."""
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
                entry = Entry(headers["Nats-Subject"].removeprefix(prefix), message.data, int(headers["Nats-Sequence"]))
                if _is_deletion(headers):
                    found.pop(entry.key, None)
                else:
                    found[entry.key] = entry
                start = entry.revision + 1 if int(headers.get("Nats-Num-Pending", "0")) else 0
        finally:
            await answers.unsubscribe()
    return [found[key] for key in sorted(found)]


def _is_deletion(headers: Mapping[str, str]) -> bool:
    return headers.get("KV-Operation", "") in _DELETIONS or "Nats-Marker-Reason" in headers
