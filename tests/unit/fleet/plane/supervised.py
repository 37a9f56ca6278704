"""A supervisor with one part, which runs one program: stands for `python -m fleet.local.plane` in tests of its process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[4]))

from fleet.errors import FleetError, InputError
from fleet.local.plane.plane import Plane
from fleet.local.plane.processes import Process
from fleet.local.plane.supervisor import Supervisor
from fleet.local.server import LocalAws
from tests.unit.fleet.plane.programs import SLEEPS, spec


class Sleepers:
    """One program that sleeps; another one when it ends."""

    name = "sleepers"

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._process: Process | None = None
        plane.control.register("refuse", self._refuse)

    async def run(self) -> None:
        self._process = await self._plane.processes.start(spec(self._plane.folder, SLEEPS, name="sleeper"))
        await self._process.exited

    def status(self) -> Any:
        return [self._process.name] if self._process else []

    async def _refuse(self, _: Mapping[str, Any]) -> Any:
        raise InputError("not so")


async def supervise(folder: Path, minute_seconds: float) -> None:
    await Supervisor(folder, LocalAws(folder), [Sleepers], minute_seconds=minute_seconds).run()


if __name__ == "__main__":
    if sys.argv[1] == "dies":
        sys.stderr.write("no such luck\n")
        sys.exit(3)
    try:
        asyncio.run(supervise(Path(sys.argv[-1]), float(sys.argv[sys.argv.index("--minute-seconds") + 1])))
    except FleetError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
