"""A circuit breaker for asyncio: after five failures in a row a dependency is left alone for a minute, then tried carefully.

    breaker = AsyncCircuitBreaker("weather")

    async def forecast() -> Forecast:
        return await breaker.call(fetch_forecast, "north")     # raises CircuitOpenError while it is open

    @breaker                                                   # the same as a decorator
    async def fetch() -> bytes: ...

    with breaker.guard():                                      # or around a block, which may await
        ...

What it holds to, whatever the callers do at the same time:

- half-open, at most as many calls reach the dependency as successes are still needed to close it;
- a cancelled call is neither success nor failure, and gives its place back;
- a call that began before the state changed has no say in the new state;
- a trial that never ends blocks nobody for longer than `probe_timeout_seconds`;
- the error of the call that opens it is the error that its caller sees.

State changes without awaiting, so it needs no lock; it belongs to one event loop.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import ParamSpec, TypeVar

from sdk.errors import CircuitOpenError

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class CircuitState(Enum):
    """What a breaker does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Outcome(Enum):
    """What an error says about the dependency."""

    FAILURE = "failure"
    SUCCESS = "success"
    """It answered, though not what the caller hoped for."""
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, as listeners see it."""

    name: str
    old: CircuitState
    new: CircuitState
    reason: str
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A breaker at one moment."""

    name: str
    state: CircuitState
    is_forced: bool
    consecutive_failures: int
    probes_in_flight: int
    probe_successes: int
    rejections: int
    retry_after_seconds: float
    last_error: BaseException | None


def every_error_is_a_failure(error: Exception) -> Outcome:  # noqa: ARG001  # the signature of a classifier
    """Classify errors as a breaker does that was told nothing else."""
    return Outcome.FAILURE


Classifier = Callable[[Exception], Outcome]
Listener = Callable[[Transition], object]


