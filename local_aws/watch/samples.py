"""The datapoints of metrics, as many as the alarms need: moto keeps each one for ever, as an object of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

HOUR_SECONDS = 3600.0
_MOST_A_METRIC = 5000


class Metric(NamedTuple):
    """What is measured; dimensions make another metric, each set of them."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """Return the same metric for the same dimensions, in whatever order they come."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


class Sample(NamedTuple):
    """One value, or a set of them, that came at once.

    Args:
        at: seconds since 1970.
        number: how many values.
    """

    at: float
    number: float
    total: float
    least: float
    most: float
    unit: str | None = None

    @classmethod
    def value(cls, at: float, value: float, unit: str | None = None) -> Sample:
        """Return the sample of one value."""
        return cls(at, 1.0, value, value, value, unit)


@dataclass
class Samples:
    """The samples of one region.

    Args:
        keep_seconds: how old they get.
    """

    keep_seconds: float = 2 * HOUR_SECONDS
    _metrics: dict[Metric, deque[Sample]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, metric: Metric, sample: Sample) -> None:
        """Keep a sample, until it is old or too many others have come."""
        with self._lock:
            self._metrics.setdefault(metric, deque(maxlen=_MOST_A_METRIC)).append(sample)

    def between(self, metric: Metric, start: float, end: float) -> list[Sample]:
        """Return the samples of a metric, from the start on and before the end."""
        with self._lock:
            return [sample for sample in self._metrics.get(metric, ()) if start <= sample.at < end]

    def all(self) -> Iterator[tuple[Metric, list[Sample]]]:
        """Return every metric with its samples, as they are now."""
        with self._lock:
            metrics = [(metric, list(samples)) for metric, samples in self._metrics.items()]
        return iter(metrics)

    def forget(self, now: float | None = None) -> None:
        """Drop what is old, and metrics that nothing has come of for so long."""
        oldest = (time.time() if now is None else now) - self.keep_seconds
        with self._lock:
            for metric, samples in list(self._metrics.items()):
                # They come nearly in order; one that came late goes a little later, too.
                while samples and samples[0].at < oldest:
                    samples.popleft()
                if not samples:
                    del self._metrics[metric]
