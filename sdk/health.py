"""What a service says of its health, in the form of `application/health+json`.

| path | 200 means |
| --- | --- |
| `/livez` | the process runs and its event loop turns |
| `/readyz` | NATS answered just now, and the service is not stopping |
| `/health` | it has reached NATS once, and NATS has not been out of reach for longer than the tolerance; ECS and the load balancer ask this one, so that a roll of the NATS nodes restarts nobody |
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

PASS, WARN, FAIL = "pass", "warn", "fail"
_CACHED_SECONDS = 1.0


class NatsState(Protocol):
    """What health asks about NATS; `sdk.link.Link` tells it."""

    @property
    def unreachable_seconds(self) -> float:
        """How long NATS has been out of reach without a break; 0 where it is within reach."""
        ...

    @property
    def was_connected(self) -> bool:
        """Whether it has been within reach at all."""
        ...

    async def check(self) -> float:
        """Return how long NATS takes to answer, in seconds.

        Raises:
            Exception: It does not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the health endpoint."""

    status: int
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Check:
    at: float
    time: str
    seconds: float | None
    why: str


class Health:
    """Answers for one service.

    Args:
        service: Its name.
        version: Its version.
        nats: The way to NATS.
        outage_tolerance_seconds: How long NATS may be out of reach.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        *,
        service: str,
        version: str,
        nats: NatsState,
        outage_tolerance_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._version = version
        self._nats = nats
        self._tolerance_seconds = outage_tolerance_seconds
        self._clock = clock
        self._started = clock()
        self._last: _Check | None = None
        self.is_draining = False
        """Set as soon as the service is told to stop."""

    def paths(self, health_path: str = "/health") -> dict[str, Callable[[], Awaitable[Answer]]]:
        """Return what answers each path."""
        return {"/livez": self.live, "/readyz": self.ready, "/health": self.healthy, health_path: self.healthy}

    async def live(self) -> Answer:
        """Say that the process runs: who gets this answer knows it."""
        return self._answer(PASS, {})

    async def ready(self) -> Answer:
        """Say whether requests would be answered now."""
        check = await self._check()
        reasons = [*(["the service is stopping"] if self.is_draining else []), *([check.why] if check.why else [])]
        return self._answer(FAIL if reasons else PASS, self._checks(check, FAIL if check.why else PASS), reasons)

    async def healthy(self) -> Answer:
        """Say whether a restart would help."""
        unreachable = self._nats.unreachable_seconds
        if not self._nats.was_connected:
            status, reasons = FAIL, ["NATS has not been reached yet"]
        elif unreachable > self._tolerance_seconds:
            status, reasons = (
                FAIL,
                [f"NATS is out of reach for {unreachable:.0f} s, over {self._tolerance_seconds:g} s"],
            )
        elif unreachable > 0:
            status, reasons = WARN, [f"NATS is out of reach for {unreachable:.0f} s"]
        else:
            status, reasons = PASS, []
        return self._answer(status, self._checks(self._last, status) if self._last else {}, reasons)

    async def _check(self) -> _Check:
        """Ask NATS for a sign of life, at most once a second."""
        now = self._clock()
        if self._last is None or now - self._last.at >= _CACHED_SECONDS:
            seconds, why = None, ""
            try:
                seconds = await self._nats.check()
            except Exception as error:  # noqa: BLE001  # whatever keeps NATS from answering is what there is to tell
                why = f"NATS does not answer: {error or type(error).__name__}"
            self._last = _Check(now, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", seconds, why)
        return self._last

    def _checks(self, check: _Check, status: str) -> dict[str, object]:
        entry: dict[str, object] = {"componentType": "component", "status": status, "time": check.time}
        if check.seconds is not None:
            entry |= {"observedValue": round(check.seconds * 1000, 2), "observedUnit": "ms"}
        if check.why:
            entry["output"] = check.why
        return {"nats:responseTime": [entry]}

    def _answer(self, status: str, checks: dict[str, object], reasons: list[str] | None = None) -> Answer:
        body: dict[str, object] = {"status": status, "serviceId": self._service, "version": self._version}
        if reasons:
            body["output"] = "; ".join(reasons)
        uptime = {
            "componentType": "system",
            "observedValue": round(self._clock() - self._started, 1),
            "observedUnit": "s",
        }
        body["checks"] = {"uptime": [uptime], **checks}
        return Answer(503 if status == FAIL else 200, body)
