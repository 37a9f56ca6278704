"""The configuration of a NATS node: one pure function of what is asked, who may do what, and where the node stands.

Source: NATS documentation, "Server configuration"; what the server checks and what it lets pass was tried against 2.15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nats_platform.permissions import User
from nats_platform.request import ClusterRequest

MEMORY_STORE_BYTES = 64 * 2**20
"""Nothing of ours is kept in memory; a stream that somebody makes there by hand must not take the machine with it."""
HANDSHAKE_SECONDS = 5
LAME_DUCK_GRACE_SECONDS = 10
LAME_DUCK_SECONDS = 30
"""Within which clients are sent away; the server takes no less."""


@dataclass(frozen=True)
class Place:
    """Where a node stands: production's places, unless somebody runs several on one machine."""

    address: str = "0.0.0.0"  # noqa: S104 (the security groups say who gets there)
    client_port: int = 4222
    route_port: int = 6222
    monitor_port: int = 8222
    tls: str = "/etc/nats/tls/current"
    store: str = "/var/lib/nats/jetstream"
    pid_file: str = "/run/nats/nats.pid"
    routes: Mapping[str, str] = field(default_factory=dict)
    """`host:port` of nodes that are not at their own names, for several on one machine."""
    advertised_route: str = ""
    """`host:port` that the others are told of by those that know the node, where it is not simply its route port."""


def render(request: ClusterRequest, users: Sequence[User], node: str, place: Place | None = None) -> str:
    """Return the configuration of one node; the same input gives the same bytes.

    Args:
        request: What the cluster is asked to be.
        users: Who may connect, and what each may do: what is asked for, and what is still in use.
        node: Which of the request's nodes.
        place: Where the node stands.

    Raises:
        ValueError: The request has no such node, or two users are one.
    """
    place = place or Place()
    if node not in {each.name for each in request.nodes}:
        raise ValueError(f"the cluster has no node {node!r}")
    if len({user.identity for user in users}) != len(users):
        raise ValueError("two users have one identity")
    accounts = {account: _account(users, account) for account in ("APP", "SYS")}
    settings: dict[str, Any] = {
        "server_name": node,
        "listen": f"{place.address}:{place.client_port}",
        # Whoever reaches it needs no certificate, so it is for the machine itself alone.
        "http": f"127.0.0.1:{place.monitor_port}",
        "pid_file": place.pid_file,
        "server_tags": [f"az:{_zone(request, node)}"],
        "max_payload": request.limits.max_payload_bytes,
        "max_connections": request.limits.max_connections,
        "max_control_line": 4096,
        "write_deadline": "10s",
        "ping_interval": "20s",
        "ping_max": 3,
        "lame_duck_grace_period": f"{LAME_DUCK_GRACE_SECONDS}s",
        "lame_duck_duration": f"{LAME_DUCK_SECONDS}s",
        "tls": {
            **_pair(place, "server", "client-ca.pem"),
            "verify_and_map": True,
            "handshake_first": "auto",
        },
        "cluster": {
            "name": request.environment,
            "listen": f"{place.address}:{place.route_port}",
            "pool_size": 3,
            # Clients know the three names; addresses in their stead would be in no certificate.
            "no_advertise": True,
            **({"advertise": place.advertised_route} if place.advertised_route else {}),
            "tls": {
                **_pair(place, "route", "route-ca.pem"),
                "verify_cert_and_check_known_urls": True,
            },
            "routes": [f"tls://{_route(request, place, each.name)}" for each in request.nodes],
        },
        "jetstream": {
            "store_dir": place.store,
            "max_memory_store": MEMORY_STORE_BYTES,
            "max_file_store": request.limits.store_bytes,
            **({"sync_interval": "always"} if request.limits.sync_always else {}),
            **({"unique_tag": "az:"} if _zones_differ(request) else {}),
        },
        "accounts": accounts,
        "system_account": "SYS",
    }
    return f"# Written by the deployment; a change by hand is lost with the next one.\n{_block(settings, '')}"


def _pair(place: Place, profile: str, authorities: str) -> dict[str, Any]:
    return {
        "cert_file": f"{place.tls}/{profile}-chain.pem",
        "key_file": f"{place.tls}/{profile}-key.pem",
        "ca_file": f"{place.tls}/{authorities}",
        "timeout": HANDSHAKE_SECONDS,
        "min_version": "1.3",
    }


def _account(users: Sequence[User], account: str) -> dict[str, Any]:
    of_account = [_user(user) for user in users if user.account == account]
    return {**({"jetstream": "enabled"} if account == "APP" else {}), "users": of_account}


def _user(user: User) -> dict[str, Any]:
    permissions: dict[str, Any] = {"publish": _allowed(user.publish), "subscribe": _allowed(user.subscribe)}
    if user.reply_seconds:
        permissions["allow_responses"] = {"max": 1, "expires": f"{user.reply_seconds}s"}
    return {"user": user.identity, "permissions": permissions}


def _allowed(subjects: Sequence[str]) -> dict[str, Any]:
    # An empty list of what is allowed would allow all.
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _zone(request: ClusterRequest, node: str) -> str:
    return next(each.zone for each in request.nodes if each.name == node)


def _zones_differ(request: ClusterRequest) -> bool:
    return len({node.zone for node in request.nodes}) == len(request.nodes)


def _route(request: ClusterRequest, place: Place, node: str) -> str:
    return place.routes.get(node, f"{request.host(node)}:{place.route_port}")


def _block(settings: Mapping[str, Any], indent: str) -> str:
    return "".join(f"{indent}{key}: {_value(value, indent)}\n" for key, value in settings.items())


def _value(value: Any, indent: str) -> str:
    inner = f"{indent}  "
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case dict():
            return f"{{\n{_block(value, inner)}{indent}}}"
        case list():
            return f"[\n{''.join(f'{inner}{_value(item, inner)}{chr(10)}' for item in value)}{indent}]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a text in quotes, in which nothing is a variable; nothing of ours has a character that would end them."""
    if any(character in text for character in '"\\\n'):
        raise ValueError(f"{text!r} cannot stand in a configuration")
    return f'"{text}"'
