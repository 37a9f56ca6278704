from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from sdk import AsyncCircuitBreaker, CircuitOpenError, CircuitState, Outcome, Transition
from sdk.breaker_registry import BreakerRegistry


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Refused(Exception):  # noqa: N818  # a dependency's own word
    pass


async def works() -> str:
    return "done"


async def fails() -> str:
    raise Refused("no")


async def fail(breaker: AsyncCircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Refused):
            await breaker.call(fails)


def state_of(breaker: AsyncCircuitBreaker) -> CircuitState:
    """Ask anew: the type checker takes a state that was seen once for lasting."""
    return breaker.state


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> AsyncCircuitBreaker:
    return AsyncCircuitBreaker("weather", clock=clock)


@pytest.fixture
async def recovering(breaker: AsyncCircuitBreaker, clock: Clock) -> AsyncCircuitBreaker:
    """Open for a minute, so that the next call is a trial."""
    await fail(breaker, 5)
    clock.seconds += 60
    return breaker


async def test_five_failures_in_a_row_open_it(breaker: AsyncCircuitBreaker) -> None:
    await fail(breaker, 4)
    assert state_of(breaker) is CircuitState.CLOSED
    await fail(breaker, 1)
    assert state_of(breaker) is CircuitState.OPEN


async def test_the_call_that_opens_it_raises_its_own_error(breaker: AsyncCircuitBreaker) -> None:
    await fail(breaker, 4)
    with pytest.raises(Refused):
        await breaker.call(fails)


async def test_a_success_in_between_starts_the_count_anew(breaker: AsyncCircuitBreaker) -> None:
    await fail(breaker, 4)
    assert await breaker.call(works) == "done"
    await fail(breaker, 4)
    assert state_of(breaker) is CircuitState.CLOSED


