"""What is asked of a cluster, as plain data: whoever renders needs nothing else, in a function as on a desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Contract = Mapping[str, Any]
"""What a service may do, as its container is told it, or the leaner one of `catalog.cluster`: `serves`, `calls`, `publishes` and so on.

Of `serves` the timeouts count, of `consumers` the streams, and of the rest the names; a key that is missing means none."""


@dataclass(frozen=True)
class NodeRequest:
    """One node: its name and the zone that it stands in."""

    name: str
    zone: str


@dataclass(frozen=True)
class Limits:
    """What a node allows."""

    store_bytes: int
    max_payload_bytes: int
    max_connections: int
    sync_always: bool


@dataclass(frozen=True)
class ClusterRequest:
    """A cluster: nodes, limits, what each service may do, and what JetStream keeps."""

    environment: str
    node_domain: str
    client_domain: str
    nodes: tuple[NodeRequest, ...]
    limits: Limits
    services: Mapping[str, Contract]
    streams: Mapping[str, Mapping[str, Any]]
    consumers: Mapping[str, Mapping[str, Any]]
    buckets: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ClusterRequest:
        """Read it from plain data, as `catalog.cluster.cluster_request` writes it.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls(
                **{
                    **plain,
                    "nodes": tuple(NodeRequest(**node) for node in plain["nodes"]),
                    "limits": Limits(**plain["limits"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no request for a cluster: {type(error).__name__}: {error}") from error

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"nodes": [asdict(node) for node in self.nodes]}

    def identity(self, name: str) -> str:
        """Return the one name in a client's certificate, which is its user too."""
        return f"{name}.{self.client_domain}"

    def host(self, node: str) -> str:
        """Return a node's name in the network."""
        return f"{node}.{self.node_domain}"
