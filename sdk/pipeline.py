"""What every call goes through: deadline, retries, circuit breaker, bulkhead, attempt; in this order, from the outside in."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sdk.breaker_registry import BreakerRegistry
from sdk.bulkhead import Bulkhead
from sdk.circuit_breaker import Outcome
from sdk.errors import CallError, CircuitOpenError, ErrorCode, RetryExhaustedError, ServiceTimeoutError
from sdk.retry import RetryBudget, RetryPolicy, is_safe_to_retry

T = TypeVar("T")

_FAILURES = frozenset({ErrorCode.TIMEOUT, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.RETRY_EXHAUSTED})
# With less than this left, the answer would come too late, and a breaker would hold it against the service.
_LEAST_SECONDS = 0.002


def classify(error: Exception) -> Outcome:
    """Say what an error of a call tells of the service that was asked.

    A lost connection to NATS tells nothing of it: if it did, one server that ends would open every breaker for a minute.
    """
    if not isinstance(error, CallError):
        return Outcome.FAILURE
    if error.is_local or error.code is ErrorCode.CANCELLED:
        return Outcome.NEITHER
    return Outcome.FAILURE if error.code in _FAILURES else Outcome.SUCCESS


@dataclass(slots=True)
class Call:
    """One call, with all its attempts."""

    endpoint: str
    deadline: float
    """On the pipeline's clock."""
    started: float
    idempotent: bool = False
    service: str = ""
    trace_id: str = ""
    policy: RetryPolicy | None = None


class Pipeline:
    """Carries calls out.

    Args:
        breakers: One an endpoint.
        policy: How failed calls are tried again.
        budget: Bounds that.
        max_concurrent: Calls of an endpoint at a time.
        on_error: Called with the error that a caller sees.
        check: Raises where no call can be made now, so that none waits.
        clock: Seconds that never go back.
        sleep: Waits.
    """

    def __init__(
        self,
        *,
        breakers: BreakerRegistry,
        policy: RetryPolicy,
        budget: RetryBudget,
        max_concurrent: int,
        on_error: Callable[[CallError], object],
        check: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.breakers = breakers
        self._policy = policy
        self._budget = budget
        self._max_concurrent = max_concurrent
        self._on_error = on_error
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._bulkheads: OrderedDict[str, Bulkhead] = OrderedDict()

    async def run(self, call: Call, attempt: Callable[[float], Awaitable[T]]) -> T:
        """Carry a call out.

        Args:
            call: What to know of it.
            attempt: Makes one attempt, with the seconds that are left.

        Raises:
            CallError: It failed, for good.
        """
        try:
            self._check()
        except CallError as error:
            self._fill(call, error, 0)
            self._on_error(error)
            raise
        self._budget.earn()
        try:
            return await self._once(call, attempt)
        except CallError as error:
            self._fill(call, error, 1)
            try:
                return await self._again(call, attempt, error)
            except CallError as final:
                self._on_error(final)
                raise

    async def _again(self, call: Call, attempt: Callable[[float], Awaitable[T]], first: CallError) -> T:
        """Try again for as long as it is safe, in time and within the budget."""
        policy = call.policy or self._policy
        errors = [first]
        while True:
            number, last = len(errors), errors[-1]
            pause = max(policy.pause_seconds(number), last.retry_after_seconds or 0.0)
            if (
                number >= policy.max_attempts
                or not is_safe_to_retry(last, idempotent=call.idempotent)
                or self._clock() + pause >= call.deadline
                or not self._budget.spend()
            ):
                raise self._final(call, errors)
            await self._sleep(pause)
            try:
                return await self._once(call, attempt)
            except CallError as error:
                self._fill(call, error, number + 1)
                errors.append(error)

    async def _once(self, call: Call, attempt: Callable[[float], Awaitable[T]]) -> T:
        remaining = call.deadline - self._clock()
        if remaining < _LEAST_SECONDS:
            raise ServiceTimeoutError("the deadline has passed", was_delivered=False, is_local=True, retryable=False)
        breaker = self.breakers.get(call.service, call.endpoint)
        generation = breaker.enter()
        error: BaseException | None = None
        try:
            bulkhead = self._bulkheads.get(call.endpoint) or self._bulkhead(call.endpoint)
            if not bulkhead.try_enter():
                await bulkhead.enter(remaining)
                remaining = call.deadline - self._clock()
            try:
                return await attempt(remaining)
            finally:
                bulkhead.leave()
        except BaseException as failure:
            error = failure
            raise
        finally:
            breaker.settle(generation, error)

    def _bulkhead(self, endpoint: str) -> Bulkhead:
        bulkhead = self._bulkheads[endpoint] = Bulkhead(self._max_concurrent)
        if len(self._bulkheads) > 1024:  # noqa: PLR2004  # as many as there are breakers
            idle = (name for name, each in self._bulkheads.items() if not each.active and each is not bulkhead)
            self._bulkheads.pop(next(idle, endpoint))
        return bulkhead

    def _fill(self, call: Call, error: CallError, attempt: int) -> None:
        """Tell an error of its call."""
        error.service = error.service or call.service
        error.endpoint = call.endpoint
        error.attempt = attempt
        error.elapsed_seconds = self._clock() - call.started
        error.trace_id = error.trace_id or call.trace_id

    def _final(self, call: Call, errors: list[CallError]) -> CallError:
        last = errors[-1]
        if len(errors) == 1 or not (last.retryable or isinstance(last, CircuitOpenError)):
            return last
        exhausted = RetryExhaustedError(
            f"all {len(errors)} attempts failed, the last with: {last.message}", errors=errors
        )
        self._fill(call, exhausted, len(errors))
        return exhausted
