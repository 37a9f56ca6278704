"""A bound on the calls that are under way at a time, so that one slow dependency does not take all of a process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from sdk.errors import BulkheadFullError


class Bulkhead:
    """Lets so many calls in at a time, lets some more wait in turn, and refuses the rest.

    Args:
        max_concurrent: Calls at a time.
        max_waiting: Calls that wait for a place.
    """

    def __init__(self, max_concurrent: int = 512, max_waiting: int = 16_384) -> None:
        if max_concurrent < 1 or max_waiting < 0:
            raise ValueError(f"got {max_concurrent} concurrent and {max_waiting} waiting calls; at least 1 and 0")
        self._max_concurrent = max_concurrent
        self._max_waiting = max_waiting
        self._active = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def active(self) -> int:
        """Calls that are under way."""
        return self._active

    def try_enter(self) -> bool:
        """Take a place where one is free at once; it is given back by `leave`."""
        if self._active < self._max_concurrent and not self._waiting:
            self._active += 1
            return True
        return False

    async def enter(self, timeout_seconds: float) -> None:
        """Take a place, in turn.

        Raises:
            BulkheadFullError: Too many wait already, or none was free in time.
        """
        if self.try_enter():
            return
        if len(self._waiting) >= self._max_waiting:
            raise self._full(f"and {self._max_waiting} wait already")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            async with asyncio.timeout(timeout_seconds):
                await place
        except BaseException as error:
            if self._waiting.pop(place, self) is self and not place.cancelled():
                self.leave()  # the place was ours already; it goes to the next in turn
            if isinstance(error, TimeoutError):
                raise self._full(f"and none ended within {timeout_seconds:.1f} s") from None
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._waiting:
            place, _ = self._waiting.popitem(last=False)
            if not place.done():
                place.set_result(None)
                return
        self._active -= 1

    def _full(self, why: str) -> BulkheadFullError:
        return BulkheadFullError(
            f"{self._max_concurrent} calls are under way, {why}", was_delivered=False, is_local=True, retryable=False
        )
