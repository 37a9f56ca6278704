"""Run a plan: start its workers, give them the word when all are ready, hear how far they are, and put together what they measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from catalog import names
from fleet.errors import WantingError
from fleet.load_test.store import Store
from fleet.progress import Step
from load_test.measurements import Measurements, merged
from load_test.plan import Plan

LATE_SECONDS = 60.0
"""How much longer than the plan says a worker may take, beside its longest timeout."""
_LOOK_SECONDS = 0.5
_TOLD_SECONDS = 2.0


class Workers(Protocol):
    """Workers of one run, wherever they are."""

    ready_seconds: float
    """How long they may take to be ready."""
    lead_seconds: float
    """Between the word to begin and the beginning: workers look for it twice a second, and the bucket tells whole seconds."""

    def start(self, plan: Plan) -> None:
        """Start them all."""
        ...

    def ended(self) -> dict[int, str]:
        """Return those that have ended, and what is known of why."""
        ...

    def stop(self) -> None:
        """End those that have not ended."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How time passes; the tests have another one."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run has brought."""

    measured: Measurements
    started_at: datetime
    finished_at: datetime


def run_plan(plan: Plan, store: Store, workers: Workers, step: Step, timing: Timing | None = None) -> Ran:
    """Run a plan to its end.

    Raises:
        WantingError: A worker could not take part, or was never heard of again.
    """
    return _Run(plan, store, workers, step, timing or Timing()).to_the_end()


class _Run:
    def __init__(self, plan: Plan, store: Store, workers: Workers, step: Step, timing: Timing) -> None:
        self._plan, self._store, self._workers, self._step, self._timing = plan, store, workers, step, timing
        self._prefix = names.load_test_run(plan.run)

    def to_the_end(self) -> Ran:
        plan = self._plan
        self._store.write(f"{self._prefix}plan.json", plan.to_plain())
        try:
            self._workers.start(plan)
            self._step.note(f"{_workers(plan.workers)} start")
            self._await("ready", self._workers.ready_seconds)
            told_at = self._store.write(f"{self._prefix}all-ready.json", {})
            starts_at = told_at.timestamp() + self._workers.lead_seconds
            self._store.write(f"{self._prefix}start.json", {"at": starts_at})
            longest = max(target.timeout_seconds for target in plan.targets)
            results = self._await("result", self._workers.lead_seconds + plan.seconds + longest + LATE_SECONDS)
        except BaseException:
            # Those that are under way end by themselves, too, should nobody be able to end them.
            self._store.write(f"{self._prefix}stop.json", {})
            raise
        finally:
            self._workers.stop()
        measured = merged(Measurements.from_plain(results[number]) for number in range(plan.workers))
        return Ran(measured, datetime.fromtimestamp(starts_at, UTC), datetime.now(UTC))

    def _await(self, what: str, seconds: float) -> dict[int, dict[str, Any]]:
        """Wait until every worker has written something.

        Raises:
            WantingError: One has failed, has ended without it, or is late.
        """
        found: dict[int, dict[str, Any]] = {}
        deadline = self._timing.now() + seconds
        told = self._timing.now()
        while True:
            # Who has ended may have written it just before: look for that first, then for the objects.
            ended = self._workers.ended()
            for number in range(self._plan.workers):
                if number in found:
                    continue
                plain = self._read(what, number)
                if plain is not None:
                    found[number] = plain
                elif number in ended:
                    raise WantingError(f"worker {number} ended without a word: {ended[number]}")
            if len(found) == self._plan.workers:
                return found
            if self._timing.now() > deadline:
                late = [number for number in range(self._plan.workers) if number not in found]
                raise WantingError(f"no {what} from {_listed(late)} within {seconds:.0f} s")
            if what == "result" and self._timing.now() >= told + _TOLD_SECONDS:
                told = self._timing.now()
                self._tell()
            self._timing.sleep(_LOOK_SECONDS)

    def _read(self, what: str, number: int) -> dict[str, Any] | None:
        plain = self._store.read(f"{self._prefix}{what}-{number:03}.json")
        # A worker that cannot go on leaves why in the place of its result, however early.
        failed = (
            self._store.read(f"{self._prefix}result-{number:03}.json") if plain is None and what != "result" else plain
        )
        if failed is not None and "error" in failed:
            raise WantingError(f"worker {number}: {failed['error']}")
        return plain

    def _tell(self) -> None:
        parts = [self._store.read(f"{self._prefix}progress-{number:03}.json") for number in range(self._plan.workers)]
        told = {key: sum(part[key] for part in parts if part) for key in ("due", "answered", "errors", "in_flight")}
        if told["due"]:
            self._step.note(
                f"{told['due']} requests due, {told['answered']} answered, {told['errors']} failed, {told['in_flight']} under way"
            )


def _workers(number: int) -> str:
    return "one worker" if number == 1 else f"{number} workers"


def _listed(numbers: list[int]) -> str:
    return f"worker{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
