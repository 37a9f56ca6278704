"""Deadline, retries, breaker and bulkhead together, on a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk import (
    BreakerRegistry,
    BulkheadFullError,
    CallError,
    CircuitOpenError,
    CircuitState,
    ConflictError,
    InternalServiceError,
    NotFoundError,
    RetryExhaustedError,
    RetryPolicy,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from sdk.bulkhead import Bulkhead
from sdk.pipeline import Call, Pipeline, classify
from sdk.retry import RetryBudget


@dataclass
class Bench:
    """A pipeline, its clock, and what came of it."""

    now: float = 100.0
    pauses: list[float] = field(default_factory=list)
    reported: list[CallError] = field(default_factory=list)
    attempts: int = 0
    budget: RetryBudget = field(default_factory=RetryBudget)
    is_reachable: bool = True

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(
            breakers=BreakerRegistry(classify=classify, clock=lambda: self.now),
            policy=RetryPolicy(base_seconds=0.0),
            budget=self.budget,
            max_concurrent=4,
            on_error=self.reported.append,
            check=self.check,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def check(self) -> None:
        if not self.is_reachable:
            raise ServiceUnavailableError("NATS is out of reach", was_delivered=False, is_local=True)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def run(
        self, attempt: Callable[[float], Awaitable[str]], *, idempotent: bool = True, seconds: float = 10.0
    ) -> str:
        async def counted(remaining: float) -> str:
            self.attempts += 1
            return await attempt(remaining)

        call = Call("quest.get", self.now + seconds, self.now, idempotent, trace_id="t" * 32)
        return await self.pipeline.run(call, counted)

    @property
    def state(self) -> CircuitState:
        return self.pipeline.breakers.get("", "quest.get").state


@pytest.fixture
def bench() -> Bench:
    return Bench()


def raising(*errors: CallError) -> Callable[[float], Awaitable[str]]:
    """Fail with each error in turn, the last one for ever; succeed after None."""
    left = list(errors)

    async def attempt(_: float) -> str:
        raise left.pop(0) if len(left) > 1 else left[0]

    return attempt


async def test_an_idempotent_call_is_tried_three_times_and_tells_all_of_them(bench: Bench) -> None:
    with pytest.raises(RetryExhaustedError, match="all 3 attempts failed, the last with: second") as failed:
        await bench.run(raising(ServiceTimeoutError("first"), ServiceUnavailableError("second")))
    error = failed.value
    assert bench.attempts == 3
    assert [each.message for each in error.errors] == ["first", "second", "second"]
    assert isinstance(error.__cause__, ExceptionGroup)
    assert (error.endpoint, error.attempt, error.trace_id) == ("quest.get", 3, "t" * 32)


async def test_what_may_have_happened_is_not_repeated(bench: Bench) -> None:
    with pytest.raises(ServiceTimeoutError):
        await bench.run(raising(ServiceTimeoutError("slow")), idempotent=False)
    assert bench.attempts == 1


async def test_what_nobody_has_seen_is_repeated(bench: Bench) -> None:
    with pytest.raises(RetryExhaustedError):
        await bench.run(raising(ServiceUnavailableError("nobody", was_delivered=False)), idempotent=False)
    assert bench.attempts == 3


@pytest.mark.parametrize("error", [NotFoundError("no"), ConflictError("no"), InternalServiceError("no")])
async def test_what_would_fail_again_is_not_repeated(bench: Bench, error: CallError) -> None:
    with pytest.raises(type(error)):
        await bench.run(raising(error))
    assert bench.attempts == 1


async def test_a_later_answer_that_is_final_is_the_error(bench: Bench) -> None:
    with pytest.raises(NotFoundError) as failed:
        await bench.run(raising(ServiceTimeoutError("slow"), NotFoundError("gone")))
    assert failed.value.attempt == 2


async def test_an_open_breaker_ends_the_attempts(bench: Bench) -> None:
    for _ in range(3):
        with pytest.raises(ServiceTimeoutError):
            await bench.run(raising(ServiceTimeoutError("slow")), idempotent=False)
    with pytest.raises(RetryExhaustedError) as failed:
        await bench.run(raising(ServiceTimeoutError("slow")))
    assert [type(error) for error in failed.value.errors] == [
        ServiceTimeoutError,
        ServiceTimeoutError,
        CircuitOpenError,
    ]
    assert bench.attempts == 5
    with pytest.raises(CircuitOpenError) as refused:
        await bench.run(raising(ServiceTimeoutError("slow")))
    assert refused.value.retry_after_seconds == 60
    assert refused.value.attempt == 1


async def test_no_attempt_begins_after_the_deadline(bench: Bench) -> None:
    async def slow(remaining: float) -> str:
        bench.now += remaining
        raise ServiceTimeoutError("slow")

    with pytest.raises(ServiceTimeoutError):
        await bench.run(slow)
    assert bench.attempts == 1


async def test_a_call_that_is_too_late_asks_nobody_and_blames_nobody(bench: Bench) -> None:
    for _ in range(10):
        with pytest.raises(ServiceTimeoutError, match="the deadline has passed"):
            await bench.run(raising(ServiceTimeoutError("slow")), seconds=0.001)
    assert bench.attempts == 0
    assert bench.state is CircuitState.CLOSED


async def test_each_attempt_is_told_what_is_left(bench: Bench) -> None:
    seen: list[float] = []

    async def attempt(remaining: float) -> str:
        seen.append(remaining)
        bench.now += 2
        raise ServiceUnavailableError("busy")

    with pytest.raises(RetryExhaustedError):
        await bench.run(attempt)
    assert seen == [10, 8, 6]


async def test_the_service_says_how_long_to_wait(bench: Bench) -> None:
    with pytest.raises(RetryExhaustedError):
        await bench.run(raising(ServiceUnavailableError("busy", retry_after_seconds=1.5)))
    assert bench.pauses == [1.5, 1.5]


async def test_no_pause_reaches_beyond_the_deadline(bench: Bench) -> None:
    with pytest.raises(ServiceUnavailableError):
        await bench.run(raising(ServiceUnavailableError("busy", retry_after_seconds=11)))
    assert bench.pauses == []


async def test_out_of_reach_it_fails_at_once_without_attempt_or_pause(bench: Bench) -> None:
    bench.is_reachable = False
    with pytest.raises(ServiceUnavailableError, match="out of reach"):
        await bench.run(raising(ServiceTimeoutError("never")))
    assert (bench.attempts, bench.pauses) == (0, [])


async def test_a_lost_connection_says_nothing_of_the_service(bench: Bench) -> None:
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError):
            await bench.run(raising(ServiceUnavailableError("lost", is_local=True)), idempotent=False)
    assert bench.state is CircuitState.CLOSED


async def test_retries_are_a_tenth_of_the_calls_at_most(bench: Bench) -> None:
    breaking = raising(ServiceUnavailableError("busy", is_local=True))  # which opens no breaker
    for _ in range(1000):
        with pytest.raises(CallError):
            await bench.run(breaking)
    assert 1000 + 100 <= bench.attempts <= 1000 + 100 + 10


async def test_what_a_caller_sees_is_reported_once(bench: Bench) -> None:
    with pytest.raises(RetryExhaustedError) as failed:
        await bench.run(raising(ServiceTimeoutError("slow")))
    assert bench.reported == [failed.value]


async def test_the_bulkhead_bounds_what_is_under_way(bench: Bench) -> None:
    running = most = 0

    async def attempt(_: float) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "done"

    assert await asyncio.gather(*(bench.run(attempt) for _ in range(50))) == ["done"] * 50
    assert most == 4


async def test_a_full_bulkhead_is_no_failure_of_the_service() -> None:
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=1)
    assert bulkhead.try_enter()
    waiting = asyncio.create_task(bulkhead.enter(60))
    await asyncio.sleep(0)
    with pytest.raises(BulkheadFullError, match="1 calls are under way, and 1 wait already") as full:
        await bulkhead.enter(60)
    assert classify(full.value).value == "neither"
    bulkhead.leave()
    await waiting
    assert bulkhead.active == 1


async def test_a_bulkhead_gives_places_in_turn_and_keeps_none_of_the_cancelled() -> None:
    bulkhead = Bulkhead(max_concurrent=1)
    order: list[int] = []

    async def caller(number: int) -> None:
        await bulkhead.enter(60)
        order.append(number)
        await asyncio.sleep(0)
        bulkhead.leave()

    callers = [asyncio.create_task(caller(number)) for number in range(6)]
    await asyncio.sleep(0)
    callers[2].cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert order == [0, 1, 3, 4, 5]
    assert bulkhead.active == 0


async def test_a_place_that_comes_with_the_cancellation_goes_on_to_the_next() -> None:
    bulkhead = Bulkhead(max_concurrent=1)
    assert bulkhead.try_enter()
    first, second = (asyncio.create_task(bulkhead.enter(60)) for _ in range(2))
    await asyncio.sleep(0)
    bulkhead.leave()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert second.exception() is None
    bulkhead.leave()
    assert bulkhead.active == 0


@given(attempt=st.integers(1, 10_000), share=st.floats(0, 1))
def test_pauses_stay_within_a_bound_that_doubles(attempt: int, share: float) -> None:
    policy = RetryPolicy(base_seconds=0.05, max_seconds=2.0)
    pause = policy.pause_seconds(attempt, lambda: share)
    assert 0 <= pause <= min(2.0, 0.05 * 2 ** min(attempt - 1, 50))


def test_a_policy_without_an_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="max_attempts is 1 or more, got 0"):
        RetryPolicy(max_attempts=0)
