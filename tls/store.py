"""Where certificates are kept: a few named objects, each written on a condition, so that nobody overwrites anybody.

ca/certificates/current.json            the authority's record: phase, certificates, the current bundles
ca/certificates/VERSION/*-ca.pem        what verifies servers, clients and routes
ca/certificates/manifest.json           every current certificate with its checksums
ca/private/AUTHORITY/server.pem …       the keys of the issuing authorities, encrypted
ca/private/ROOT/root.pem                the root's key, encrypted, while it is not offline
ca/log/TIME-TOKEN.jsonl                 what a run issued; never written again
server/NODE/ · route/NODE/ · client/NAME/
    VERSION/{chain.pem,key.pem}         a pair; never written again
    current.json                        which pair holds: the one object that a switch writes
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tls.errors import ConflictError, StoreError

AUTHORITY_PREFIX = "ca/certificates/"
PRIVATE_PREFIX = "ca/private/"
LOG_PREFIX = "ca/log/"
MANIFEST = f"{AUTHORITY_PREFIX}manifest.json"
CURRENT = "current.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is in the store."""

    data: bytes = field(repr=False)
    etag: str
    """What a conditional write names in order to replace just this."""
    version_id: str | None = None
    """S3's own name for this state of the object; a directory has none."""


@dataclass(frozen=True, slots=True)
class Write:
    """An object that is to be written, on condition."""

    key: str
    data: bytes = field(repr=False)
    replaces: str | None = None
    """The etag that the object must have until then; None: it must not be there."""


class Store(Protocol):
    """A place for certificates. Every failure is a `StoreError`."""

    @property
    def address(self) -> str:
        """What people call it."""

    def read(self, key: str, version_id: str | None = None) -> Stored | None:
        """Return an object, as it is now or as it was in one version; None if it is not there."""

    def read_all(self, keys: Sequence[tuple[str, str | None]]) -> list[Stored | None]:
        """Return many objects, each as it is now or as it was in one version, in the order asked for."""

    def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
        """Write many objects in any order; when this returns, all that could be written will outlive a power failure.

        Returns:
            What now is there, in the order given; None where the condition did not hold, so nothing was written.
        """

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so, in order."""

    def delete(self, key: str, etag: str) -> bool:
        """Remove an object, with every version kept of it, if it still is as `etag` says; tell whether it was."""

    def purge(self, keys: Iterable[str]) -> None:
        """Remove objects with every version that was kept of them; what is not there is no fault."""


def write(store: Store, key: str, data: bytes, *, replaces: str | None = None) -> Stored:
    """Write one object.

    Raises:
        ConflictError: It is not, or no longer, as `replaces` says.
    """
    (stored,) = store.write_all([Write(key, data, replaces)])
    if stored is None:
        raise ConflictError(f"{store.address}: {key} was written by somebody else in the meantime; run it again")
    return stored


def require(store: Store, key: str) -> Stored:
    """Return an object that must be there.

    Raises:
        StoreError: It is not.
    """
    if (stored := store.read(key)) is None:
        raise StoreError(f"{store.address}: {key} is not there")
    return stored


def sha256(data: bytes) -> str:
    """Return the checksum that pointers and the manifest hold."""
    return hashlib.sha256(data).hexdigest()
