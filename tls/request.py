"""What is asked for: the identities of one environment, as plain data that the caller derives from what it knows.

environment: prod
organization: gaming-system
client_domain: svc.gaming-system.internal     # a service's identity is NAME.CLIENT_DOMAIN
node_domain: nats.gaming-system.internal
nodes:
  - name: nats-1                              # server_names and route_names default to [NAME.NODE_DOMAIN]
services: [auth-nats, payment-nats]
shared_node_names: [localhost]                # names that every node has besides its own; the default is none
identities: [operator, provisioner]           # clients that are no service
key_type: p256                                # the default
lifetimes: {leaf_days: 30}                    # the defaults are in tls/profiles.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from tls.errors import RequestError
from tls.keys import KeyType
from tls.names import is_within
from tls.profiles import Lifetimes, Profile
from tls.request_faults import Fault, faults_of


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate that is asked for."""

    profile: Profile
    name: str
    dns_names: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """Where it lies in the store."""
        return leaf_prefix(self.profile, self.name)


def leaf_prefix(profile: Profile, name: str) -> str:
    """Return where a leaf lies in the store."""
    return f"{profile}/{name}/"


@dataclass(frozen=True, slots=True)
class Node:
    """A NATS node, which has a certificate for its clients and another one for its routes."""

    name: str
    server_names: tuple[str, ...]
    route_names: tuple[str, ...]


@dataclass(frozen=True)
class CertificateRequest:
    """Every identity of one environment, free of faults: made by `from_plain` only."""

    environment: str
    organization: str
    client_domain: str
    node_domain: str
    nodes: tuple[Node, ...]
    services: tuple[str, ...]
    identities: tuple[str, ...]
    shared_node_names: tuple[str, ...] = ()
    key_type: KeyType = KeyType.P256
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    @classmethod
    def from_plain(cls, plain: object, *, where: str = "the request") -> CertificateRequest:
        """Read a request from plain data.

        Args:
            plain: A mapping as in this module's docstring.
            where: What the error calls it.

        Raises:
            RequestError: It has faults; the error tells all of them.
        """
        faults = faults_of(plain)
        if faults or not isinstance(plain, Mapping):
            raise RequestError(f"{where} has faults", [str(fault) for fault in faults])
        return cls(
            environment=plain["environment"],
            organization=plain["organization"],
            client_domain=plain["client_domain"],
            node_domain=plain["node_domain"],
            nodes=tuple(_node(node, plain["node_domain"]) for node in plain["nodes"]),
            services=tuple(plain["services"]),
            identities=tuple(plain.get("identities", ())),
            shared_node_names=tuple(plain.get("shared_node_names", ())),
            key_type=KeyType(plain.get("key_type", KeyType.P256)),
            lifetimes=Lifetimes(**plain.get("lifetimes", {})),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the request as `from_plain` reads it."""
        plain = asdict(self)
        plain["nodes"] = [
            {"name": node.name, "server_names": list(node.server_names), "route_names": list(node.route_names)}
            for node in self.nodes
        ]
        plain |= {key: list(plain[key]) for key in ("services", "identities", "shared_node_names")}
        plain["key_type"] = str(self.key_type)
        return plain

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every certificate that is asked for, servers first and clients last: the order in which they are changed."""
        return (
            *(Leaf(Profile.SERVER, node.name, (*node.server_names, *self.shared_node_names)) for node in self.nodes),
            *(Leaf(Profile.ROUTE, node.name, (*node.route_names, *self.shared_node_names)) for node in self.nodes),
            *(
                Leaf(Profile.CLIENT, name, (f"{name}.{self.client_domain}",))
                for name in (*self.services, *self.identities)
            ),
        )

    def domains(self, profile: Profile) -> tuple[str, ...]:
        """Return the domains that the issuing authority of a profile may sign names of."""
        if profile is Profile.CLIENT:
            return (self.client_domain,)
        return (
            self.node_domain,
            *(name for name in self.shared_node_names if not is_within(name, self.node_domain)),
        )


def _node(plain: Mapping[str, Any], domain: str) -> Node:
    own_name = (f"{plain['name']}.{domain}",)
    return Node(plain["name"], tuple(plain.get("server_names", own_name)), tuple(plain.get("route_names", own_name)))


__all__ = ["CertificateRequest", "Fault", "Leaf", "Node", "leaf_prefix"]
