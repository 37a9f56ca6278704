"""What a service keeps: protobuf messages in its bucket, with the cache in front of it where the entry has one.

The bucket is the truth, and every change compares revisions there. The cache answers reads; whoever writes puts the new value there before
it answers, so that all replicas see it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from reference_service.records import key_of, record_key
from sdk import Bucket, Entry
from sdk.errors import AlreadyExistsError, ConflictError, NotFoundError, ServiceUnavailableError

if TYPE_CHECKING:
    from reference_service.revised_cache import RevisedCache

M = TypeVar("M", bound=Message)

_ATTEMPTS = 10


class Store:
    """Things of a service, by their kind and names."""

    def __init__(self, bucket: Bucket, cache: RevisedCache | None = None) -> None:
        self._bucket = bucket
        self._cache = cache

    async def find(self, kind: type[M], *names: str) -> M | None:
        """Return a thing, or nothing."""
        key = record_key(kind.DESCRIPTOR.name, names)
        cached = await self._cache.recall(key) if self._cache is not None else None
        if cached is None:
            entry = await self._bucket.find(key)
            if entry is None:
                return None
            await self._remember(key, entry.value, entry.revision)
            return kind.FromString(entry.value)
        return None if cached.data is None else kind.FromString(cached.data)

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
        return await self._write(key, thing.SerializeToString(deterministic=True), None)

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
            entry = await self._bucket.find(key)
            if entry is None and make is None:
                raise _missing(kind, names)
            thing = kind.FromString(entry.value) if entry is not None else make() if make is not None else kind()
            edit(thing)
            data = thing.SerializeToString(deterministic=True)
            if (entry is not None and data == entry.value) or await self._write(key, data, entry):
                return thing
        raise ServiceUnavailableError(f"{kind.DESCRIPTOR.name} {'/'.join(names)} is being changed by many at once")

    async def delete(self, kind: type[Message], *names: str) -> bool:
        """Forget a thing; tell whether there was one."""
        key = record_key(kind.DESCRIPTOR.name, names)
        entry = await self._bucket.find(key)
        if entry is None:
            return False
        await self._bucket.delete(key)
        # The removal has a revision of its own, which is higher than this one or the same.
        await self._remember(key, None, entry.revision + 1)
        return True

    async def _write(self, key: str, data: bytes, replaced: Entry | None) -> bool:
        """Write a value in the place of what was read, or of nothing; tell whether that was still so."""
        try:
            if replaced is None:
                revision = await self._bucket.create(key, data)
            else:
                revision = await self._bucket.put(key, data, revision=replaced.revision)
        except (AlreadyExistsError, ConflictError):
            return False
        await self._remember(key, data, revision)
        return True

    async def _remember(self, key: str, data: bytes | None, revision: int) -> None:
        if self._cache is not None:
            await self._cache.remember(key, revision, data)


def _missing(kind: type[Message], names: tuple[str, ...]) -> NotFoundError:
    return NotFoundError(f"there is no {kind.DESCRIPTOR.name} {'/'.join(names)}")
