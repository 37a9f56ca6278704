"""What a service keeps: protobuf messages in its bucket, with the cache in front of it where the entry has one.

The bucket is the truth, and every change compares revisions there. The cache answers reads; whoever writes puts the new value there before
it answers, so that all replicas see it. A replica that dies between the two leaves the old value for `CACHED_SECONDS` at most.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from reference_service.records import key_of, record_key
from sdk import Bucket, Cache
from sdk.errors import AlreadyExistsError, CallError, ConflictError, NotFoundError, ServiceUnavailableError

M = TypeVar("M", bound=Message)

CACHED_SECONDS = 5.0
_ATTEMPTS = 10


class Store:
    """Things of a service, by their kind and names."""

    def __init__(self, bucket: Bucket, cache: Cache | None = None) -> None:
        self._bucket = bucket
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
            NotFoundError: There is none.
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
        key = record_key(thing.DESCRIPTOR.name, names or key_of(thing))
        try:
            await self._bucket.create(key, thing.SerializeToString())
        except AlreadyExistsError:
            return False
        await self._remember(key, thing.SerializeToString())
        return True

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
            NotFoundError: It is not there.
            ServiceUnavailableError: Others were faster again and again.
        """
        key = record_key(kind.DESCRIPTOR.name, names)
        for _ in range(_ATTEMPTS):
            entry = await self._entry(key)
            if entry is None and make is None:
                raise _missing(kind, names)
            thing = kind.FromString(entry[0]) if entry is not None else make() if make is not None else kind()
            edit(thing)
            data = thing.SerializeToString()
            if entry is not None and data == entry[0]:
                return thing
            with contextlib.suppress(ConflictError, AlreadyExistsError):
                if entry is None:
                    await self._bucket.create(key, data)
                else:
                    await self._bucket.put(key, data, revision=entry[1])
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
        try:
            entry = await self._bucket.get(key)
        except NotFoundError:
            return None
        return entry.value, entry.revision

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


def _missing(kind: type[Message], names: tuple[str, ...]) -> NotFoundError:
    return NotFoundError(f"there is no {kind.DESCRIPTOR.name} {'/'.join(names)}")
