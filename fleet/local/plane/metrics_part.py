"""The part that measures the tasks of services, and puts what it finds where alarms look for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.local.plane.metrics import ServiceUse, TaskMetrics, TaskUse, put
from fleet.local.plane.plane import Plane
from fleet.local.plane.service import RunningService

MEASURES = "measures"
"""Key of the beat: whether silence is worth an alarm yet."""

_LOOK_SECONDS = 0.5
_LEAST_SECONDS = 0.1
# A fleet that starts is not yet one that is down; but one that does not come up is.
_START_SECONDS = 180.0
_log = logging.getLogger(__name__)


class Metrics:
    """Measures.

    Args:
        plane: What the parts share.
    """

    name = "metrics"

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._metrics = TaskMetrics()
        self._changed = asyncio.Event()
        self._began = time.monotonic()
        self._was_ready: set[str] = set()
        self._has_stepped = False
        self._put = 0
        plane.beat[MEASURES] = False
        plane.on_step.append(self._stepped)

    async def run(self) -> None:
        """Put what is due, again and again."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._changed.wait()
                self._changed.clear()
                await self.look()
                await asyncio.sleep(_LEAST_SECONDS)
        finally:
            # It ends before the tasks do, and that they end then is no reason to wake somebody.
            self._plane.beat[MEASURES] = False

    async def look(self) -> None:
        """Put what is due now."""
        tasks, account = self._plane.tasks, await self._plane.account()
        if tasks is None or account is None or not self._has_stepped:
            return
        services = list(tasks.services.items())
        is_up = all(arn in self._was_ready for arn, _ in services)
        if is_up or time.monotonic() - self._began > _START_SECONDS:
            self._plane.beat[MEASURES] = True
        measured = [use_of(service) for arn, service in services if arn in self._was_ready]
        data = self._metrics.due(measured, time.time(), self._plane.minute_seconds)
        if not data:
            return
        try:
            await asyncio.to_thread(put, account.cloudwatch, data)
        except (BotoCoreError, ClientError) as error:
            _log.warning("the local AWS took no metrics: %s", error)
        else:
            self._put += sum(len(found) for found in data.values())

    def status(self) -> Any:
        """Return how much was put."""
        return {"measures": self._plane.beat[MEASURES], "datapoints": self._put}

    def _stepped(self) -> None:
        """Count at once: a task that is replaced is missing for a moment only."""
        assert self._plane.tasks is not None  # noqa: S101 - who else would have looked at them
        self._has_stepped = True
        for arn, service in self._plane.tasks.services.items():
            # Of a service that never ran yet nothing is told: its silence says as much, and less too early.
            if service.is_ready or arn in self._was_ready:
                self._was_ready.add(arn)
                self._metrics.count(service.wanted.cluster, service.wanted.name, service.running_count, time.time())
        self._changed.set()


def use_of(service: RunningService) -> ServiceUse:
    """Return what the tasks of a service that run have used."""
    return ServiceUse(
        service.wanted.cluster,
        service.wanted.name,
        [
            TaskUse(
                task.id,
                task.process.cpu_seconds(),
                task.process.memory_bytes(),
                task.definition.cpu_units,
                task.definition.memory_mib,
            )
            for task in service.tasks
            if task.status == "RUNNING" and task.process is not None
        ],
    )
