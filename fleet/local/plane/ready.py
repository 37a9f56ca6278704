"""Wait until all that is deployed runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.errors import WantingError
from fleet.local.plane.client import RunningPlane
from fleet.progress import Step

READY_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 5.0


def wait_until_ready(plane: RunningPlane, step: Step, seconds: float = READY_SECONDS) -> None:
    """Return when every service has all its tasks, each healthy; at once where nothing is deployed.

    Raises:
        WantingError: Some have not within the time, or a version of theirs has failed.
    """
    deadline = time.monotonic() + seconds
    told, before = time.monotonic(), 0
    while True:
        status = plane.ask("status")["tasks"]
        services: Sequence[Mapping[str, Any]] = status["services"]
        waiting = [service for service in services if not service["ready"]]
        if status["follows"] and not waiting:
            step.outcome(_outcome(services))
            return
        failed = [service for service in waiting if service["failed"]]
        if failed or time.monotonic() > deadline:
            raise WantingError(_complaint(failed or waiting, seconds, has_failed=bool(failed)))
        healthy, desired = (sum(service[name] for service in services) for name in ("healthy", "desired"))
        if healthy != before and time.monotonic() - told > _TELL_SECONDS:
            told, before = time.monotonic(), healthy
            step.note(f"{healthy} of {desired} tasks are healthy")
        time.sleep(_LOOK_SECONDS)


def wait_for_nodes(plane: RunningPlane, step: Step, seconds: float = READY_SECONDS) -> bool:
    """Return when every NATS node is healthy; False, and at once, where no machine of theirs is deployed.

    Raises:
        WantingError: Some are not within the time.
    """
    deadline = time.monotonic() + seconds
    while True:
        rows = plane.ask("status")["nodes"]["rows"]
        if rows and all(row["health"] == "absent" for row in rows):
            step.outcome("none is deployed")
            return False
        if rows and all(row["health"] == "healthy" for row in rows):
            step.outcome(f"{len(rows)} nodes")
            return True
        if time.monotonic() > deadline:
            told = ", ".join(f"{row['name']} is {row['health']}" for row in rows) or "nothing is known of them"
            raise WantingError(
                f"the NATS nodes are not healthy after {seconds:.0f} s: {told}\n  what they say: fleet local logs nats-1"
            )
        time.sleep(_LOOK_SECONDS)


def _outcome(services: Sequence[Mapping[str, Any]]) -> str:
    if not services:
        return "nothing is deployed"
    return f"{sum(service['healthy'] for service in services)} tasks of {len(services)} services are healthy"


def _complaint(services: Sequence[Mapping[str, Any]], seconds: float, *, has_failed: bool) -> str:
    what = "their version has failed" if has_failed else f"not all of their tasks are healthy after {seconds:.0f} s"
    listed = "\n".join(
        f"  - {service['name']}: {service['healthy']} of {service['desired']} healthy; {service['last_event'] or service['reason']}"
        for service in services
    )
    return f"{len(services)} services do not run: {what}\n{listed}\n  what they say: fleet local logs {services[0]['name']}"
