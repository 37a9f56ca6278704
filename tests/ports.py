"""Ports for the servers of tests."""

from __future__ import annotations

import secrets
import socket

_FIRST, _COUNT = 10_000, 22_000  # below those that systems give to outgoing connections


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on.

    A port that the system chose could be given to somebody's connection before a server listens there: on a machine with many
    connections that happens.
    """
    found: set[int] = set()
    while len(found) < count:
        port = _FIRST + secrets.randbelow(_COUNT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)
