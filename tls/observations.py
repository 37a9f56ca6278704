"""What the caller saw on the wire: who runs, which certificate each serves, which bundles each trusts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from tls.certificates import parse_time
from tls.errors import InputError
from tls.profiles import Profile

NODE_PROFILES = (Profile.SERVER, Profile.ROUTE)
_LONGEST_AGE = timedelta(minutes=15)
_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate as it was served or presented."""

    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Consumer:
    """One running process that uses certificates: a node, or one task of a client."""

    name: str
    """`node/NAME` or `client/NAME`."""
    serves: Mapping[Profile, Served] = field(default_factory=dict)
    trusts: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each bundle that it has loaded, by the bundle's file name."""
    peers: tuple[str, ...] | None = None
    """Of a node: the fingerprints that its live connections presented; None if nobody looked."""


@dataclass(frozen=True, slots=True)
class Observations:
    """Everything that was seen at one time."""

    taken_at: datetime
    consumers: tuple[Consumer, ...] = ()
    not_running: frozenset[str] = frozenset()
    """Who is known not to run; who is neither here nor seen has not been looked for."""

    def age_findings(self, since: datetime, now: datetime) -> Iterator[str]:
        """Yield why these are too old to decide on, or from the future."""
        if self.taken_at < since:
            yield f"the observations are of {self.taken_at}, before the phase began at {since}"
        if now - self.taken_at > _LONGEST_AGE:
            yield f"the observations are of {self.taken_at}, more than {_LONGEST_AGE} ago"
        if self.taken_at - now > _CLOCK_TOLERANCE:
            yield f"the observations are of {self.taken_at}, which has not come yet"

    def unseen(self, expected: Iterator[str]) -> Iterator[str]:
        """Yield who of those expected is neither seen nor known not to run."""
        known = self.not_running | {consumer.name for consumer in self.consumers}
        yield from (f"{name} was not looked at" for name in expected if name not in known)


class Observer(Protocol):
    """Looks at the wire."""

    def observe(self) -> Observations:
        """Return what is served and trusted now."""


def consumer_of(prefix: str) -> str:
    """Return who uses the certificate at a prefix of the store."""
    profile, name, _ = prefix.split("/")
    return f"client/{name}" if profile == Profile.CLIENT else f"node/{name}"


def observations_from_plain(plain: object, *, where: str) -> Observations:
    """Read observations from plain data, as a file holds them.

        taken_at: 2026-07-29T10:00:00Z
        not_running: [client/operator]
        consumers:
          - name: node/nats-1
            serves: {server: {fingerprint: …, not_after: …}, route: {…}}
            trusts: {client-ca.pem: SHA256, route-ca.pem: SHA256}
            peers: [FINGERPRINT]

    Raises:
        InputError: It is something else.
    """  # fmt: skip
    try:
        return _from_plain(plain)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{where} holds no observations: {type(error).__name__}: {error}") from error


def _from_plain(plain: Any) -> Observations:
    return Observations(
        taken_at=parse_time(str(plain["taken_at"])),
        consumers=tuple(_consumer(entry) for entry in plain.get("consumers", ())),
        not_running=frozenset(map(str, plain.get("not_running", ()))),
    )


def _consumer(plain: Any) -> Consumer:
    name = str(plain["name"])
    if name.partition("/")[0] not in {"node", "client"}:
        raise ValueError(f"{name!r} is neither node/NAME nor client/NAME")
    peers = plain.get("peers")
    return Consumer(
        name=name,
        serves={
            Profile(profile): Served(str(served["fingerprint"]), parse_time(str(served["not_after"])))
            for profile, served in plain.get("serves", {}).items()
        },
        trusts={str(file): str(checksum) for file, checksum in plain.get("trusts", {}).items()},
        peers=None if peers is None else tuple(map(str, peers)),
    )
