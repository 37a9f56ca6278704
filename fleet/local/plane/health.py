"""A task's health, as the container runtime decides it: by the same probe, of the task's own port."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from fleet.local.plane.definition import HOST, HealthCheck
from fleet.local.plane.scheduler import Health

START_INTERVAL_SECONDS = 0.5
"""Between the probes of a task that has not been healthy yet, so that a start is not as long as an interval."""
_GOOD = b"200"


@dataclass(slots=True)
class HealthRecord:
    """What the probes of a task have told so far.

    Args:
        check: What decides.
        started: When the task was started.
    """

    check: HealthCheck
    started: float
    status: Health = "UNKNOWN"
    misses: int = field(default=0)

    def hear(self, now: float, *, is_good: bool) -> Health:
        """Take the outcome of a probe: misses count from the end of the start period on, or from the first good one."""
        if is_good:
            self.status, self.misses = "HEALTHY", 0
        elif self.status != "UNKNOWN" or now - self.started >= self.check.start_period_seconds:
            self.misses += 1
            if self.misses >= self.check.retries:
                self.status = "UNHEALTHY"
        return self.status

    def pause_seconds(self, scale: float) -> float:
        """Return how long to wait until the next probe.

        Args:
            scale: How much of a minute the plane's minute is.
        """
        if self.status == "UNKNOWN":
            return START_INTERVAL_SECONDS
        return max(START_INTERVAL_SECONDS, self.check.interval_seconds * scale)


async def probe(port: int, check: HealthCheck) -> bool:
    """Ask a task whether it is healthy."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        async with asyncio.timeout(check.timeout_seconds):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET {check.path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
            return line.split(b" ")[1:2] == [_GOOD]
    return False
