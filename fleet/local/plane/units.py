"""What stands on a local machine for systemd: it runs the units that the agent has written, as they say it.

Of a unit it takes what it can do without being root: what is started, in which environment, that it is started again, how it is
stopped and how long that may take. Users, sandboxes and limits are the real machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.local.plane.plane import Plane
from fleet.local.plane.processes import Process, Spec

_log = logging.getLogger(__name__)
_FAILED = 1
_UNKNOWN = 5
_KILL_SECONDS = 10.0
_STOP = re.compile(r"/bin/kill -s (\w+) \$MAINPID")


class Units:
    """The units of one machine.

    Args:
        node: Whose they are, for the names of their processes.
        root: The root of the machine's disk.
        environment: What every process of the machine has in its environment.
        plane: What starts them, and says how long a minute lasts.
    """

    def __init__(self, node: str, root: Path, environment: Mapping[str, str], plane: Plane) -> None:
        self._node = node
        self._root = root
        self._environment = environment
        self._plane = plane
        self._services: dict[str, _Service] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}

    @property
    def server(self) -> Process | None:
        """The process of the NATS server, while it runs."""
        service = self._services.get("nats-server.service")
        return service.process if service else None

    @property
    def restarts(self) -> int:
        """How often a service was started again since the machine started."""
        return sum(service.restarts for service in self._services.values())

    async def systemctl(self, words: Sequence[str]) -> tuple[int, str]:
        """Do what systemctl was asked; return its exit code and what it says."""
        flags, names = [word for word in words if word.startswith("-")], [word for word in words if word[:1] != "-"]
        match names:
            case ["daemon-reload"]:
                return 0, ""
            case ["enable", name]:
                if "--now" not in flags:
                    return 0, ""
                return await self._start(name)
            case ["start", name]:
                return await self._start(name)
            case ["stop", name]:
                return await self._stop(name)
        return _FAILED, f"systemctl {' '.join(words)}: nothing that a local machine needs"

    async def end(self, grace_seconds: float) -> None:
        """End everything, as a machine does whose power is switched off after a warning."""
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*self._timers.values(), return_exceptions=True)
        await asyncio.gather(*(service.end(grace_seconds) for service in self._services.values()))

    async def _start(self, name: str) -> tuple[int, str]:
        unit = self._unit(name)
        if unit is None:
            return _UNKNOWN, f"Failed to start {name}: Unit {name} not found."
        if name.endswith(".timer"):
            if name not in self._timers or self._timers[name].done():
                beat = self._each_minute(name.replace(".timer", ".service"))
                self._timers[name] = asyncio.create_task(beat, name=f"{name} of {self._node}")
            return 0, ""
        if not (self._root / "var/lib/nats").exists():
            return 0, ""  # its condition is not met, which is no failure
        if name not in self._services:
            self._services[name] = _Service(self, name)
        return await self._services[name].start()

    async def _stop(self, name: str) -> tuple[int, str]:
        service = self._services.get(name)
        return await service.stop() if service else (0, "")

    def _unit(self, name: str) -> dict[str, str] | None:
        """Return what a unit says; of what it says twice, the first."""
        try:
            text = (self._root / "etc/systemd/system" / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        told: dict[str, str] = {}
        for line in text.splitlines():
            key, is_told, value = line.partition("=")
            if is_told and not line.startswith("#"):
                told.setdefault(key, value)
        return told

    async def _each_minute(self, name: str) -> None:
        while True:
            await asyncio.sleep(until_mid_minute(time.time(), self._plane.minute_seconds))
            unit = self._unit(name)
            if unit is None:
                continue
            try:
                process = await self._run(name, unit)
            except OSError as error:
                _log.warning("%s of %s: %s", name, self._node, error)
                continue
            try:
                async with asyncio.timeout(float(unit["TimeoutStartSec"])):
                    await process.exited
            except TimeoutError:
                _log.warning("%s of %s did not end in time", name, self._node)
            finally:
                await process.end(0)

    async def _run(self, name: str, unit: Mapping[str, str]) -> Process:
        environment = dict(self._environment)
        if assigned := unit.get("Environment"):
            key, _, value = assigned.partition("=")
            environment[key] = value
        if file := unit.get("EnvironmentFile"):
            environment |= variables_of(_text(Path(file)))
        # The root may have spaces in its name, which no real one has.
        words = unit["ExecStart"].replace(str(self._root), "\0").split()
        program, *arguments = (word.replace("\0", str(self._root)) for word in words)
        # The machine's own Python is the one that all of this runs on.
        program = sys.executable if Path(program).name == "python3" else program
        spec = Spec(
            name=f"{self._node} {name}",
            argv=[program, *arguments],
            env=environment,
            cwd=Path(unit.get("WorkingDirectory", str(self._root))),
            log=self._root / "var/log" / f"{name.rpartition('.')[0]}.log",
        )
        return await self._plane.processes.start(spec)


class _Service:
    """One service, which is started again whatever ended it, until somebody stops it."""

    def __init__(self, units: Units, name: str) -> None:
        self._units = units
        self._name = name
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._lock = asyncio.Lock()
        self.process: Process | None = None
        self.restarts = 0

    async def start(self) -> tuple[int, str]:
        async with self._lock:
            if self._keeper and not self._keeper.done():
                return 0, ""
            unit = self._units._unit(self._name)  # noqa: SLF001 - the two are one
            assert unit is not None  # noqa: S101 - whoever starts it has looked
            (self._units._root / "run/nats").mkdir(mode=0o755, parents=True, exist_ok=True)  # noqa: SLF001
            try:
                self.process = await self._units._run(self._name, unit)  # noqa: SLF001
            except OSError as error:
                return _FAILED, f"{self._name}: {error}"
            self._stopping.clear()
            self._keeper = asyncio.create_task(self._keep(unit), name=f"keep {self._name}")
            return 0, ""

    async def stop(self) -> tuple[int, str]:
        """Stop it as its unit says: here by lame duck."""
        async with self._lock:
            await self._let_go()
            if (process := self.process) is None:
                return 0, ""
            unit = self._units._unit(self._name) or {}  # noqa: SLF001
            found = _STOP.fullmatch(unit.get("ExecStop", ""))
            process.signal(getattr(signal, f"SIG{found[1]}") if found else signal.SIGTERM)
            try:
                async with asyncio.timeout(float(unit.get("TimeoutStopSec", "90"))):
                    await process.exited
            except TimeoutError:
                await process.end(_KILL_SECONDS)
            self.process = None
            return 0, ""

    async def end(self, grace_seconds: float) -> None:
        async with self._lock:
            await self._let_go()
            if self.process:
                await self.process.end(grace_seconds)
                self.process = None

    async def _let_go(self) -> None:
        """Have nobody start it again; not by a cancellation, which could lose a process that is being started."""
        self._stopping.set()
        if self._keeper:
            await self._keeper

    async def _keep(self, unit: Mapping[str, str]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while self.process:
                ended = asyncio.ensure_future(self.process.exited)
                await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    return
                self.process = None
                if unit.get("Restart") != "always":
                    return
                while self.process is None:
                    await asyncio.wait([stopping], timeout=float(unit.get("RestartSec", "0.1")))
                    if stopping.done():
                        return
                    with contextlib.suppress(OSError):
                        self.process = await self._units._run(self._name, unit)  # noqa: SLF001
                self.restarts += 1
        finally:
            stopping.cancel()


def until_mid_minute(now: float, minute_seconds: float) -> float:
    """Return how long it is until the middle of the next minute of the wall clock that is still to come.

    By the clock, as systemd's timers are, so that each minute has one run however long that takes; and in its middle, so that one
    that is late is still of its minute.
    """
    middles_gone = math.floor(now / minute_seconds - 0.5)
    return (middles_gone + 1.5) * minute_seconds - now


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def variables_of(text: str) -> dict[str, str]:
    """Read lines of `NAME=VALUE`, with quotes around a value or without."""
    lines = [line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value.strip("'\"") for name, _, value in lines}
