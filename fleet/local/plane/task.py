"""One task: from what it needs to start, over its health, to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import project
from fleet.errors import FleetError
from fleet.local.plane.definition import Definition
from fleet.local.plane.health import HealthRecord, probe
from fleet.local.plane.ports import PortBook
from fleet.local.plane.processes import Exit, Process, Processes, Spec
from fleet.local.plane.scheduler import Health, Status, Task

ESSENTIAL_EXITED = "Essential container in task exited"
LOG = "task.log"
_SLOW_START_SECONDS = 20.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Surroundings:
    """What every task is started with."""

    folder: Path
    processes: Processes
    ports: PortBook
    places: Mapping[str, str]
    base: Callable[[], Mapping[str, str]]
    """Variables that lead to the local AWS."""
    secrets: Callable[[Definition], Mapping[str, str]]
    """Reads the secrets of a definition; raises `FleetError` where it cannot."""
    check_image: Callable[[Definition], None]
    """Raises `FleetError` where the image is not there."""
    starting: asyncio.Semaphore
    """Bounds how many start at a time: more would only make all of them slow."""
    scale: Callable[[], float]
    """How much of a minute the plane's minute is."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is something for the scheduler to decide."""


class RunningTask:
    """A task of a service; it begins at once, and is over when `ended` is set.

    Args:
        surroundings: What it is started with.
        service: The service's name.
        cluster: The cluster's name.
        arn_prefix: What its ARN begins with, up to the id.
        deployment: The deployment that it belongs to.
        definition: What it runs.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        service: str,
        cluster: str,
        arn_prefix: str,
        deployment: str,
        definition: Definition,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.arn = f"{arn_prefix}{self.id}"
        self.service = service
        self.cluster = cluster
        self.deployment = deployment
        self.definition = definition
        self.created = time.time()
        self.started: float | None = None
        self.stopping: float | None = None
        self.ended: float | None = None
        self.status: Status = "PENDING"
        self.health: Health = "UNKNOWN"
        self.exit: Exit | None = None
        self.reason: str | None = None
        """Why it stopped."""
        self.was_told = False
        """Whether it was told to stop, so that its end is no failure of its own."""
        self.by_user = False
        """Whether it was somebody who told it, and not the scheduler."""
        self.ports: dict[str, int] = {}
        self.process: Process | None = None
        self.folder = surroundings.folder / service / self.id
        self.log = self.folder / LOG
        self._surroundings = surroundings
        self._settled = asyncio.Event()
        self._ending: asyncio.Task[Exit] | None = None
        self._running = asyncio.create_task(self._run(), name=f"task {service} {self.id}")

    @property
    def seen(self) -> Task:
        """What the scheduler sees of it."""
        return Task(
            id=self.id,
            deployment=self.deployment,
            status=self.status,
            health=self.health,
            started=self.started or self.created,
        )

    def stop(self, reason: str) -> None:
        """Tell it to stop; it ends on its own from here on."""
        if self.stopping is None:
            self.was_told = True
            self._begin_to_stop(reason)

    def signal(self, number: int) -> bool:
        """Send its program a signal; tell whether there is one."""
        if self.process is None or self.process.has_exited:
            return False
        self.process.signal(number)
        return True

    async def wait(self) -> None:
        """Return once it is over."""
        await asyncio.wait([self._running])

    def clean_up(self) -> None:
        """Remove its files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _run(self) -> None:
        try:
            await self._start_and_watch()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever keeps it from running is its end, with the reason told
            told = str(error) if isinstance(error, FleetError) else f"{type(error).__name__}: {error}"
            self.reason = self.reason or told
            _log.warning("%s %s: %s", self.service, self.id, self.reason)
        finally:
            for port in self.ports.values():
                self._surroundings.ports.give_back(port)
            self.status = "STOPPING"
            self.ended = time.time()
            self._settled.set()
            self._surroundings.changed.set()

    async def _start_and_watch(self) -> None:
        async with self._surroundings.starting:
            if self.stopping is not None:
                return
            process = await self._start()
            probing = asyncio.create_task(self._probe(process), name=f"probe {self.id}")
            # The next one may start when this one is up, or has had its time.
            await asyncio.wait(
                [asyncio.create_task(self._settled.wait()), asyncio.ensure_future(process.exited)],
                timeout=_SLOW_START_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        try:
            self.exit = await process.exited
        finally:
            probing.cancel()
        if self.reason is None:
            self.reason = self.exit.reason or f"{ESSENTIAL_EXITED} ({self.exit.code})"

    async def _start(self) -> Process:
        surroundings, definition = self._surroundings, self.definition
        await asyncio.to_thread(surroundings.check_image, definition)
        secrets = await asyncio.to_thread(surroundings.secrets, definition)
        self.ports = {name: surroundings.ports.take(self.service, name) for name in definition.port_variables}
        told = definition.variables(ports=self.ports, places=surroundings.places, secrets=secrets)
        scratch = self.folder / "tmp"
        scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
        own = {
            "PATH": os.defpath,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONUNBUFFERED": "1",
            "LANG": "C.UTF-8",
        }
        spec = Spec(
            name=f"{self.service} {self.id}",
            argv=definition.argv(),
            env={**own, **surroundings.base(), **told},
            cwd=project.ROOT,
            log=self.log,
            memory_mib=definition.memory_mib,
        )
        self.process = await surroundings.processes.start(spec)
        self.started = self.process.started_at
        self.status = "RUNNING" if self.stopping is None else "STOPPING"
        if self.stopping is not None:
            self._begin_to_end(self.process)
        if definition.health is None:
            self.health = "HEALTHY"
            self._settled.set()
        surroundings.changed.set()
        return self.process

    async def _probe(self, process: Process) -> None:
        """Follow its health until it ends."""
        if self.definition.health is None:
            return
        record = HealthRecord(self.definition.health, time.time())
        while not process.has_exited:
            is_good = await probe(self.ports["HEALTH_PORT"], self.definition.health)
            before, self.health = self.health, record.hear(time.time(), is_good=is_good)
            if before != self.health:
                self._settled.set()
                self._surroundings.changed.set()
            await asyncio.sleep(record.pause_seconds(self._surroundings.scale()))

    def _begin_to_stop(self, reason: str) -> None:
        self.stopping = time.time()
        self.reason = reason
        self.status = "STOPPING"
        self._settled.set()
        if self.process is not None:
            self._begin_to_end(self.process)

    def _begin_to_end(self, process: Process) -> None:
        self._ending = asyncio.create_task(process.end(self.definition.stop_seconds), name=f"end {self.id}")


def plain(task: RunningTask) -> dict[str, Any]:
    """Return what `fleet local ps` tells of a task."""
    process = task.process
    return {
        "service": task.service,
        "id": task.id,
        "status": task.status,
        "health": task.health,
        "pid": process.pid if process and not process.has_exited else None,
        "ports": task.ports,
        "deployment": task.deployment,
        "task_definition": task.definition.arn,
        "started": task.started,
        "memory_mib": round(process.memory_bytes() / 2**20, 1) if process else 0.0,
        "memory_limit_mib": task.definition.memory_mib,
        "reason": task.reason,
        "log": str(task.log),
    }
