"""Ports of tasks: chosen once and used again, so that a service does not wander over all ports in the course of a day."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

from fleet.local.plane.definition import HOST
from fleet.local.recorded import write_private


class PortBook:
    """The ports that each service has had, and which of them are in use.

    Args:
        path: File that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[int]] = {}
        self._taken: set[int] = set()
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(path.read_text(encoding="utf-8"))

    def take(self, service: str, variable: str) -> int:
        """Return a port for a new task: one that the service has had, if one of these is free."""
        known = self._known.setdefault(f"{service} {variable}", [])
        for port in known:
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        port = self._new()
        known.append(port)
        self._taken.add(port)
        write_private(self._path, json.dumps(self._known))
        return port

    def give_back(self, port: int) -> None:
        """Let another task have a port."""
        self._taken.discard(port)

    def _new(self) -> int:
        others = {port for ports in self._known.values() for port in ports}
        while True:
            with socket.create_server((HOST, 0)) as listener:
                port = int(listener.getsockname()[1])
            if port not in others:
                return port


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False
