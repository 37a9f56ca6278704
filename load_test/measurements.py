"""What a worker measures, as it measures it, as it is stored, and how those of several workers become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from load_test.histogram import COARSE_DIGITS, Histogram

SCHEMA = 1
_MOST_SAMPLES = 3

TIMEOUT = "timeout"
NO_RESPONDERS = "no responders"
NOT_PERMITTED = "not permitted"
DISCONNECTED = "disconnected"
NOT_SENT = "not sent"
BAD_REPLY = "bad reply"
SERVICE_ERROR = "service: "
"""What the type of an error begins with that the service itself answered; its code follows."""


@dataclass
class Subject:
    """What became of the requests to one subject, in the stages that count."""

    due: int = 0
    """Requests that were to be sent."""
    answered: int = 0
    latency: Histogram = field(default_factory=Histogram)
    """Microseconds from when a request was due: to its answer, or, of one that nobody answered in time, to its timeout."""
    errors: Counter[str] = field(default_factory=Counter)
    """How many failed, by type."""

    def add(self, other: Subject) -> None:
        """Count what another worker has counted."""
        self.due += other.due
        self.answered += other.answered
        self.latency.add(other.latency)
        self.errors.update(other.errors)

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(self.errors.values())

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "due": self.due,
            "answered": self.answered,
            "errors": dict(self.errors),
            "latency": self.latency.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Subject:
        """Read plain data, as `to_plain` writes it."""
        latency = Histogram.from_plain(plain["latency"])
        return cls(plain["due"], plain["answered"], latency, Counter(plain["errors"]))


@dataclass
class Interval:
    """A second or so of the test, counted whether or not it is in a stage that counts."""

    due: int = 0
    """Requests that were to be sent in it."""
    answered: int = 0
    """Answers that came in it."""
    errors: int = 0
    """Failures that were known in it."""
    latency: Histogram = field(default_factory=lambda: Histogram(COARSE_DIGITS))
    """Of the requests that were due in it, whenever they were answered."""

    def add(self, other: Interval) -> None:
        """Count what another worker has counted."""
        self.due += other.due
        self.answered += other.answered
        self.errors += other.errors
        self.latency.add(other.latency)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "due": self.due,
            "answered": self.answered,
            "errors": self.errors,
            "latency": self.latency.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Interval:
        """Read plain data, as `to_plain` writes it."""
        latency = Histogram.from_plain(plain["latency"])
        return cls(plain["due"], plain["answered"], plain["errors"], latency)


@dataclass
class Measurements:
    """Everything that a worker has measured, or several."""

    interval_seconds: float
    subjects: dict[str, Subject] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)
    lag: Histogram = field(default_factory=Histogram)
    """Microseconds by which the worker itself was late to send."""
    busiest: float = 0.0
    """Greatest share of one processor that a worker used in an interval, 0 to 1."""
    cpu_seconds: float = 0.0
    reconnects: int = 0
    samples: dict[str, list[str]] = field(default_factory=dict)
    """The first few errors of each type in words."""
    was_stopped: bool = False
    """Whether it was ended before its time."""

    def subject(self, name: str) -> Subject:
        """Return the record of a subject."""
        return self.subjects.setdefault(name, Subject())

    def interval(self, seconds: float) -> Interval:
        """Return the record of a time since the start."""
        index = max(0, int(seconds / self.interval_seconds))
        while len(self.intervals) <= index:
            self.intervals.append(Interval())
        return self.intervals[index]

    def sample(self, kind: str, text: str) -> None:
        """Keep an error in words, if it is one of the first of its type."""
        kept = self.samples.setdefault(kind, [])
        if len(kept) < _MOST_SAMPLES and text not in kept:
            kept.append(text)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "schema": SCHEMA,
            "interval_seconds": self.interval_seconds,
            "subjects": {name: subject.to_plain() for name, subject in self.subjects.items()},
            "intervals": [interval.to_plain() for interval in self.intervals],
            "lag": self.lag.to_plain(),
            "busiest": self.busiest,
            "cpu_seconds": self.cpu_seconds,
            "reconnects": self.reconnects,
            "samples": self.samples,
            "was_stopped": self.was_stopped,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Measurements:
        """Read plain data, as `to_plain` writes it.

        Raises:
            ValueError: It is of another version of this program.
        """
        if plain.get("schema") != SCHEMA:
            raise ValueError(f"the measurements have schema {plain.get('schema')!r}; this program reads {SCHEMA}")
        return cls(
            interval_seconds=plain["interval_seconds"],
            subjects={name: Subject.from_plain(each) for name, each in plain["subjects"].items()},
            intervals=[Interval.from_plain(each) for each in plain["intervals"]],
            lag=Histogram.from_plain(plain["lag"]),
            busiest=plain["busiest"],
            cpu_seconds=plain["cpu_seconds"],
            reconnects=plain["reconnects"],
            samples={kind: list(texts) for kind, texts in plain["samples"].items()},
            was_stopped=plain["was_stopped"],
        )


def merged(parts: Iterable[Measurements]) -> Measurements:
    """Return what several workers have measured as one would have.

    Raises:
        ValueError: There are none, or they were not told the same.
    """
    first, *others = parts
    whole = Measurements.from_plain(first.to_plain())
    for part in others:
        if part.interval_seconds != whole.interval_seconds:
            raise ValueError("the workers' intervals are not of one width")
        for name, subject in part.subjects.items():
            whole.subject(name).add(subject)
        for index, interval in enumerate(part.intervals):
            whole.interval(index * whole.interval_seconds).add(interval)
        whole.lag.add(part.lag)
        whole.busiest = max(whole.busiest, part.busiest)
        whole.cpu_seconds += part.cpu_seconds
        whole.reconnects += part.reconnects
        whole.was_stopped = whole.was_stopped or part.was_stopped
        for kind, texts in part.samples.items():
            for text in texts:
                whole.sample(kind, text)
    return whole
