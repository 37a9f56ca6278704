"""What a service keeps: protobuf messages in its bucket, with the cache in front of it where the entry has one.

The bucket is the truth, and every change compares revisions there. The cache answers reads; whoever writes puts the new value there before
it answers, so that all replicas see it. A replica that dies between the two leaves the old value for `CACHED_SECONDS` at most.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from nats.js.errors import KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from reference_service.records import key_of, record_key
from sdk import Cache, NATSClient
from sdk.errors import CallError, ServiceUnavailableError
from sdk.errors import NotFoundError as UnknownError

M = TypeVar("M", bound=Message)
T = TypeVar("T")

CACHED_SECONDS = 5.0
_ATTEMPTS = 10
_LEADER_SECONDS = 2.0
_OPERATION_HEADER = "KV-Operation"
_REMOVALS = frozenset({"DEL", "PURGE"})


class Store:
    """Things of a service, by their kind and names."""

    def __init__(self, client: NATSClient, bucket: str, cache: Cache | None = None) -> None:
        self._client = client
        self._name = bucket
        self._bucket = client.bucket(bucket)
        self._cache = cache

    async def find(self, kind: type[M], *names: str) -> M | None:
        """Return a thing, or nothing."""
        key = record_key(kind.DESCRIPTOR.name, names)
        cached = await self._cached(key)
        if cached is None:
            entry = await self._entry(key)
            if entry is None:
                return None
            cached = entry[0]
            await self._remember(key, cached)
        return kind.FromString(cached)

    async def get(self, kind: type[M], *names: str) -> M:
        """Return a thing.

        Raises:
            UnknownError: There is none.
        """
        found = await self.find(kind, *names)
        if found is None:
            raise _missing(kind, names)
        return found

    async def every(self, kind: type[M], *names: str) -> list[M]:
        """Return all things of a kind whose names begin so, in the order of their names."""
        return [thing for _, thing in await self.named(kind, *names)]

    async def named(self, kind: type[M], *names: str) -> list[tuple[list[str], M]]:
        """Return the same, each with its names."""
        entries = await self._bucket.entries(record_key(kind.DESCRIPTOR.name, [*names, ">"]))
        return [(entry.key.split(".")[1:], kind.FromString(entry.value)) for entry in entries]

    async def add(self, thing: Message, *names: str) -> bool:
        """Keep a thing that is new; tell whether it was."""
        key, data = (
            record_key(thing.DESCRIPTOR.name, names or key_of(thing)),
            thing.SerializeToString(deterministic=True),
        )
        is_new = await self._write(key, data, None)
        if is_new:
            await self._remember(key, data)
        return is_new

    async def change(
        self, kind: type[M], *names: str, edit: Callable[[M], object], make: Callable[[], M] | None = None
    ) -> M:
        """Change a thing, and return it as it is now; nobody's change in between is lost.

        Args:
            kind: Of the thing.
            names: Of the thing.
            edit: Changes it in place, may refuse by raising, and may be called again when somebody else was faster.
            make: Makes it where it is not there.

        Raises:
            UnknownError: It is not there.
            ServiceUnavailableError: Others were faster again and again.
        """
        key = record_key(kind.DESCRIPTOR.name, names)
        for _ in range(_ATTEMPTS):
            entry = await self._entry(key)
            if entry is None and make is None:
                raise _missing(kind, names)
            thing = kind.FromString(entry[0]) if entry is not None else make() if make is not None else kind()
            edit(thing)
            data = thing.SerializeToString(deterministic=True)
            if entry is not None and data == entry[0]:
                return thing
            if await self._write(key, data, entry[1] if entry is not None else None):
                await self._remember(key, data)
                return thing
        raise ServiceUnavailableError(f"{kind.DESCRIPTOR.name} {'/'.join(names)} is being changed by many at once")

    async def delete(self, kind: type[Message], *names: str) -> bool:
        """Forget a thing; tell whether there was one."""
        key = record_key(kind.DESCRIPTOR.name, names)
        there = await self._entry(key) is not None
        if there:
            await self._bucket.delete(key)
        if self._cache is not None:
            with contextlib.suppress(CallError):
                await self._cache.delete(key)
        return there

    async def _entry(self, key: str) -> tuple[bytes, int] | None:
        async def attempt(_: KeyValue) -> tuple[bytes, int] | None:
            # The bucket's own `get` may ask a replica of it that does not know the newest change yet; this asks the leader.
            stream = self._client.connection().jetstream(timeout=_LEADER_SECONDS)
            try:
                message = await stream.get_last_msg(f"KV_{self._name}", f"$KV.{self._name}.{key}")
            except NotFoundError:
                return None
            if (message.headers or {}).get(_OPERATION_HEADER) in _REMOVALS:
                return None
            return message.data or b"", message.seq or 0

        return await self._run(attempt, idempotent=True)

    async def _write(self, key: str, data: bytes, revision: int | None) -> bool:
        """Write a value in the place of a revision, or of nothing; tell whether that was still so."""

        async def attempt(bucket: KeyValue) -> bool:
            try:
                if revision is None:
                    await bucket.create(key, data)
                else:
                    await bucket.update(key, data, last=revision)
            except KeyWrongLastSequenceError:
                return False
            return True

        # A second try would find what the first one did, and take it for somebody else's.
        return await self._run(attempt, idempotent=False)

    async def _run(self, attempt: Callable[[KeyValue], Awaitable[T]], *, idempotent: bool) -> T:
        # That a key is not there, or not at a revision, is an answer here and no failed call to be logged and counted.
        return await self._client.run_on_bucket(self._name, attempt, idempotent=idempotent)

    async def _cached(self, key: str) -> bytes | None:
        if self._cache is None:
            return None
        # Without the cache everything goes on, only slower; its breaker sees to it that nobody waits for it again and again.
        with contextlib.suppress(CallError):
            return await self._cache.get(key)
        return None

    async def _remember(self, key: str, data: bytes) -> None:
        if self._cache is not None:
            with contextlib.suppress(CallError):
                await self._cache.set(key, data, ttl_seconds=CACHED_SECONDS)


def _missing(kind: type[Message], names: tuple[str, ...]) -> UnknownError:
    return UnknownError(f"there is no {kind.DESCRIPTOR.name} {'/'.join(names)}")
