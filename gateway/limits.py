"""Bounds on what callers may take: requests over time, and requests at a time."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.problems import Problem

_MOST_CALLERS = 100_000


class Rates:
    """Requests of each caller over time, by the generic cell rate algorithm: one number a caller, and no timer.

    Args:
        per_second: Requests a second, over time; 0 is without a bound.
        burst: Requests that a caller who was quiet may make at once.
        clock: Seconds that never go back.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / per_second if per_second else 0.0
        self._slack = self._interval * max(burst - 1, 0)
        self._clock = clock
        self._next: OrderedDict[str, float] = OrderedDict()
        """When each caller, had it come evenly, may come again."""

    def wait_seconds(self, caller: str) -> float:
        """Return how long a caller has to wait; 0 where it may come now."""
        return max(0.0, self._next.get(caller, 0.0) - self._slack - self._clock())

    def take(self, caller: str) -> None:
        """Note a request.

        Raises:
            Problem: The caller comes too often.
        """
        if not self._interval:
            return
        wait = self.wait_seconds(caller)
        if wait > 0:
            raise Problem("too-many-requests", "this caller comes too often", retry_after_seconds=wait)
        self.note(caller)

    def note(self, caller: str) -> None:
        """Note a request that is let in, whatever the bound says."""
        now = self._clock()
        self._next[caller] = max(now, self._next.get(caller, 0.0)) + self._interval
        self._next.move_to_end(caller)
        if len(self._next) > _MOST_CALLERS:
            self._next.popitem(last=False)  # whoever was quiet the longest


class Places:
    """Requests under way.

    Args:
        total: At a time.
        each: Of one caller at a time.
        what: What there are too many of, for whom it is refused to.
    """

    def __init__(self, total: int, each: int, what: str) -> None:
        self._total = total
        self._each = each
        self._what = what
        self._taken: Counter[str] = Counter()
        self.taken = 0

    @contextmanager
    def hold(self, caller: str) -> Iterator[None]:
        """Hold a place while a block runs.

        Raises:
            Problem: The caller has too many, or all together have.
        """
        if self._taken[caller] >= self._each:
            told = f"this caller has {self._each} {self._what} already"
            raise Problem("too-many-requests", told, retry_after_seconds=1)
        if self.taken >= self._total:
            if not self._taken[caller]:
                del self._taken[caller]
            raise Problem("unavailable", f"there are too many {self._what} now", retry_after_seconds=1)
        self._taken[caller] += 1
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]
