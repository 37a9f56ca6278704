"""What the parts of a plane share: its folder, its processes, its control, and the local AWS that they follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fleet.local.plane.control import Control
from fleet.local.plane.names import MINUTE_SECONDS
from fleet.local.plane.processes import Processes
from fleet.local.server import LocalAws, RunningServer

if TYPE_CHECKING:
    from fleet.account import Account
    from fleet.local.plane.tasks_part import Tasks


class Part(Protocol):
    """One kind of thing that a plane runs."""

    @property
    def name(self) -> str:
        """What `status` calls it."""

    async def run(self) -> None:
        """Follow what the local AWS wants until cancelled; what the part runs has ended when this returns."""

    def status(self) -> Any:
        """Return what there is, as plain data."""


@dataclass(kw_only=True)
class Plane:
    """The surroundings of a part."""

    folder: Path
    processes: Processes
    control: Control
    aws: LocalAws
    minute_seconds: float = MINUTE_SECONDS
    """How long a minute of metrics and alarms takes."""
    has_cache: bool = True
    """Whether a cache is run; without one the tasks are told of none."""
    holds_tasks: bool = False
    """Whether tasks wait until `release` is asked: where the nodes begin with empty disks, their streams are made first."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Values of variables that name places (NATS_SERVERS, CACHE_ENDPOINT), from those who run what is there."""
    address: str = ""
    """Where its control is, once it is served."""
    beat: dict[str, Any] = field(default_factory=dict)
    """What the parts have the local AWS told each time that the plane tells of itself."""
    signals: dict[str, Callable[[int], None]] = field(default_factory=dict)
    """How to send a signal to what is no task, by its name: the nodes and the cache."""
    tasks: Tasks | None = None
    """The part that runs tasks, for those who measure and ship what is theirs."""
    on_step: list[Callable[[], None]] = field(default_factory=list)
    """Called each time that the tasks have been looked at."""
    _seen: tuple[RunningServer, Account] | None = None

    async def account(self) -> Account | None:
        """Return the account of the local AWS, or none while that does not run."""
        server = await asyncio.to_thread(self.aws.running)
        if server is None:
            return None
        # Imported here, where the supervisor answers already: it takes longer than all the rest.
        from fleet.account import local_account  # noqa: PLC0415

        if self._seen is None or self._seen[0] != server:
            self._seen = server, local_account(server)
        return self._seen[1]
