"""The circuit breaker against a model that is written down as the rules say it, one call at a time and many at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from sdk import AsyncCircuitBreaker, CircuitOpenError, CircuitState

FAILURES, SUCCESSES, RECOVERY = 5, 2, 60.0


@dataclass
class Begun:
    """A call that was let through: the breaker's token, and the era of the model that it began in."""

    token: int
    era: int


class BreakerMachine(RuleBasedStateMachine):
    """Begins and ends calls in any order, lets time pass, and compares after each step."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = AsyncCircuitBreaker(clock=lambda: self.now)
        self.state = CircuitState.CLOSED
        self.era = 0  # counts the changes; only calls of the present era count
        self.since = 0.0
        self.failures = self.successes = self.in_flight = 0
        self.forced = False

    def become(self, state: CircuitState) -> None:
        self.state, self.since = state, self.now
        self.era += 1
        self.failures = self.successes = self.in_flight = 0

    @rule(target=calls)
    def begin(self) -> Begun:
        allowed = self.state is CircuitState.CLOSED
        if self.state is CircuitState.OPEN and not self.forced and self.now >= self.since + RECOVERY:
            self.become(CircuitState.HALF_OPEN)
        if self.state is CircuitState.HALF_OPEN:
            if self.in_flight + self.successes >= SUCCESSES and self.now >= self.since + RECOVERY:
                self.become(CircuitState.HALF_OPEN)
            allowed = self.in_flight + self.successes < SUCCESSES
            self.in_flight += allowed
        try:
            token = self.breaker.enter()
        except CircuitOpenError:
            assert not allowed
            return Begun(-1, -1)
        assert allowed
        return Begun(token, self.era)

    @rule(call=consumes(calls), outcome=st.sampled_from(["success", "failure", "cancelled"]))
    def end(self, call: Begun, outcome: str) -> None:
        if call.token == -1:
            return
        errors = {"success": None, "failure": RuntimeError(), "cancelled": asyncio.CancelledError()}
        self.breaker.settle(call.token, errors[outcome])
        if call.era != self.era:
            return
        if self.state is CircuitState.HALF_OPEN:
            self.in_flight -= 1
            if outcome == "failure":
                self.become(CircuitState.OPEN)
            elif outcome == "success":
                self.successes += 1
                if self.successes == SUCCESSES:
                    self.become(CircuitState.CLOSED)
        elif outcome == "failure":
            self.failures += 1
            if self.failures >= FAILURES and not self.forced:
                self.become(CircuitState.OPEN)
        elif outcome == "success":
            self.failures = 0

    @rule(seconds=st.sampled_from([0.5, 30.0, 59.5, 60.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(what=st.sampled_from(["force_open", "force_close", "reset"]))
    def by_hand(self, what: str) -> None:
        getattr(self.breaker, what)()
        self.forced = what != "reset"
        self.become(CircuitState.OPEN if what == "force_open" else CircuitState.CLOSED)

    @invariant()
    def is_as_the_model(self) -> None:
        seen = self.breaker.snapshot()
        assert seen.state is self.state
        assert seen.consecutive_failures == self.failures
        assert seen.probes_in_flight == self.in_flight
        assert seen.probe_successes == self.successes
        assert 0 <= seen.probes_in_flight <= SUCCESSES


TestBreakerModel = BreakerMachine.TestCase
TestBreakerModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
