"""The supervisor: one process that runs the parts of a plane, and ends with all that they have started."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from fleet.errors import InputError
from fleet.local.plane.control import Control
from fleet.local.plane.names import MINUTE_SECONDS, RECORD
from fleet.local.plane.plane import Part, Plane
from fleet.local.plane.processes import Processes, end_marked, shared_memory_bytes
from fleet.local.recorded import write_private
from fleet.local.server import LocalAws

_GRACE_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_MIB = 2**20
_log = logging.getLogger(__name__)


class Supervisor:
    """Runs a plane over one folder.

    Args:
        folder: Its state: who it is, and the files of what it runs.
        aws: The local AWS that it follows.
        parts: Make its parts, in the order in which they are needed by each other: the last ends first.
        minute_seconds: How long a minute of metrics and alarms takes.
        has_cache: Whether a cache is run.
        holds_tasks: Whether tasks wait until `release` is asked.
    """

    def __init__(
        self,
        folder: Path,
        aws: LocalAws,
        parts: Sequence[Callable[[Plane], Part]],
        *,
        minute_seconds: float = MINUTE_SECONDS,
        has_cache: bool = True,
        holds_tasks: bool = False,
    ) -> None:
        self._folder = folder
        self.plane = Plane(
            folder=folder,
            processes=Processes(folder),
            control=Control(secrets.token_urlsafe(32)),
            aws=aws,
            minute_seconds=minute_seconds,
            has_cache=has_cache,
            holds_tasks=holds_tasks,
        )
        self._parts = [make(self.plane) for make in parts]
        self._stopping = asyncio.Event()
        self._started = time.time()
        self.plane.control.register("status", self._status)
        self.plane.control.register("settings", self._settings)
        self.plane.control.register("release", self._release)
        self.plane.control.register("stop", self._stop)

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            InputError: Another plane runs over this folder.
        """
        with _alone(self._folder):
            # A plane that was killed could not end what it ran; two of each would fight for ports and subjects.
            if count := await asyncio.to_thread(end_marked, self._folder):
                _log.warning("ended %d processes of a plane that was killed", count)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.add_signal_handler(number, self._stopping.set)
            async with self.plane.control.serve() as address:
                self.plane.address = address
                self._publish(address)
                running = [asyncio.create_task(_kept(part), name=part.name) for part in self._parts]
                try:
                    await self._stopping.wait()
                finally:
                    for task in reversed(running):
                        task.cancel()
                        await asyncio.wait([task])
                    await self.plane.processes.end_all(_GRACE_SECONDS)
            (self._folder / RECORD).unlink(missing_ok=True)

    def _publish(self, address: str) -> None:
        record = {
            "pid": os.getpid(),
            "control": address,
            "token": self.plane.control.token,
            "started": self._started,
            "minute_seconds": self.plane.minute_seconds,
            "has_cache": self.plane.has_cache,
        }
        write_private(self._folder / RECORD, json.dumps(record, indent=2) + "\n")

    async def _status(self, arguments: Mapping[str, Any]) -> Any:
        return {
            "pid": os.getpid(),
            "seconds": round(time.time() - self._started, 1),
            "minute_seconds": self.plane.minute_seconds,
            "processes": len(self.plane.processes.running),
            "nats_servers": list(filter(None, self.plane.addresses.get("NATS_SERVERS", "").split(","))),
            **({"memory": await asyncio.to_thread(self._memory)} if arguments.get("memory") else {}),
            **{part.name: part.status() for part in self._parts},
        }

    def _memory(self) -> dict[str, float]:
        """Return how much memory the supervisor and all that it runs take, with what they share counted once and each time."""
        own = psutil.Process()
        running = self.plane.processes.running
        shares = [shared_memory_bytes(own), *(process.own_memory_bytes() for process in running)]
        resident = [own.memory_info().rss, *(process.memory_bytes() for process in running)]
        return {"proportional_mib": round(sum(shares) / _MIB, 1), "resident_mib": round(sum(resident) / _MIB, 1)}

    async def _settings(self, arguments: Mapping[str, Any]) -> Any:
        self.plane.minute_seconds = float(arguments["minute_seconds"])
        return {"minute_seconds": self.plane.minute_seconds}

    async def _release(self, _: Mapping[str, Any]) -> Any:
        self.plane.holds_tasks = False
        return {}

    async def _stop(self, _: Mapping[str, Any]) -> Any:
        self._stopping.set()
        return {}


async def _kept(part: Part) -> None:
    """Run a part, and again where it breaks: the others go on meanwhile."""
    while True:
        try:
            await part.run()
        except Exception:  # noqa: BLE001 - whatever broke one part must not end the others
            _log.exception("%s broke, and begins anew", part.name)
        await asyncio.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock.

    Raises:
        InputError: Another plane holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"a plane runs over {folder} already; stop it first: fleet local down") from error
        yield
    finally:
        os.close(lock)
