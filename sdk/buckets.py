"""A key-value bucket of a service: JetStream's, provisioned by the platform, used through the client's pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import nats.js.errors
from nats.js.kv import KeyValue

from sdk.connection import Connection
from sdk.errors import AlreadyExistsError, ConflictError, InvalidRequestError, NotFoundError, Violation

if TYPE_CHECKING:
    from sdk.nats_client import NATSClient

T = TypeVar("T")

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

        return await self._run(key, attempt, idempotent=True)

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
        return await self._run(key, attempt, idempotent=revision is None)

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

        return await self._run(key, attempt, idempotent=False)

    async def delete(self, key: str) -> None:
        """Remove a key; nothing happens where it is not there."""

        async def attempt(store: KeyValue) -> bool:
            return await store.delete(key)

        await self._run(key, attempt, idempotent=True)

    async def keys(self, pattern: str = ">") -> list[str]:
        """Return the keys that match a pattern with wildcards, sorted."""

        async def attempt(store: KeyValue) -> list[str]:
            watcher = await store.watch(pattern, ignore_deletes=True, meta_only=True)
            found = []
            try:
                async for entry in watcher:
                    if entry is None:  # everything that is there has been told
                        break
                    found.append(entry.key)
            finally:
                await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations
            return sorted(found)

        return await self._run("", attempt, idempotent=True)

    async def watch(self, pattern: str = ">") -> AsyncIterator[Entry]:
        """Give every entry that matches as it is now, then each change as it comes, for as long as one asks.

        After a change of the connection all entries come again, since some may have changed in between.
        """
        while True:
            await self._client.wait_until_connected()
            watcher, lost = await self._client.run_on_bucket(
                self.name, lambda store: _begin(store, pattern), idempotent=True
            )
            try:
                while not lost.done():
                    entry = await _next(watcher, lost)
                    if entry is not None:
                        yield _entry(entry)
            finally:
                if not lost.done():
                    await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations

    async def _run(self, key: str, attempt: Callable[[KeyValue], Awaitable[T]], *, idempotent: bool) -> T:
        try:
            return await self._client.run_on_bucket(self.name, attempt, idempotent=idempotent)
        except nats.js.errors.InvalidKeyError:
            why = f"{key!r} is no key; a key has letters, digits and -/_=. and neither begins nor ends with a dot"
            raise InvalidRequestError(violations=[Violation("key", why)]) from None


async def _begin(store: KeyValue, pattern: str) -> tuple[KeyValue.KeyWatcher, asyncio.Future[str]]:
    connection = store._js._nc  # noqa: SLF001  # a store does not tell which connection it lives on
    assert isinstance(connection, Connection)  # noqa: S101  # we made the store of one
    return await store.watch(pattern), connection.lost


async def _next(watcher: KeyValue.KeyWatcher, lost: asyncio.Future[str]) -> KeyValue.Entry | None:
    """Return the next update; None where there is none any more, or where all that was there has been told."""
    update = asyncio.ensure_future(watcher.updates(timeout=None))  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations
    try:
        await asyncio.wait({update, lost}, return_when=asyncio.FIRST_COMPLETED)
        return update.result() if update.done() else None
    finally:
        update.cancel()


def _entry(entry: KeyValue.Entry) -> Entry:
    return Entry(entry.key, entry.value or b"", entry.revision or 0, entry.operation in _DELETIONS)