class AsyncCircuitBreaker:
    """Stands between callers and one dependency.

    Args:
        name: Of the dependency, for errors and listeners.
        failure_threshold: Failures in a row that open it.
        recovery_seconds: How long it stays open before a call is let through again.
        success_threshold: Successes that close it again; also the most trials at a time.
        probe_timeout_seconds: After this, a trial without an end no longer counts; `recovery_seconds` where not given.
        classify: Says what an error tells of the dependency. Cancellation never tells anything.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        name: str = "",
        *,
        failure_threshold: int = 5,
        recovery_seconds: float = 60.0,
        success_threshold: int = 2,
        probe_timeout_seconds: float | None = None,
        classify: Classifier = every_error_is_a_failure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failure_threshold < 1 or success_threshold < 1:
            raise ValueError(
                f"thresholds are 1 or more, got {failure_threshold} failures, {success_threshold} successes"
            )
        if not recovery_seconds > 0:
            raise ValueError(f"recovery_seconds is more than 0, got {recovery_seconds}")
        self.name = name
        self._failure_threshold = failure_threshold
        self._recovery_seconds = recovery_seconds
        self._success_threshold = success_threshold
        self._probe_timeout_seconds = recovery_seconds if probe_timeout_seconds is None else probe_timeout_seconds
        self._classify = classify
        self._clock = clock
        self._listeners: list[Listener] = []
        self._state = CircuitState.CLOSED
        self._is_closed = True  # the same once more: the one thing that a call on a healthy dependency looks at
        self._is_forced = False
        self._generation = 0
        self._since = 0.0
        self._failures = 0
        self._probes = 0
        self._successes = 0
        self._rejections = 0
        self._last_error: BaseException | None = None

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `function(*args, **kwargs)`.

        Raises:
            CircuitOpenError: The breaker is open; the function was not called.
        """
        generation = self._generation if self._is_closed else self._admit()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            self.settle(generation, error)
            raise
        if self._failures or not self._is_closed:
            self._succeed(generation)
        return result

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Decorate a coroutine function."""

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(function, *args, **kwargs)

        return guarded

    def guard(self) -> Guard:
        """Return a context manager that makes a call of its block."""
        return Guard(self)

    def enter(self) -> int:
        """Begin a call, for those who cannot use `call`; what it returns goes to `settle`, whatever becomes of the call.

        Raises:
            CircuitOpenError: The breaker is open.
        """
        return self._generation if self._is_closed else self._admit()

    def settle(self, generation: int, error: BaseException | None = None) -> None:
        """End a call that `enter` began, with the error that it failed with."""
        if error is None:
            self._succeed(generation)
            return
        outcome = self._outcome(error)
        if generation != self._generation:
            return
        if outcome is Outcome.FAILURE:
            self._fail(error)
        elif outcome is Outcome.SUCCESS:
            self._succeed(generation)
        elif self._state is CircuitState.HALF_OPEN:
            self._probes -= 1

    @property
    def state(self) -> CircuitState:
        """What it is now; an open breaker stays open until a call comes that may be a trial."""
        return self._state

    @property
    def retry_after_seconds(self) -> float:
        """How long until a call may be let through; 0 where one may now, infinite where it is forced open."""
        if self._state is not CircuitState.OPEN:
            return 0.0
        if self._is_forced:
            return float("inf")
        return max(0.0, self._since + self._recovery_seconds - self._clock())

    def snapshot(self) -> Snapshot:
        """Return it as it is at this moment."""
        return Snapshot(
            self.name,
            self._state,
            self._is_forced,
            self._failures,
            self._probes,
            self._successes,
            self._rejections,
            self.retry_after_seconds,
            self._last_error,
        )

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` after each change of state; what it raises is logged and goes no further."""
        self._listeners.append(listener)

    def force_open(self) -> None:
        """Let nothing through until `reset`."""
        self._is_forced = True
        self._change(CircuitState.OPEN, "forced open")

    def force_close(self) -> None:
        """Let everything through until `reset`, whatever fails."""
        self._is_forced = True
        self._change(CircuitState.CLOSED, "forced closed")

    def reset(self) -> None:
        """Begin anew: closed, nothing counted, nothing forced."""
        self._is_forced = False
        self._last_error = None
        self._change(CircuitState.CLOSED, "reset")

    def _admit(self) -> int:
        """Let a trial through, or refuse the call."""
        now = self._clock()
        if self._state is CircuitState.OPEN and not self._is_forced and now >= self._since + self._recovery_seconds:
            self._change(CircuitState.HALF_OPEN, f"{self._recovery_seconds:g} s are over")
        if self._state is CircuitState.HALF_OPEN:
            if (
                self._probes + self._successes >= self._success_threshold
                and now >= self._since + self._probe_timeout_seconds
            ):
                self._change(CircuitState.HALF_OPEN, "a trial never ended")
            if self._probes + self._successes < self._success_threshold:
                self._probes += 1
                return self._generation
        self._rejections += 1
        raise self._refusal()

    def _refusal(self) -> CircuitOpenError:
        what = f"the circuit breaker of {self.name}" if self.name else "the circuit breaker"
        after = self.retry_after_seconds
        if self._is_forced:
            told, known = f"{what} is held open by hand", None
        elif self._state is CircuitState.HALF_OPEN:
            told, known = f"{what} is trying whether the dependency is back", None
        else:
            told, known = f"{what} is open for another {after:.1f} s", after
        if self._last_error is not None:
            told += f"; it opened after: {self._last_error}"
        return CircuitOpenError(told, endpoint=self.name, retry_after_seconds=known, last_error=self._last_error)

    def _outcome(self, error: BaseException) -> Outcome:
        if not isinstance(error, Exception):
            return Outcome.NEITHER
        try:
            return self._classify(error)
        except Exception:  # noqa: BLE001  # a bug in it must not leave a trial without an end
            _log.exception("the classifier of errors failed; the error counts as a failure")
            return Outcome.FAILURE

    def _succeed(self, generation: int) -> None:
        if generation != self._generation:
            return
        if self._state is CircuitState.CLOSED:
            self._failures = 0
            return
        self._probes -= 1
        self._successes += 1
        if self._successes >= self._success_threshold:
            self._change(CircuitState.CLOSED, f"{self._successes} trials succeeded")

    def _fail(self, error: BaseException) -> None:
        self._last_error = error
        if self._state is CircuitState.HALF_OPEN:
            self._change(CircuitState.OPEN, "a trial failed", error)
            return
        self._failures += 1
        if self._failures >= self._failure_threshold and not self._is_forced:
            self._change(CircuitState.OPEN, f"{self._failures} failures in a row", error)

    def _change(self, new: CircuitState, reason: str, error: BaseException | None = None) -> None:
        """Begin a new generation in a state: what older calls end with no longer counts."""
        old = self._state
        self._state = new
        self._is_closed = new is CircuitState.CLOSED
        self._generation += 1
        self._since = self._clock()
        self._probes = self._successes = self._failures = 0
        if old is new:
            return
        transition = Transition(self.name, old, new, reason, error)
        for listener in self._listeners:
            try:
                listener(transition)
            except Exception:  # noqa: BLE001  # a bug in it is not the callers'
                _log.exception("a listener of the circuit breaker %s failed", self.name)


class Guard:
    """One call, as the block of a `with`."""

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: AsyncCircuitBreaker) -> None:
        self._breaker = breaker
        self._generation = 0

    def __enter__(self) -> None:
        self._generation = self._breaker.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._breaker.settle(self._generation, error)
