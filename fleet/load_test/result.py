"""The result of a load test as it is kept: all that was measured, and what follows from it, so that it can be read without this program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from catalog.environment import Objectives
from fleet.load_test.verdict import Judgement, by_service, judge, spoiled_by, verdict_on, whole
from load_test.measurements import Measurements, Subject
from load_test.plan import Plan

SCHEMA = 1
PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished test."""

    plan: Plan
    measured: Measurements
    judgements: Sequence[Judgement]
    verdict: str
    started_at: datetime
    finished_at: datetime

    @property
    def passed(self) -> bool:
        """Whether all objectives were met."""
        return self.verdict == "passed"

    @property
    def spoiled_by(self) -> list[str]:
        """Why the workers themselves were too slow; nothing where they were not."""
        return spoiled_by(self.measured)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        plan, measured = self.plan, self.measured
        subjects = {target.subject: target.service for target in plan.targets}
        seconds = plan.measured_seconds
        return {
            "schema": SCHEMA,
            "run": plan.run,
            "environment": plan.environment,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "catalog_digest": plan.catalog_digest,
            "verdict": self.verdict,
            "judgements": [asdict(judgement) for judgement in self.judgements],
            "spoiled_by": self.spoiled_by,
            "seconds": plan.seconds,
            "measured_seconds": seconds,
            "workers": plan.workers,
            "summary": figures(whole(measured), seconds),
            "services": {
                name: figures(subject, seconds)
                | {
                    "subjects": {
                        each: figures(measured.subject(each), seconds)
                        for each, owner in subjects.items()
                        if owner == name
                    }
                }
                for name, subject in by_service(plan, measured).items()
            },
            "tester": {
                "lag_p50_milliseconds": measured.lag.percentile(50) / 1000,
                "lag_p99_milliseconds": measured.lag.percentile(99) / 1000,
                "lag_max_milliseconds": measured.lag.highest / 1000,
                "busiest_processor_share": round(measured.busiest, 3),
                "cpu_seconds": round(measured.cpu_seconds, 3),
                "reconnects": measured.reconnects,
            },
            "plan": plan.to_plain(),
            "measurements": measured.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Result:
        """Read plain data, as `to_plain` writes it.

        Raises:
            ValueError: It is of another version of this program.
        """
        if plain.get("schema") != SCHEMA:
            raise ValueError(f"the result has schema {plain.get('schema')!r}; this program reads {SCHEMA}")
        return cls(
            Plan.from_plain(plain["plan"]),
            Measurements.from_plain(plain["measurements"]),
            [Judgement(**judgement) for judgement in plain["judgements"]],
            plain["verdict"],
            datetime.fromisoformat(plain["started_at"]),
            datetime.fromisoformat(plain["finished_at"]),
        )


def judged(
    plan: Plan, measured: Measurements, objectives: Objectives, started_at: datetime, finished_at: datetime
) -> Result:
    """Return the result of what was measured."""
    judgements = judge(plan, measured, objectives)
    return Result(plan, measured, judgements, verdict_on(judgements, measured), started_at, finished_at)


def figures(subject: Subject, seconds: float) -> dict[str, Any]:
    """Return what is to be said of requests, in milliseconds, percent and requests a second."""
    found = subject.latency.percentiles(PERCENTS)
    errors: Counter[str] = subject.errors
    return {
        "due": subject.due,
        "answered": subject.answered,
        "failed": subject.failed,
        "error_percent": round(100 * subject.failed / subject.due, 4) if subject.due else 0.0,
        "rate": round(subject.answered / seconds, 3),
        "mean_milliseconds": round(subject.latency.mean / 1000, 3),
        **{
            f"p{percent:g}_milliseconds": value / 1000 for percent, value in zip(PERCENTS[:-1], found[:-1], strict=True)
        },
        "max_milliseconds": found[-1] / 1000,
        "errors": dict(errors.most_common()),
    }
