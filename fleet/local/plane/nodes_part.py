"""The part of a plane that runs the machines of the NATS cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import InputError
from fleet.local.plane.machines import Machines
from fleet.local.plane.places import Places
from fleet.local.plane.plane import Plane
from fleet.local.plane.routes import Routes

NAME = "nodes"
_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)


class NodesPart:
    """The machines that EC2 says there are, the ways between them, and Systems Manager's commands."""

    name = NAME

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._places = Places.of(plane.folder)
        self._routes = Routes(self._places)
        self._machines = Machines(self._places, plane, self._routes)
        self._rows: list[dict[str, Any]] = []
        plane.addresses["NATS_SERVERS"] = self._places.servers
        plane.beat["machines"] = {}
        places = {node: dataclasses.asdict(self._places.place(node)) for node in self._places.nodes}
        plane.beat.setdefault("function_variables", {})["NATS_PLACES"] = json.dumps(places)
        for name, handler in {
            "run-command": self._machines.run_command,
            "systemctl": self._machines.systemctl,
            "cut": self._cut,
            "mend": self._mend,
        }.items():
            plane.control.register(name, handler)
        for node in self._places.nodes:
            plane.signals[node] = functools.partial(self._machines.signal, node)

    async def run(self) -> None:
        """Follow EC2."""
        await self._routes.start()
        try:
            while True:
                try:
                    await self._machines.follow()
                except (BotoCoreError, ClientError) as error:
                    _log.warning("the local AWS does not say which machines there are: %s", error)
                self._plane.beat["machines"] = self._machines.online()
                self._rows = await self._machines.rows()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._machines.end()
            await self._routes.end()

    def status(self) -> Any:
        """Return what runs of it."""
        return {"servers": self._places.servers, "cut_off": sorted(self._routes.cut_off), "rows": self._rows}

    async def _cut(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Cut a node off from the others: `name`."""
        self._routes.cut([self._node(asked)])
        return {"cut_off": sorted(self._routes.cut_off)}

    async def _mend(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Let a node reach the others again: `name`."""
        self._routes.mend([self._node(asked)])
        return {"cut_off": sorted(self._routes.cut_off)}

    def _node(self, asked: Mapping[str, Any]) -> str:
        node = str(asked.get("name"))
        if node not in self._places.nodes:
            raise InputError(f"there is no node {node!r}; there are: {', '.join(self._places.nodes)}")
        return node
