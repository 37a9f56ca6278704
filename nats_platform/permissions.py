"""Who may do what on NATS: users derived from contracts, deny by default.

A service may answer its subjects, in the queue group that all share, ask those that it names, tell and hear its events, and use what
JetStream keeps for it. It may create nothing there: who creates a push consumer chooses where the server publishes, past every permission.

Source: NATS documentation, "Authorization" and "JetStream wire API"; ADR-8 (key-value), ADR-32 (services), ADR-31 (direct get).
"""  # fmt: skip

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nats_platform.request import ClusterRequest, Contract

QUEUE_GROUP = "q"
"""The one queue group of every service: while two serve a subject, as in a rename, each request is answered once."""
REPLY_MARGIN_SECONDS = 5
"""A reply may come so much later than the caller stops waiting, since it was asked before it was heard."""
_VERBS = ("PING", "INFO", "STATS")

Account = Literal["APP", "SYS"]


@dataclass(frozen=True)
class User:
    """One user: the name in its certificate, and what it may do."""

    identity: str
    account: Account
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reply_seconds: int = 0
    """How long after a request a reply may be sent to wherever the asker listens; 0 where it answers nobody."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> User:
        """Read a user from plain data, as `to_plain` writes it."""
        lists = {key: tuple(plain[key]) for key in ("publish", "subscribe")}
        return cls(plain["identity"], plain["account"], **lists, reply_seconds=plain["reply_seconds"])

    def to_plain(self) -> dict[str, Any]:
        """Return the user as plain data."""
        return {
            "identity": self.identity,
            "account": self.account,
            "publish": list(self.publish),
            "subscribe": list(self.subscribe),
            "reply_seconds": self.reply_seconds,
        }


def wanted_users(request: ClusterRequest) -> tuple[User, ...]:
    """Return the users that a cluster is asked to have: every service's, and the platform's own."""
    services = (service_user(request, name, contract) for name, contract in request.services.items())
    return _in_order((*services, *_platform_users(request)))


def service_user(request: ClusterRequest, name: str, contract: Contract) -> User:
    """Return a service's user.

    It may answer those who may ask it by name, too. What a message allows to be answered, a server forgets when it reloads, and
    each renewal of a node's certificate is a reload: whatever was under way then could not be answered any more.
    """
    served = contract.get("serves", {})
    longest = max((subject["timeout_seconds"] for subject in served.values()), default=0)
    return User(
        request.identity(name),
        "APP",
        publish=_sorted({*_published(contract), *_answered(request, served)}),
        subscribe=_sorted(_subscribed(name, contract)),
        # Anyone who may be asked for their state by `$SRV` answers.
        reply_seconds=int(longest) + REPLY_MARGIN_SECONDS,
    )


def merged(one: Iterable[User], other: Iterable[User]) -> tuple[User, ...]:
    """Return the users of both, each with what either of them may do: before a removal there are only additions."""
    users = {user.identity: user for user in one}
    for user in other:
        known = users.get(user.identity)
        users[user.identity] = user if known is None else _union(known, user)
    return _in_order(users.values())


def _union(one: User, other: User) -> User:
    return replace(
        other,
        publish=_sorted({*one.publish, *other.publish}),
        subscribe=_sorted({*one.subscribe, *other.subscribe}),
        reply_seconds=max(one.reply_seconds, other.reply_seconds),
    )


def inbox(name: str) -> str:
    """Return where a client hears replies; nobody else may listen there."""
    return f"_INBOX.{name}.>"


def _published(contract: Contract) -> Iterator[str]:
    yield from contract.get("calls", ())
    yield from contract.get("publishes", ())
    streams, buckets = contract.get("streams", ()), contract.get("buckets", ())
    consumers = contract.get("consumers", {})
    if streams or consumers or buckets:
        yield "$JS.API.INFO"
    for stream in (*streams, *(f"KV_{bucket}" for bucket in buckets)):
        yield f"$JS.API.STREAM.INFO.{stream}"
        yield f"$JS.API.STREAM.MSG.GET.{stream}"
        yield f"$JS.API.DIRECT.GET.{stream}"
        yield f"$JS.API.DIRECT.GET.{stream}.>"
    for bucket in buckets:
        yield f"$KV.{bucket}.>"
    for name, consumer in consumers.items():
        yield f"$JS.API.CONSUMER.INFO.{consumer['stream']}.{name}"
        yield f"$JS.API.CONSUMER.MSG.NEXT.{consumer['stream']}.{name}"
        yield f"$JS.ACK.{consumer['stream']}.{name}.>"


def _answered(request: ClusterRequest, served: Mapping[str, Any]) -> Iterator[str]:
    """Yield the inboxes of those who may ask for something of what is served."""
    for name, contract in request.services.items():
        if not served.keys().isdisjoint(contract.get("calls", ())):
            yield inbox(name)
    if any(subject["idempotent"] for subject in served.values()):
        yield inbox("loadtest")


def _subscribed(name: str, contract: Contract) -> Iterator[str]:
    yield inbox(name)
    yield from contract.get("subscribes", ())
    for subject in contract.get("serves", {}):
        yield f"{subject} {QUEUE_GROUP}"
    for verb in _VERBS:
        yield f"$SRV.{verb}"
        yield f"$SRV.{verb}.{name}"
        yield f"$SRV.{verb}.{name}.*"


def _platform_users(request: ClusterRequest) -> Iterator[User]:
    """Yield the identities that are no service.

    The operator governs the servers and sees no message; metrics only looks at them; the provisioner makes streams and sees no
    request; the load test asks what may be asked twice.
    """
    repeatable = [
        subject
        for contract in request.services.values()
        for subject, served in contract.get("serves", {}).items()
        if served["idempotent"]
    ]
    identity = request.identity
    yield User(identity("operator"), "SYS", publish=("$SYS.REQ.>",), subscribe=("$SYS.>", inbox("operator")))
    yield User(identity("metrics"), "SYS", publish=("$SYS.REQ.SERVER.PING.>",), subscribe=(inbox("metrics"),))
    yield User(
        identity("provisioner"),
        "APP",
        publish=("$JS.API.>", "$JS.SNAPSHOT.ACK.>", "$JS.SNAPSHOT.RESTORE.>"),
        subscribe=(inbox("provisioner"),),
    )
    yield User(
        identity("loadtest"),
        "APP",
        publish=_sorted({*repeatable, "bench.>", *(f"$SRV.{verb}{rest}" for verb in _VERBS for rest in ("", ".>"))}),
        subscribe=_sorted({"bench.>", inbox("loadtest")}),
        reply_seconds=REPLY_MARGIN_SECONDS,
    )


def _sorted(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))


def _in_order(users: Iterable[User]) -> tuple[User, ...]:
    return tuple(sorted(users, key=lambda user: user.identity))
