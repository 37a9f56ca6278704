"""Whether what was measured is what the environment asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from catalog.environment import Objectives, ServiceObjectives
from load_test.measurements import Measurements, Subject
from load_test.plan import Plan

Verdict = Literal["passed", "failed", "spoiled"]

MOST_LAG_MILLISECONDS = 20.0
"""A worker that is so late with one request in a hundred measures itself."""
MOST_CPU_SHARE = 0.95
"""A worker that uses so much of its processor has nothing left to be on time with."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One objective, and what was found."""

    objective: str
    service: str | None
    """None where it is about all of them together."""
    wanted: float
    found: float
    good: bool

    def told(self) -> str:
        """Return it in words."""
        unit = {"p50": " ms", "p99": " ms", "errors": " %", "rate": "/s"}[self.objective]
        relation = "at least" if self.objective == "rate" else "at most"
        return f"{self.service or 'all'}: {self.objective} {self.found:.4g}{unit}, {relation} {self.wanted:.4g}{unit} wanted"


def by_service(plan: Plan, measured: Measurements) -> dict[str, Subject]:
    """Return what was measured, by service, in the order of their names."""
    found: dict[str, Subject] = {}
    for target in sorted(plan.targets, key=lambda target: target.service):
        found.setdefault(target.service, Subject()).add(measured.subject(target.subject))
    return found


def whole(measured: Measurements) -> Subject:
    """Return what was measured of all subjects together."""
    together = Subject()
    for subject in measured.subjects.values():
        together.add(subject)
    return together


def judge(plan: Plan, measured: Measurements, objectives: Objectives) -> list[Judgement]:
    """Return every objective with what was found; a service that was never asked is not judged."""
    together = whole(measured)
    rate = together.answered / plan.measured_seconds
    judged = list(_judged(None, together, objectives, None))
    judged.append(Judgement("rate", None, objectives.min_rate, rate, rate >= objectives.min_rate))
    for service, subject in by_service(plan, measured).items():
        if subject.due:
            judged += _judged(service, subject, objectives, objectives.services.get(service))
    return judged


def spoiled_by(measured: Measurements) -> list[str]:
    """Return why the workers themselves were too slow for what they were told; nothing where they were not."""
    lag = measured.lag.percentile(99) / 1000
    found = []
    if lag > MOST_LAG_MILLISECONDS:
        found.append(
            f"workers were {lag:.0f} ms late with one request in a hundred, at most {MOST_LAG_MILLISECONDS:g} is allowed"
        )
    if measured.busiest > MOST_CPU_SHARE:
        found.append(f"a worker used {measured.busiest:.0%} of a processor, at most {MOST_CPU_SHARE:.0%} is allowed")
    return found


def verdict_on(judgements: list[Judgement], measured: Measurements) -> Verdict:
    """Return the verdict.

    A test passes although its workers were late: their lateness is in every figure, so without it they would be better still. One
    that fails then has shown nothing.
    """
    if measured.was_stopped:
        return "failed"
    if all(judgement.good for judgement in judgements):
        return "passed"
    return "spoiled" if spoiled_by(measured) else "failed"


def unknown_services(objectives: Objectives, services: Mapping[str, object]) -> list[str]:
    """Return services that have objectives and are not there."""
    return [name for name in objectives.services if name not in services]


def _judged(
    service: str | None, subject: Subject, every: Objectives, own: ServiceObjectives | None
) -> Iterator[Judgement]:
    def wanted(key: str) -> float:
        special = None if own is None else getattr(own, key)
        return float(getattr(every, key) if special is None else special)

    for objective, key, percent in (("p50", "max_p50_milliseconds", 50), ("p99", "max_p99_milliseconds", 99)):
        found = subject.latency.percentile(percent) / 1000
        yield Judgement(objective, service, wanted(key), found, found <= wanted(key))
    share = 100 * subject.failed / subject.due if subject.due else 100.0
    yield Judgement("errors", service, wanted("max_error_percent"), share, share <= wanted("max_error_percent"))
