"""Drive a plan: send what is due when it is due, whatever becomes of what was sent before, and write down all of it.

A request's time begins when it was due, not when it was sent, so an answer that comes late, a service that stands still and a worker
that cannot keep up are all in the figures: nothing of what is called coordinated omission can hide. What cannot be sent because
too much is under way already is counted as an error at the time when it was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from load_test.clock import Clock
from load_test.measurements import DISCONNECTED, NO_RESPONDERS, NOT_PERMITTED, NOT_SENT, TIMEOUT, Measurements
from load_test.plan import Plan, Stage
from load_test.schedule import callers_at, due_times, requests_in

_LONGEST_SLEEP_SECONDS = 0.25
_SENDS_BETWEEN_BREATHS = 32
_CALLERS_LOOK_SECONDS = 0.02
_REST_SECONDS = 0.1
_SAMPLES_A_SECOND = 10
# A caller that fails without anybody being asked would do nothing else but fail.
_WITHOUT_ANSWER = frozenset({DISCONNECTED, NO_RESPONDERS, NOT_PERMITTED, NOT_SENT})


class Failure(NamedTuple):
    """How a request failed."""

    kind: str
    """One of the types in `measurements`."""
    text: str


class Asker(Protocol):
    """Asks a target of the plan."""

    async def ask(self, target: int, turn: int) -> Failure | None:
        """Ask once, with the body whose turn it is; the answer ends it, or the target's timeout."""
        ...


