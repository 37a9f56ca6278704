"""What a client proves itself with, and where it comes from: a folder, or the bucket of certificates (`s3_certificates`)."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sdk.errors import CertificateError

CHAIN = "chain.pem"
KEY = "key.pem"
SERVER_CA = "server-ca.pem"


@dataclass(frozen=True, slots=True)
class Certificates:
    """A client's certificate with its key, and the authorities of servers that it trusts."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    server_ca_pem: bytes
    not_after: datetime | None = None
    """When the certificate ends, where the source says so."""

    @property
    def fingerprint(self) -> str:
        """What differs as soon as any of it does."""
        return hashlib.sha256(b"\0".join((self.chain_pem, self.key_pem, self.server_ca_pem))).hexdigest()[:16]

    def remaining_days(self) -> float | None:
        """Return how long the certificate still holds."""
        return None if self.not_after is None else (self.not_after - datetime.now(UTC)).total_seconds() / 86_400

    def context(self) -> ssl.SSLContext:
        """Return a TLS context: 1.3 only, nobody trusted but the servers' authorities.

        Raises:
            CertificateError: They do not fit one another.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(cadata=self.server_ca_pem.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(f"{SERVER_CA} cannot be read: {error}") from error
        try:
            with _file_of(self.chain_pem + b"\n" + self.key_pem) as path:
                context.load_cert_chain(path)
        except ssl.SSLError as error:
            why = "the key is not the certificate's" if error.reason == "KEY_VALUES_MISMATCH" else str(error)
            raise CertificateError(f"{CHAIN} and {KEY} cannot be used: {why}") from error
        return context


class CertificateSource(Protocol):
    """Where certificates come from. It may block: it is asked in a thread."""

    poll_seconds: float
    """How often to look for new ones."""

    def fetch(self) -> Certificates:
        """Return the current ones.

        Raises:
            CertificateError: They cannot be read.
        """
        ...


class DirectoryCertificates:
    """A folder with `chain.pem`, `key.pem` and `server-ca.pem`."""

    def __init__(self, folder: Path, *, poll_seconds: float = 30.0) -> None:
        self._folder = folder
        self.poll_seconds = poll_seconds

    def fetch(self) -> Certificates:
        """Read them.

        Raises:
            CertificateError: One is not there.
        """
        try:
            chain, key, server_ca = ((self._folder / name).read_bytes() for name in (CHAIN, KEY, SERVER_CA))
        except OSError as error:
            raise CertificateError(
                f"{error.filename} cannot be read: {error.strerror}; {self._folder} holds {CHAIN}, {KEY} and {SERVER_CA}"
            ) from error
        return Certificates(chain, key, server_ca)


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Give a path to content that must not reach a disk; `ssl` reads keys from files only, and a task's root is read-only."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # not Linux: a developer's machine
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
