"""What the tests of `tls` share: a small request, a clock that they set, stores in memory that crash and interfere."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from tls import CertificateRequest, Issuer, Passphrase, Sources, Store, Stored, Write
from tls.authority import NewAuthority, Pair, Signer, create_authority, issue_leaf
from tls.keys import KeyType, PrivateKey, generate, signature_hash
from tls.profiles import Profile
from tls.request import Leaf
from tls.store import sha256

START = datetime(2026, 7, 29, 10, tzinfo=UTC)
PASSPHRASE = "seventeen letters"


def plain_request(**changes: Any) -> dict[str, Any]:
    """Return the plain data of a request for one node, two services and one identity."""
    return {
        "environment": "test",
        "organization": "acme",
        "client_domain": "svc.acme.internal",
        "node_domain": "nats.acme.internal",
        "nodes": [{"name": "nats-1"}],
        "services": ["orders", "payments"],
        "identities": ["operator"],
    } | changes


def a_request(**changes: Any) -> CertificateRequest:
    """Return a request for one node, two services and one identity."""
    return CertificateRequest.from_plain(plain_request(**changes))


@dataclass
class Clock:
    """A clock that stands until it is set."""

    time: datetime = START

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **parts: float) -> datetime:
        """Let time pass; return what the clock says then."""
        self.time += timedelta(**parts)
        return self.time


def an_issuer(store: Store, clock: Clock, **changes: Any) -> Issuer:
    """Return an issuer on a store and a clock."""
    return replace(Issuer(store, lambda: Passphrase(PASSPHRASE), requester="a test", sources=Sources(clock)), **changes)


class MemoryStore(Store):
    """A store in memory, as faithful as the real ones: conditional, and versioned by a number."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Stored]] = {}
        self.written: list[str] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return "memory"

    def read(self, key: str, version_id: str | None = None) -> Stored | None:
        versions = self.objects.get(key, [])
        if version_id is None:
            return versions[-1] if versions else None
        return next((stored for stored in versions if stored.version_id == version_id), None)

    def read_all(self, keys: Sequence[tuple[str, str | None]]) -> list[Stored | None]:
        return [self.read(*entry) for entry in keys]

    def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
        return [self._write(write) for write in writes]

    def _write(self, write: Write) -> Stored | None:
        with self._lock:
            there = self.read(write.key)
            if (None if there is None else there.etag) != write.replaces:
                return None
            stored = Stored(write.data, f"{sha256(write.data)[:8]}-{len(self.written)}", f"v{len(self.written)}")
            self.objects.setdefault(write.key, []).append(stored)
            self.written.append(write.key)
            return stored

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key, versions in self.objects.items() if versions and key.startswith(prefix))

    def delete(self, key: str, etag: str) -> bool:
        with self._lock:
            there = self.read(key)
            if there is None or there.etag != etag:
                return False
            del self.objects[key]
            return True

    def purge(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def current(self) -> dict[str, bytes]:
        """Return the content of every object as it is now."""
        return {key: versions[-1].data for key, versions in self.objects.items()}


class Crash(Exception):  # noqa: N818  # it stands for the end of the process, not for an error
    """The process ended here."""


class WatchedStore(Store):
    """Another store, with a hook before each single change: to crash, to count, or to let somebody else act."""

    def __init__(self, inner: Store, before: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._before = before

    @property
    def address(self) -> str:
        return self._inner.address

    def read(self, key: str, version_id: str | None = None) -> Stored | None:
        return self._inner.read(key, version_id)

    def read_all(self, keys: Sequence[tuple[str, str | None]]) -> list[Stored | None]:
        return self._inner.read_all(keys)

    def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
        results = []
        for write in writes:
            self._before("write", write.key)
            results += self._inner.write_all([write])
        return results

    def keys(self, prefix: str) -> list[str]:
        return self._inner.keys(prefix)

    def delete(self, key: str, etag: str) -> bool:
        self._before("delete", key)
        return self._inner.delete(key, etag)

    def purge(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._before("purge", key)
            self._inner.purge([key])


def crashing(inner: Store, after: int) -> WatchedStore:
    """Return a store whose process ends after so many changes."""
    changes = iter(range(after))

    def before(kind: str, key: str) -> None:
        if next(changes, None) is None:
            raise Crash(f"before the {kind} of {key}")

    return WatchedStore(inner, before)


def count_changes(inner: Store, run: Callable[[Store], object]) -> int:
    """Return how many single changes a run makes."""
    changes: list[str] = []
    run(WatchedStore(inner, lambda kind, key: changes.append(f"{kind} {key}")))
    return len(changes)


@dataclass
class Interference:
    """Lets somebody else act once, just before the first change of a key that ends so."""

    suffix: str
    act: Callable[[], object]
    done: bool = False

    def __call__(self, kind: str, key: str) -> None:
        if kind == "write" and key.endswith(self.suffix) and not self.done:
            self.done = True
            self.act()


@functools.cache
def an_authority(key_type: KeyType = KeyType.P256) -> NewAuthority:
    """Return an authority that was made at `START`."""
    return create_authority(a_request(key_type=str(key_type)), Sources(lambda: START))


def signer(profile: Profile, new: NewAuthority | None = None) -> Signer:
    """Return an issuing authority that can sign."""
    new = new or an_authority()
    return Signer(new.authority.issuing[profile], new.issuing_keys[profile])


def a_leaf(profile: Profile) -> Leaf:
    """Return what the small request asks for in a profile."""
    return next(leaf for leaf in a_request().leaves if leaf.profile is profile)


def a_pair(leaf: Leaf, new: NewAuthority | None = None, *, days: float = 30, now: datetime = START) -> Pair:
    """Issue a leaf."""
    return issue_leaf(
        leaf,
        signer(leaf.profile, new),
        organization="acme",
        key_type=KeyType.P256,
        lifetime=timedelta(days=days),
        sources=Sources(lambda: now),
    )


@dataclass
class Forgery:
    """A leaf that one makes wrong on purpose: begins as a right one, and says what differs."""

    leaf: Leaf
    signer: Signer
    key: PrivateKey = field(default_factory=lambda: generate(KeyType.P256))
    not_before: datetime = START - timedelta(minutes=5)
    not_after: datetime = START + timedelta(days=30)
    serial: int = 1 << 140
    extensions: Mapping[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None] = field(default_factory=dict)

    def certificate(self) -> x509.Certificate:
        """Sign it."""
        right = a_pair(self.leaf).certificate
        found: dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None] = {
            type(extension.value): (extension.value, extension.critical) for extension in right.extensions
        }
        found[x509.SubjectKeyIdentifier] = (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        issuer = self.signer.certificate
        found[x509.AuthorityKeyIdentifier] = (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),  # type: ignore[arg-type]
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(right.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(self.serial)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
        )
        for extension in ({**found, **self.extensions}).values():
            if extension is not None:
                builder = builder.add_extension(*extension)
        return builder.sign(self.signer.key, signature_hash(self.signer.key))

    def pair(self) -> Pair:
        """Return it with its issuer and key."""
        return Pair(self.certificate(), self.signer.certificate, self.key)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the process's umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
