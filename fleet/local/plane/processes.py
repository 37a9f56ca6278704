"""Processes that end with the plane, or are found and ended when it could not end them itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "FLEET_PLANE"
"""Variable that every process of a plane carries, with the plane's folder: a plane that was killed leaves them findable."""

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_MIB = 1024 * 1024
_LOOK_SECONDS = 1.0
_REAP_SECONDS = 10.0
_REAP_LOOK_SECONDS = 0.02
_SIGNALLED = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What is to be started."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    """Its whole environment, but for the mark."""
    cwd: Path
    log: Path
    """Takes what it prints, after what is there already."""
    memory_mib: int | None = None
    """Resident memory at which it is killed, as the kernel does it with a container."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended."""

    code: int
    """As a container has it: 128 and the number of the signal that ended it."""
    reason: str | None = None


class Process:
    """A process that was started; made by `Processes.start`."""

    def __init__(self, spec: Spec, child: asyncio.subprocess.Process) -> None:
        self.name = spec.name
        self.pid = child.pid
        self.started_at = time.time()
        self._child = child
        self._reason: str | None = None
        self._statistics = _statistics(child.pid)
        self._ended = asyncio.create_task(self._wait(), name=f"wait for {spec.name}")
        self._watch: asyncio.Task[None] | None = None
        if spec.memory_mib is not None:
            self._watch = asyncio.create_task(self._watch_memory(spec.memory_mib), name=f"memory of {spec.name}")

    @property
    def exited(self) -> Awaitable[Exit]:
        """Its end, to be awaited by as many as like."""
        return asyncio.shield(self._ended)

    @property
    def has_exited(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    def memory_bytes(self) -> int:
        """Return its resident memory; 0 once it has ended."""
        with contextlib.suppress(psutil.Error):
            return int(self._statistics.memory_info().rss) if self._statistics else 0
        return 0

    def own_memory_bytes(self) -> int:
        """Return its share of memory (see `shared_memory_bytes`); 0 once it has ended."""
        return shared_memory_bytes(self._statistics) if self._statistics else 0

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used; 0 once it has ended."""
        with contextlib.suppress(psutil.Error):
            if self._statistics:
                times = self._statistics.cpu_times()
                return float(times.user + times.system)
        return 0.0

    def signal(self, number: int) -> None:
        """Send it and what it started a signal; one that has ended gets none."""
        if not self.has_exited:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def end(self, grace_seconds: float) -> Exit:
        """End it: asked first, killed with all that it started when the grace is over."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # one that was stopped hears nothing else
        try:
            async with asyncio.timeout(grace_seconds):
                return await self.exited
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.exited

    async def _wait(self) -> Exit:
        code = await self._child.wait()
        # What it started and left behind goes with it, as in a container.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._watch is not None:
            self._watch.cancel()
        return Exit(code if code >= 0 else _SIGNALLED - code, self._reason)

    async def _watch_memory(self, limit_mib: int) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.memory_bytes() > limit_mib * _MIB:
                self._reason = OUT_OF_MEMORY
                self.signal(signal.SIGKILL)
                return


class Processes:
    """The processes of one plane.

    Args:
        folder: The plane's folder, by which its processes are known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[int, Process] = {}

    async def start(self, spec: Spec) -> Process:
        """Start a process, in a session of its own.

        Raises:
            OSError: It cannot be started.
        """
        spec.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            child = await asyncio.create_subprocess_exec(
                *spec.argv,
                cwd=spec.cwd,
                env={**spec.env, MARK: str(self._folder)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        process = Process(spec, child)
        self._running[process.pid] = process
        process._ended.add_done_callback(lambda _: self._running.pop(process.pid, None))  # noqa: SLF001 - made here
        return process

    @property
    def running(self) -> list[Process]:
        """Those that have not ended."""
        return list(self._running.values())

    async def end_all(self, grace_seconds: float) -> None:
        """End every process."""
        await asyncio.gather(*(process.end(grace_seconds) for process in self.running))


def shared_memory_bytes(process: psutil.Process) -> int:
    """Return a process's share of memory: each shared page is divided by those that share it; resident where that is not told."""
    with contextlib.suppress(psutil.Error):
        told = process.memory_full_info()
        return int(getattr(told, "pss", told.rss))
    return 0


def _statistics(pid: int) -> psutil.Process | None:
    """Return what measures a process; nothing where it has ended already."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def marked(folder: Path) -> list[psutil.Process]:
    """Return the processes that a plane over a folder has started, and those that they have started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def end_marked(folder: Path) -> int:
    """Kill what a plane over a folder has left behind, and tell how many there were.

    Raises:
        TimeoutError: Some would not end.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + _REAP_SECONDS
    while found := marked(folder):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {folder} do not end: {', '.join(str(process.pid) for process in found)}")
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        ended |= {process.pid for process in found}
        time.sleep(_REAP_LOOK_SECONDS)
    return len(ended)