class Driver:
    """Drives a plan, or one of several workers' share of it.

    Args:
        plan: What to do.
        asker: Who asks.
        clock: When.
        worker: Number of this worker, from 0.
        cpu_seconds: Returns how much of a processor this process has used.
    """

    def __init__(
        self,
        plan: Plan,
        asker: Asker,
        clock: Clock,
        *,
        worker: int = 0,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self.measurements = Measurements(plan.interval_seconds)
        self.in_flight = 0
        self._plan = plan
        self._asker = asker
        self._clock = clock
        self._worker = worker
        self._cpu_seconds = cpu_seconds
        self._cycle = plan.cycle()
        self._turns = [worker] * len(plan.targets)
        self._records = [self.measurements.subject(target.subject) for target in plan.targets]
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = 0.0
        self._asked = worker

    def stop(self) -> None:
        """Send nothing more."""
        self.measurements.was_stopped = True

    async def run(self, start: float) -> Measurements:
        """Drive the whole plan from a time on, to the last answer."""
        await self._clock.sleep_until(start)
        self._started = opened = start
        watching = asyncio.create_task(self._watch())
        try:
            before = 0
            for stage in self._plan.stages:
                if stage.kind == "rate":
                    await self._at_rate(stage, opened, before)
                    before += requests_in(stage)
                else:
                    await self._with_callers(stage, opened)
                opened += stage.seconds
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            watching.cancel()
            for task in self._tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        return self.measurements

    async def _at_rate(self, stage: Stage, opened: float, before: int) -> None:
        """Send at a rate that nothing slows down."""
        cycle, clock = self._cycle, self._clock
        unbroken = 0
        for number, seconds in due_times(stage, self._worker, self._plan.workers):
            due = opened + seconds
            while clock.now() < due and not self.measurements.was_stopped:
                await clock.sleep_until(min(due, clock.now() + _LONGEST_SLEEP_SECONDS))
                unbroken = 0
            if self.measurements.was_stopped:
                return
            self._send(cycle[(before + number) % len(cycle)], due, stage)
            unbroken += 1
            if unbroken >= _SENDS_BETWEEN_BREATHS:  # behind the schedule: answers must be taken all the same
                await asyncio.sleep(0)
                unbroken = 0
        await self._until(opened + stage.seconds)

    def _send(self, target: int, due: float, stage: Stage) -> None:
        if self.in_flight >= self._plan.max_in_flight:
            self._begin(target, due, stage)
            told = f"{self.in_flight} requests of this worker were waiting for their answers already"
            self._end(target, due, stage, Failure(NOT_SENT, told))
            return
        self.in_flight += 1
        task = asyncio.create_task(self._request(target, due, stage))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _request(self, target: int, due: float, stage: Stage) -> None:
        try:
            self._begin(target, due, stage)
            if stage.measured:
                self.measurements.lag.record(_microseconds(self._clock.now() - due))
            failure = await self._asker.ask(target, self._turn(target))
            self._end(target, due, stage, failure)
        finally:
            self.in_flight -= 1

    async def _with_callers(self, stage: Stage, opened: float) -> None:
        """Have callers that each wait for their answer before they ask again."""
        most = callers_at(stage, 0 if stage.begin > stage.end else stage.seconds, self._worker, self._plan.workers)
        async with asyncio.TaskGroup() as callers:
            for number in range(most):
                callers.create_task(self._caller(number, stage, opened))
            await self._until(opened + stage.seconds)

    async def _caller(self, number: int, stage: Stage, opened: float) -> None:
        while (passed := self._clock.now() - opened) < stage.seconds and not self.measurements.was_stopped:
            if number >= callers_at(stage, passed, self._worker, self._plan.workers):
                await asyncio.sleep(_CALLERS_LOOK_SECONDS)
                continue
            target = self._cycle[self._asked % len(self._cycle)]
            self._asked += self._plan.workers
            due = self._clock.now()
            self._begin(target, due, stage)
            failure = await self._asker.ask(target, self._turn(target))
            self._end(target, due, stage, failure)
            if failure is not None and failure.kind in _WITHOUT_ANSWER:
                await asyncio.sleep(_REST_SECONDS)

    def _turn(self, target: int) -> int:
        turn = self._turns[target]
        self._turns[target] = turn + self._plan.workers
        return turn

    def _begin(self, target: int, due: float, stage: Stage) -> None:
        self.measurements.interval(due - self._started).due += 1
        if stage.measured:
            self._records[target].due += 1

    def _end(self, target: int, due: float, stage: Stage, failure: Failure | None) -> None:
        ended = self._clock.now()
        interval = self.measurements.interval(ended - self._started)
        record = self._records[target]
        if failure is None:
            interval.answered += 1
            if stage.measured:
                record.answered += 1
        else:
            interval.errors += 1
            if stage.measured:
                record.errors[failure.kind] += 1
            self.measurements.sample(failure.kind, f"{self._plan.targets[target].subject}: {failure.text}")
        if failure is None or failure.kind == TIMEOUT:  # who waited in vain has waited at least so long
            waited = _microseconds(ended - due)
            self.measurements.interval(due - self._started).latency.record(waited)
            if stage.measured:
                record.latency.record(waited)

    async def _until(self, moment: float) -> None:
        while (now := self._clock.now()) < moment and not self.measurements.was_stopped:  # noqa: ASYNC110  # it is time that ends it
            await asyncio.sleep(min(moment - now, _LONGEST_SLEEP_SECONDS))

    async def _watch(self) -> None:
        """Watch over the worker itself: how much of a processor it uses, and with callers, how late it wakes."""
        measurements, pause = self.measurements, 1 / _SAMPLES_A_SECOND
        since, used, first = self._clock.now(), self._cpu_seconds(), self._cpu_seconds()
        while True:
            wanted = self._clock.now() + pause
            await asyncio.sleep(pause)
            now = self._clock.now()
            stage = self._stage_at(now - self._started)
            if stage is not None and stage.measured and stage.kind == "callers":
                measurements.lag.record(_microseconds(now - wanted))
            spent = self._cpu_seconds()
            measurements.cpu_seconds = spent - first
            if now - since >= 1.0:
                measurements.busiest = max(measurements.busiest, (spent - used) / (now - since))
                since, used = now, spent

    def _stage_at(self, seconds: float) -> Stage | None:
        for stage in self._plan.stages:
            if seconds < stage.seconds:
                return stage
            seconds -= stage.seconds
        return None


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
