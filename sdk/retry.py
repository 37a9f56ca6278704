"""Trying again: only what is safe, with growing pauses that differ, and never so much that it becomes the load."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sdk.errors import CallError

# Pauses have to differ between processes, not to be secret.
_jitter = random.Random()  # noqa: S311


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast a failed call is tried again."""

    max_attempts: int = 3
    base_seconds: float = 0.05
    max_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is 1 or more, got {self.max_attempts}")

    def pause_seconds(self, attempt: int, jitter: Callable[[], float] = _jitter.random) -> float:
        """Return how long to wait after an attempt (the first is 1): anything up to a bound that doubles, "full jitter"."""
        return jitter() * min(self.max_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 32))


class RetryBudget:
    """Bounds retries to a share of all calls, so that a dependency in trouble is not asked three times as much.

    Args:
        ratio: Retries a call that were earned by it.
        burst: Retries that may be saved up; a process begins with as many.
    """

    def __init__(self, ratio: float = 0.1, burst: float = 10.0) -> None:
        self._ratio = ratio
        self._burst = burst
        self._tokens = burst

    def earn(self) -> None:
        """Note a call."""
        if self._tokens < self._burst:
            self._tokens = min(self._burst, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Take a retry out of the budget; False where it is used up."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def is_safe_to_retry(error: CallError, *, idempotent: bool) -> bool:
    """Tell whether a failed call may be made once more: it may help, and does nothing twice."""
    return error.retryable and (idempotent or not error.was_delivered)
