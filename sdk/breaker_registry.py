"""The circuit breakers of a process, one a service and endpoint, never more than a given number."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from sdk.circuit_breaker import (
    AsyncCircuitBreaker,
    CircuitState,
    Classifier,
    Listener,
    Snapshot,
    every_error_is_a_failure,
)


class BreakerRegistry:
    """Makes a breaker when its endpoint is first asked, and forgets the one that was not asked for longest.

    A closed breaker goes before one that protects something now.

    Args:
        max_size: The most breakers at a time; subjects may be made of data, so their number has no other bound.
        failure_threshold: See `AsyncCircuitBreaker`, as for those that follow.
        recovery_seconds: As there.
        success_threshold: As there.
        classify: As there.
        clock: As there.
    """

    def __init__(
        self,
        *,
        max_size: int = 1024,
        failure_threshold: int = 5,
        recovery_seconds: float = 60.0,
        success_threshold: int = 2,
        classify: Classifier = every_error_is_a_failure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_size < 1:
            raise ValueError(f"max_size is 1 or more, got {max_size}")
        self._max_size = max_size
        self._failure_threshold = failure_threshold
        self._recovery_seconds = recovery_seconds
        self._success_threshold = success_threshold
        self._classify = classify
        self._clock = clock
        self._listeners: list[Listener] = []
        self._breakers: OrderedDict[tuple[str, str], AsyncCircuitBreaker] = OrderedDict()

    def get(self, service: str, endpoint: str) -> AsyncCircuitBreaker:
        """Return the breaker of an endpoint."""
        key = (service, endpoint)
        breaker = self._breakers.get(key)
        if breaker is not None:
            self._breakers.move_to_end(key)
            return breaker
        breaker = AsyncCircuitBreaker(
            f"{service}/{endpoint}" if service else endpoint,
            failure_threshold=self._failure_threshold,
            recovery_seconds=self._recovery_seconds,
            success_threshold=self._success_threshold,
            classify=self._classify,
            clock=self._clock,
        )
        for listener in self._listeners:
            breaker.add_listener(listener)
        if len(self._breakers) >= self._max_size:
            self._forget_one()
        self._breakers[key] = breaker
        return breaker

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` after each change of any breaker, those to come included."""
        self._listeners.append(listener)
        for breaker in self._breakers.values():
            breaker.add_listener(listener)

    def snapshots(self) -> list[Snapshot]:
        """Return every breaker as it is at this moment."""
        return [breaker.snapshot() for breaker in self._breakers.values()]

    def settings(self) -> dict[str, str]:
        """Return what every breaker is made with, as text."""
        return {
            "failure_threshold": str(self._failure_threshold),
            "recovery_seconds": f"{self._recovery_seconds:g}",
            "success_threshold": str(self._success_threshold),
        }

    def not_closed(self) -> list[str]:
        """Return the names of those that hold calls back now, or try carefully."""
        return [breaker.name for breaker in self._breakers.values() if breaker.state is not CircuitState.CLOSED]

    def __len__(self) -> int:
        return len(self._breakers)

    def _forget_one(self) -> None:
        closed = (key for key, breaker in self._breakers.items() if breaker.state is CircuitState.CLOSED)
        self._breakers.pop(next(closed, None) or next(iter(self._breakers)))