async def test_open_it_refuses_without_calling_and_says_for_how_long(
    breaker: AsyncCircuitBreaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.seconds += 20
    with pytest.raises(CircuitOpenError, match=r"open for another 40\.0 s; it opened after: no") as refused:
        await breaker.call(works)
    assert refused.value.retry_after_seconds == 40
    assert isinstance(refused.value.last_error, Refused)
    assert not refused.value.retryable


async def test_a_trial_is_let_through_after_60_seconds_and_not_before(
    breaker: AsyncCircuitBreaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.seconds += 59.999
    with pytest.raises(CircuitOpenError):
        await breaker.call(works)
    clock.seconds += 0.001
    assert await breaker.call(works) == "done"
    assert state_of(breaker) is CircuitState.HALF_OPEN


async def test_two_successful_trials_close_it(recovering: AsyncCircuitBreaker) -> None:
    await recovering.call(works)
    assert state_of(recovering) is CircuitState.HALF_OPEN
    await recovering.call(works)
    assert state_of(recovering) is CircuitState.CLOSED


async def test_a_failed_trial_opens_it_for_another_60_seconds(recovering: AsyncCircuitBreaker, clock: Clock) -> None:
    await recovering.call(works)
    await fail(recovering, 1)
    assert state_of(recovering) is CircuitState.OPEN
    assert recovering.retry_after_seconds == 60
    clock.seconds += 60
    await recovering.call(works)
    assert state_of(recovering) is CircuitState.HALF_OPEN, "the success before the failure counted once more"


@pytest.mark.parametrize("outcome", ["success", "failure", "cancelled"])
async def test_half_open_twenty_callers_reach_the_dependency_twice_at_most(
    recovering: AsyncCircuitBreaker, outcome: str
) -> None:
    reached = 0
    ends = asyncio.Event()

    async def dependency() -> None:
        nonlocal reached
        reached += 1
        await ends.wait()
        if outcome == "failure":
            raise Refused

    callers = [asyncio.create_task(recovering.call(dependency)) for _ in range(20)]
    await asyncio.sleep(0)
    assert reached == 2
    if outcome == "cancelled":
        for caller in callers:
            caller.cancel()
    ends.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 18
    assert reached == 2


async def test_a_cancelled_trial_gives_its_place_back(recovering: AsyncCircuitBreaker) -> None:
    for _ in range(5):
        trial = asyncio.create_task(recovering.call(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
    assert recovering.snapshot().probes_in_flight == 0
    await recovering.call(works)
    await recovering.call(works)
    assert state_of(recovering) is CircuitState.CLOSED


async def test_cancelled_calls_are_neither_failures_nor_successes(breaker: AsyncCircuitBreaker) -> None:
    await fail(breaker, 4)
    for _ in range(10):
        call = asyncio.create_task(breaker.call(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert breaker.snapshot().consecutive_failures == 4


async def test_a_call_from_before_it_opened_has_no_say_in_a_trial(breaker: AsyncCircuitBreaker, clock: Clock) -> None:
    late = asyncio.Event()

    async def slow_failure() -> None:
        await late.wait()
        raise Refused

    old = asyncio.create_task(breaker.call(slow_failure))
    await asyncio.sleep(0)
    await fail(breaker, 5)
    clock.seconds += 60
    await breaker.call(works)
    late.set()
    with pytest.raises(Refused):
        await old
    assert state_of(breaker) is CircuitState.HALF_OPEN
    assert breaker.snapshot().probe_successes == 1


async def test_a_trial_that_never_ends_gives_way_to_new_ones(recovering: AsyncCircuitBreaker, clock: Clock) -> None:
    hanging = [asyncio.create_task(recovering.call(asyncio.sleep, 3600)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpenError, match="is trying whether"):
        await recovering.call(works)
    clock.seconds += 60
    await recovering.call(works)
    await recovering.call(works)
    assert state_of(recovering) is CircuitState.CLOSED
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert state_of(recovering) is CircuitState.CLOSED


async def test_a_classifier_decides_what_an_error_tells(clock: Clock) -> None:
    kinds = {ValueError: Outcome.SUCCESS, KeyError: Outcome.NEITHER}
    breaker = AsyncCircuitBreaker(classify=lambda error: kinds.get(type(error), Outcome.FAILURE), clock=clock)

    async def raising(error: Exception) -> None:
        raise error

    await fail(breaker, 4)
    with pytest.raises(KeyError):
        await breaker.call(raising, KeyError())
    assert breaker.snapshot().consecutive_failures == 4
    with pytest.raises(ValueError, match="bad"):
        await breaker.call(raising, ValueError("bad"))
    assert breaker.snapshot().consecutive_failures == 0


async def test_a_classifier_that_fails_keeps_no_place(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def broken(error: Exception) -> Outcome:
        raise RuntimeError("the classifier") from error

    breaker = AsyncCircuitBreaker(classify=broken, clock=clock)
    await fail(breaker, 5)
    clock.seconds += 60
    await fail(breaker, 1)
    assert state_of(breaker) is CircuitState.OPEN
    assert breaker.snapshot().probes_in_flight == 0
    assert "the classifier of errors failed" in caplog.text


async def test_listeners_hear_each_change_and_cannot_hurt(
    breaker: AsyncCircuitBreaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Transition] = []

    def broken(_: Transition) -> None:
        raise RuntimeError("the listener")

    breaker.add_listener(broken)
    breaker.add_listener(heard.append)
    with caplog.at_level(logging.ERROR):
        await fail(breaker, 5)
    clock.seconds += 60
    await breaker.call(works)
    await breaker.call(works)
    assert [(each.old.value, each.new.value) for each in heard] == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]
    assert isinstance(heard[0].error, Refused)
    assert "a listener of the circuit breaker weather failed" in caplog.text


async def test_by_hand_it_opens_closes_and_begins_anew(breaker: AsyncCircuitBreaker, clock: Clock) -> None:
    breaker.force_open()
    clock.seconds += 1000
    with pytest.raises(CircuitOpenError, match="held open by hand") as refused:
        await breaker.call(works)
    assert refused.value.retry_after_seconds is None
    breaker.force_close()
    await fail(breaker, 20)
    assert state_of(breaker) is CircuitState.CLOSED
    breaker.reset()
    await fail(breaker, 5)
    assert state_of(breaker) is CircuitState.OPEN


async def test_it_guards_by_decorator_and_by_block(breaker: AsyncCircuitBreaker) -> None:
    guarded: Callable[[], object] = breaker(fails)
    assert getattr(guarded, "__name__", "") == "fails"
    for _ in range(3):
        with pytest.raises(Refused):
            await breaker(fails)()
    for _ in range(2):
        with pytest.raises(Refused), breaker.guard():
            await fails()
    assert state_of(breaker) is CircuitState.OPEN


async def test_what_is_raised_for_the_process_is_no_failure_of_the_dependency(breaker: AsyncCircuitBreaker) -> None:
    async def interrupted() -> None:
        raise SystemExit

    for _ in range(6):
        with pytest.raises(SystemExit):
            await breaker.call(interrupted)
    assert state_of(breaker) is CircuitState.CLOSED


@pytest.mark.parametrize("changes", [{"failure_threshold": 0}, {"success_threshold": 0}, {"recovery_seconds": 0.0}])
def test_a_breaker_that_could_not_work_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        AsyncCircuitBreaker(**changes)  # type: ignore[arg-type]


class TestRegistry:
    def test_an_endpoint_keeps_its_breaker(self) -> None:
        registry = BreakerRegistry()
        assert registry.get("quest-nats", "quest.get") is registry.get("quest-nats", "quest.get")
        assert registry.get("quest-nats", "quest.get") is not registry.get("quest-nats", "quest.list")

    def test_it_never_holds_more_than_its_size(self) -> None:
        registry = BreakerRegistry(max_size=10)
        for number in range(1000):
            registry.get("", f"player.{number}")
        assert len(registry) == 10

    async def test_a_breaker_that_protects_something_is_the_last_to_be_forgotten(self) -> None:
        registry = BreakerRegistry(max_size=3)
        protecting = registry.get("", "broken")
        await fail(protecting, 5)
        for number in range(10):
            registry.get("", f"player.{number}")
        assert registry.get("", "broken") is protecting

    async def test_its_listeners_hear_of_every_breaker(self) -> None:
        registry = BreakerRegistry()
        heard: list[str] = []
        before = registry.get("", "before")
        registry.add_listener(lambda transition: heard.append(transition.name))
        after = registry.get("quest-nats", "after")
        await fail(before, 5)
        await fail(after, 5)
        assert heard == ["before", "quest-nats/after"]
        assert [each.state for each in registry.snapshots()] == [CircuitState.OPEN] * 2
