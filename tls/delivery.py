"""How a release gets onto the nodes: a protocol, since only the caller knows where the nodes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tls.authority_record import AuthorityRecord
from tls.pointer import Pointer


@dataclass(frozen=True)
class Release:
    """What holds now: which bundles, and which pair of each leaf, by version and checksum."""

    record: AuthorityRecord
    pointers: Mapping[str, Pointer]


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the delivery to one node ended."""

    node: str
    succeeded: bool
    detail: str = ""


class Delivery(Protocol):
    """Puts a release on the nodes, one node at a time, and leaves alone a node that has it already."""

    def deliver(self, release: Release) -> Sequence[Delivered]:
        """Deliver, and tell how it ended for each node; no node is no failure."""


class NoNodes(Delivery):
    """There are no nodes yet, or they fetch for themselves."""

    def deliver(self, release: Release) -> Sequence[Delivered]:
        """Do nothing, with success."""
        del release
        return ()
