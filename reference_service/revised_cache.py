"""A cache that never goes back: what it is given is kept where it is newer than what it has.

A reader that was slow, or one of two who wrote at the same time, would else put an old value over a new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sdk import Cache
from sdk.errors import CallError

# Longer than any request that reads takes, so that what it puts there late finds what is newer; and not much longer, since a replica that
# dies after it wrote to the bucket leaves the old value here for so long.
CACHED_SECONDS = 5.0
_REVISION_DIGITS = 16
_GONE, _THERE = b"-", b"+"
_SET_NEWER = """
local known = redis.call('GET', KEYS[1])
if known and string.sub(known, 1, 16) >= string.sub(ARGV[1], 1, 16) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache knows of a key: its value, or that there is none."""

    data: bytes | None


class RevisedCache(Cache):
    """Values with the revision that they have in the bucket."""

    @classmethod
    def from_environment(cls, service: str, variables: Mapping[str, str] = os.environ) -> Self:
        """Return the cache that the container is told of, as one that never goes back."""
        made = super().from_environment(service, variables)
        assert isinstance(made, cls)  # noqa: S101  # it is made by the class that is asked
        return made

    async def recall(self, key: str) -> Cached | None:
        """Return what is known of a key; nothing where the cache is away, too, for everything goes on without it."""
        with contextlib.suppress(CallError):
            kept = await self.get(key)
            if kept is not None:
                data = kept[_REVISION_DIGITS + 1 :]
                return Cached(data if kept[_REVISION_DIGITS : _REVISION_DIGITS + 1] == _THERE else None)
        return None

    async def remember(self, key: str, revision: int, data: bytes | None) -> None:
        """Keep a value, or that there is none, unless something newer is known."""
        kept = f"{revision:0{_REVISION_DIGITS}x}".encode() + (_GONE if data is None else _THERE) + (data or b"")
        milliseconds = int(CACHED_SECONDS * 1000)
        with contextlib.suppress(CallError):
            await self._run(lambda: self._redis.eval(_SET_NEWER, 1, self._prefix + key, kept, milliseconds))
