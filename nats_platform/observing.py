"""Makes of what the nodes say the observations that the certificate authority decides on, as plain data.

Whoever did not answer is not in them, and so keeps every gate shut: what was not seen is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

BUNDLE_OF_CLIENTS = "server-ca.pem"


@dataclass(frozen=True, slots=True)
class Clients:
    """What is known of clients besides what the nodes see of them.

    Args:
        names: All who have a certificate.
        started: When the tasks of a client were started; nothing for one that has no task.
        expiry: When the certificate of a client with a fingerprint ends.
        bundle: The checksum of the bundle that clients are to trust, and since when it holds.
    """

    names: Iterable[str]
    started: Callable[[str], list[datetime]]
    expiry: Callable[[str, str], datetime | None]
    bundle: tuple[str, datetime]


def observations(
    statuses: Mapping[str, Mapping[str, Any]], nodes: Iterable[str], clients: Clients, taken_at: datetime
) -> dict[str, Any]:
    """Return the observations as `tls.observations_from_plain` reads them.

    Args:
        statuses: What each node that answered said to `status`.
        nodes: All nodes; whether a client is connected is known only if all have answered.
        clients: What is known of clients.
        taken_at: The time.
    """
    seen: dict[str, set[str]] = {}
    for status in statuses.values():
        for user, fingerprints in status.get("clients", {}).items():
            seen.setdefault(user.partition(".")[0], set()).update(fingerprints)
    all_answered = set(nodes) <= set(statuses)
    idle = [
        f"client/{name}" for name in clients.names if all_answered and name not in seen and not clients.started(name)
    ]
    return {
        "taken_at": taken_at.isoformat(),
        "consumers": [
            *(_node(node, status) for node, status in sorted(statuses.items())),
            *(_client(name, one, clients, taken_at) for name, all_of in sorted(seen.items()) for one in sorted(all_of)),
        ],
        "not_running": idle,
    }


def _node(node: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return one node; what it could not see of itself is not in it."""
    return {
        "name": f"node/{node}",
        "serves": {profile: served for profile, served in status.get("serves", {}).items() if "fingerprint" in served},
        "trusts": status.get("trusts", {}),
        "peers": status.get("peers"),
    }


def _client(name: str, fingerprint: str, clients: Clients, now: datetime) -> dict[str, Any]:
    """Return one client with one certificate; a task reads the bundle when it starts, so one from before trusts another."""
    checksum, since = clients.bundle
    started = clients.started(name)
    trusts = {BUNDLE_OF_CLIENTS: checksum} if started and min(started) > since else {}
    ends = clients.expiry(name, fingerprint) or now
    return {
        "name": f"client/{name}",
        "serves": {"client": {"fingerprint": fingerprint, "not_after": ends.isoformat()}},
        "trusts": trusts,
    }
