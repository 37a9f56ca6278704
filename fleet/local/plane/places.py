"""Where the nodes and the cache stand on this machine: ports that are chosen once and kept while the plane's folder lives."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import names
from nats_platform.configuration import Place

HOST = "127.0.0.1"
NAME = "localhost"
"""The name in the certificates of what stands here."""
NOWHERE = f"{NAME}:1"
"""What a node tells the others of where it takes routes: nobody answers there, so that none goes past the forwarders."""

# Below the ports that connections of this machine are given: one of those could be in use when a node comes back.
_PORTS = range(20_000, 32_000)
_ATTEMPTS = 200
_CACHE_NODES = 2
_CACHE_PORTS = ("endpoint", *(f"node-{number}" for number in range(1, _CACHE_NODES + 1)))


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where a node listens."""

    client: int
    route: int
    monitor: int


@dataclass(frozen=True)
class Places:
    """All ports of one plane."""

    folder: Path
    nodes: Mapping[str, NodePorts]
    forwarders: Mapping[tuple[str, str], int]
    """Where a node reaches the routes of another, by both."""
    cache: Mapping[str, int]

    @classmethod
    def of(cls, folder: Path, nodes: Sequence[str] = names.NATS_NODES) -> Places:
        """Return those that were chosen before; chosen now where there are none."""
        record = folder / "machines.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return cls._read(folder, nodes, json.loads(record.read_text(encoding="utf-8")))
        pairs = [(here, there) for here in nodes for there in nodes]
        ports = iter(_free_ports(3 * len(nodes) + len(pairs) + len(_CACHE_PORTS)))
        places = cls(
            folder,
            {node: NodePorts(next(ports), next(ports), next(ports)) for node in nodes},
            {pair: next(ports) for pair in pairs},
            {name: next(ports) for name in _CACHE_PORTS},
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = record.with_suffix(".new")
        new.write_text(json.dumps(places._plain(), indent=1), encoding="utf-8")
        new.replace(record)
        return places

    def root(self, node: str) -> Path:
        """Return what is the root of a node's disk."""
        return self.folder / "machines" / node / "root"

    def place(self, node: str) -> Place:
        """Return where a node stands, as its configuration says it."""
        ports, root = self.nodes[node], self.root(node)
        return Place(
            address=HOST,
            client_port=ports.client,
            route_port=ports.route,
            monitor_port=ports.monitor,
            tls=f"{root}/etc/nats/tls/current",
            store=f"{root}/var/lib/nats/jetstream",
            pid_file=f"{root}/run/nats/nats.pid",
            routes={other: f"{NAME}:{self.forwarders[node, other]}" for other in self.nodes},
            advertised_route=NOWHERE,
        )

    @property
    def servers(self) -> str:
        """What clients connect to."""
        return ",".join(f"tls://{NAME}:{ports.client}" for ports in self.nodes.values())

    @property
    def cache_endpoint(self) -> str:
        """Where the cache answers, whichever node leads."""
        return f"{NAME}:{self.cache['endpoint']}"

    def _plain(self) -> dict[str, Any]:
        return {
            "nodes": {
                node: {"client": ports.client, "route": ports.route, "monitor": ports.monitor}
                for node, ports in self.nodes.items()
            },
            "forwarders": {f"{here} {there}": port for (here, there), port in self.forwarders.items()},
            "cache": dict(self.cache),
        }

    @classmethod
    def _read(cls, folder: Path, nodes: Sequence[str], plain: Mapping[str, Any]) -> Places:
        return cls(
            folder,
            {node: NodePorts(**plain["nodes"][node]) for node in nodes},
            {(here, there): int(plain["forwarders"][f"{here} {there}"]) for here in nodes for there in nodes},
            {name: int(plain["cache"][name]) for name in _CACHE_PORTS},
        )


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all held until all are found."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_PORTS, min(len(_PORTS), count * _ATTEMPTS)):
            if len(found) == count:
                break
            one = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind((HOST, port))
                found.append(port)
        if len(found) < count:
            raise OSError(f"{count} ports of {HOST} are not free between {_PORTS.start} and {_PORTS.stop}")
        return found
