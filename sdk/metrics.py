"""Six metrics of a service, as CloudWatch takes them from its log: one line a minute in the Embedded Metric Format.

| metric | unit | what |
| --- | --- | --- |
| Requests | Count | requests that were answered, errors included |
| RequestErrors | Count | of these, answered with an error that is the service's own fault |
| RequestLatency | Milliseconds | from arrival to answer, as a distribution |
| CallErrors | Count | calls of other services that failed for good |
| CircuitsOpened | Count | circuit breakers that opened |
| Reconnects | Count | connections to NATS that were lost and found again |
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable

from sdk.circuit_breaker import CircuitState, Transition
from sdk.errors import CallError

NAMESPACE = "GamingSystem/Services"
_UNITS = {
    "Requests": "Count",
    "RequestErrors": "Count",
    "RequestLatency": "Milliseconds",
    "CallErrors": "Count",
    "CircuitsOpened": "Count",
    "Reconnects": "Count",
}
_MOST_VALUES = 100  # of one metric in one line, by the format
# Latencies are kept in steps of a tenth, so that a minute's distribution fits into a line.
_STEPS_A_DECADE = 24


def _to_standard_output(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Metrics:
    """Counts, and writes what was counted.

    Args:
        service: A dimension.
        environment: The other one.
        write: Takes a line.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        service: str,
        environment: str,
        write: Callable[[str], None] = _to_standard_output,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._dimensions = {"Environment": environment, "Service": service}
        self._write = write
        self._now = now
        self._counts: Counter[str] = Counter()
        self._latencies: Counter[int] = Counter()

    def answered(self, seconds: float, *, failed: bool) -> None:
        """Count a request that was answered."""
        self._counts["Requests"] += 1
        if failed:
            self._counts["RequestErrors"] += 1
        self._latencies[round(math.log10(max(seconds, 1e-5)) * _STEPS_A_DECADE)] += 1

    def call_failed(self, error: CallError) -> None:  # noqa: ARG002  # OpenTelemetry's counterpart uses it
        """Count a call that failed for good."""
        self._counts["CallErrors"] += 1

    def circuit_changed(self, transition: Transition) -> None:
        """Count a circuit breaker that opened."""
        if transition.new is CircuitState.OPEN:
            self._counts["CircuitsOpened"] += 1

    def reconnected(self) -> None:
        """Count a connection that was found again."""
        self._counts["Reconnects"] += 1

    def flush(self) -> None:
        """Write what was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        latencies, self._latencies = self._latencies, Counter()
        values: dict[str, object] = {name: counts[name] for name, unit in _UNITS.items() if unit == "Count"}
        if latencies:
            # The rarest steps beyond what a line holds are a handful of requests.
            kept = sorted(latencies.most_common(_MOST_VALUES))
            values["RequestLatency"] = {
                "Values": [round(10 ** (step / _STEPS_A_DECADE) * 1000, 3) for step, _ in kept],
                "Counts": [number for _, number in kept],
            }
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in _UNITS.items() if name in values],
        }
        line = {"_aws": {"Timestamp": int(self._now() * 1000), "CloudWatchMetrics": [directive]}}
        self._write(json.dumps({**line, **self._dimensions, **values}, separators=(",", ":")))

    async def run(self, interval_seconds: float = 60.0) -> None:
        """Write now, so that the metrics are there from the start, and then once a minute, until cancelled."""
        while True:
            self.flush()
            await asyncio.sleep(interval_seconds)
