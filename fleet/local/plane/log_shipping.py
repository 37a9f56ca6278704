"""What tasks print, brought to the log group that their definitions name: as the awslogs driver does it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.account import Account
from fleet.chunks import chunks
from fleet.local.plane.plane import Plane
from fleet.local.plane.task import RunningTask

_LOOK_SECONDS = 1.0
_MOST_LINES = 1000
_MOST_BYTES = 512 * 1024
_LONGEST_LINE_BYTES = 200 * 1024
_FULL_BYTES = 8 * 2**20
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Shipment:
    """How far the log of one task has been shipped."""

    path: Path
    group: str
    stream: str
    offset: int = 0
    rest: bytes = field(default=b"", repr=False)
    has_stream: bool = False
    is_closed: bool = False
    """Whether its group is not there, so that nothing of it can be shipped."""

    def read(self, *, is_last: bool) -> list[str]:
        """Return the lines that are new; the last one too where it does not end and nothing more will come."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = self.rest + file.read(_MOST_BYTES)
                self.offset = file.tell()
        except OSError:
            return []
        *whole, self.rest = content.split(b"\n")
        if self.rest and (is_last or len(self.rest) > _LONGEST_LINE_BYTES):
            whole.append(self.rest)
            self.rest = b""
        return [line[:_LONGEST_LINE_BYTES].decode(errors="replace") for line in whole if line.strip()]

    def make_room(self) -> None:
        """Empty a file that has become long, once all of it was shipped: it is appended to, so nothing is torn."""
        if self.offset > _FULL_BYTES and self.path.stat().st_size == self.offset:
            os.truncate(self.path, 0)
            self.offset = 0


class Logs:
    """The part that ships logs.

    Args:
        plane: What the parts share.
    """

    name = "logs"

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._shipments: dict[str, Shipment] = {}
        self._lines = 0

    async def run(self) -> None:
        """Ship what is new, again and again."""
        while True:
            account = await self._plane.account()
            if account is not None and self._plane.tasks is not None:
                await asyncio.to_thread(self.ship, account, list(self._plane.tasks.known_tasks()))
            await asyncio.sleep(_LOOK_SECONDS)

    def status(self) -> Any:
        """Return how much was shipped."""
        return {"shipped_lines": self._lines}

    def ship(self, account: Account, tasks: list[RunningTask]) -> None:
        """Ship what tasks have printed since the last time."""
        for task in tasks:
            shipment = self._shipment(task)
            if shipment is None or shipment.is_closed:
                continue
            before = shipment.offset, shipment.rest
            try:
                self._lines += _ship(account, shipment, is_last=task.ended is not None)
            except account.logs.exceptions.ResourceNotFoundException:
                shipment.is_closed = True
                _log.warning("there is no log group %s for %s", shipment.group, task.service)
            except (BotoCoreError, ClientError) as error:
                # Once more, then: better twice than never.
                shipment.offset, shipment.rest = before
                _log.warning("logs of %s were not taken: %s", task.service, error)
        known = {task.id for task in tasks}
        self._shipments = {name: shipment for name, shipment in self._shipments.items() if name in known}

    def _shipment(self, task: RunningTask) -> Shipment | None:
        definition = task.definition
        if definition.log_group is None:
            return None
        if task.id not in self._shipments:
            stream = f"{definition.log_prefix}/{definition.container}/{task.id}"
            self._shipments[task.id] = Shipment(task.log, definition.log_group, stream)
        return self._shipments[task.id]


def _ship(account: Account, shipment: Shipment, *, is_last: bool) -> int:
    """Ship the new lines of one task, and return how many there were."""
    count = 0
    for lines in _pieces(shipment, is_last=is_last):
        if not shipment.has_stream:
            with contextlib.suppress(account.logs.exceptions.ResourceAlreadyExistsException):
                account.logs.create_log_stream(logGroupName=shipment.group, logStreamName=shipment.stream)
            shipment.has_stream = True
        now = round(time.time() * 1000)
        account.logs.put_log_events(
            logGroupName=shipment.group,
            logStreamName=shipment.stream,
            logEvents=[{"timestamp": now, "message": line} for line in lines],
        )
        count += len(lines)
    return count


def _pieces(shipment: Shipment, *, is_last: bool) -> Iterator[list[str]]:
    while lines := shipment.read(is_last=is_last):
        yield from chunks(lines, _MOST_LINES)
    if shipment.path.exists():
        shipment.make_room()
