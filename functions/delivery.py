"""Delivers certificates to the NATS nodes: one command of Systems Manager a node, and the next only when the last has ended well."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nats_platform.commander import Commander
from tls import BUNDLES, Delivered, Delivery, FileReference, Profile, Release, leaf_prefix

NODE_SECONDS = 80  # until it has ended: what the document itself allows, and a little
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SsmDelivery(Delivery):
    """Has each running node fetch a release and prove it; a node that has it already says so and changes nothing."""

    document: str
    """Name of the document that the nodes run."""
    environment: str
    commander: Commander

    def deliver(self, release: Release) -> Sequence[Delivered]:
        """Deliver to one node after the other, and stop at the first that fails: the others keep what they serve."""
        return list(self._deliver(release))

    def _deliver(self, release: Release) -> Iterator[Delivered]:
        machines = self.commander.machines(self.environment)
        if not machines:
            _log.info("no NATS machine runs yet: there is nobody to deliver to")
        for node, machine in machines.items():
            outcome = self._deliver_to(node, machine, release)
            yield outcome
            if not outcome.succeeded:
                return

    def _deliver_to(self, node: str, machine: str, release: Release) -> Delivered:
        try:
            parameter = delivery_parameter(release, node)
        except KeyError as error:
            return Delivered(node, succeeded=False, detail=f"{machine}: no certificate is at {error}")
        outcome = self.commander.run(self.document, machine, {"Delivery": [parameter]}, at_most_seconds=NODE_SECONDS)
        return Delivered(node, succeeded=outcome.succeeded, detail=f"{machine}: {outcome.detail}")


def delivery_parameter(release: Release, node: str) -> str:
    """Return what the document's script takes: where each file of a node is, by version and checksum, as base64 of JSON.

    Raises:
        KeyError: The release has no certificate for the node.
    """
    record = release.record
    files = {name: _plain(f"ca/certificates/{record.version}/{name}", record.files[name]) for name in BUNDLES.values()}
    for profile in (Profile.SERVER, Profile.ROUTE):
        prefix = leaf_prefix(profile, node)
        pointer = release.pointers[prefix]
        files |= {
            f"{profile}-{name}": _plain(f"{prefix}{pointer.version}/{name}", reference)
            for name, reference in pointer.files.items()
        }
    text = json.dumps({"node": node, "files": files}, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(text.encode()).decode("ascii")


def _plain(key: str, reference: FileReference) -> dict[str, Any]:
    return {"key": key, "version_id": reference.version_id, "sha256": reference.sha256}
