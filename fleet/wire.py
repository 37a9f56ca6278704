"""The way onto the wire of an environment on this machine: certificates from its bucket, connections to NATS, handshakes.

Only the local environment has it: its bucket is on this machine, and so are its nodes. In AWS nobody but a service reads its key.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client

from catalog import names
from catalog.environment import Environment
from fleet.account import Account
from fleet.errors import WantingError
from tls import BUNDLES, FileReference, Profile, S3Store, Store, leaf_prefix, require_record
from tls.pairs import read_pointers
from tls.pointer import CHAIN, KEY, Pointer
from tls.store import AUTHORITY_PREFIX

CONNECT_SECONDS = 10.0
_MOST_BYTES = 65_536
# A harmless line of asyncio at every connection with TLS that ends: https://github.com/nats-io/nats.py/issues/574
_NOISE = "returning true from eof_received() has no effect when using ssl"
logging.getLogger("asyncio").addFilter(lambda record: _NOISE not in record.getMessage())


def certificates_of(account: Account, environment: Environment) -> Store:
    """Return the store with the environment's certificates."""
    return S3Store(names.certificates_bucket(environment.name, account.account_id, account.region), account.s3)


class Wire:
    """Connections to the NATS nodes of the local environment.

    Args:
        store: Where the certificates are.
        servers: Addresses of the nodes.
    """

    def __init__(self, store: Store, servers: Sequence[str]) -> None:
        self.store = store
        self.servers = list(servers)
        self._authority = self._read_authority()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def pointers(self, profile: Profile, whose: Sequence[str]) -> dict[str, Pointer]:
        """Return which certificate holds for each, by name; who has none is left out."""
        found = read_pointers(self.store, [leaf_prefix(profile, name) for name in whose])
        return {prefix.split("/")[1]: pointer for prefix, pointer in found.items()}

    def prepare(self, whose: Sequence[str]) -> None:
        """Read the certificates of many at once."""
        pointers = self.pointers(Profile.CLIENT, [name for name in whose if name not in self._contexts])
        wanted = [
            (f"{leaf_prefix(Profile.CLIENT, name)}{pointer.version}/{file}", pointer.files[file].version_id)
            for name, pointer in pointers.items()
            for file in (CHAIN, KEY)
        ]
        read = [stored.data if stored else b"" for stored in self.store.read_all(wanted)]
        for index, name in enumerate(pointers):
            self._contexts[name] = self._context(read[2 * index], read[2 * index + 1])

    def context(self, name: str) -> ssl.SSLContext:
        """Return what an identity connects with.

        Raises:
            WantingError: It has no certificate.
        """
        self.prepare([name])
        if name not in self._contexts:
            raise WantingError(f"{self.store.address} has no certificate for {name}")
        return self._contexts[name]

    def stranger(self) -> ssl.SSLContext:
        """Return what somebody without a certificate connects with."""
        return ssl.create_default_context(cadata=self._authority)

    async def connect(self, name: str, **options: Any) -> Client:
        """Connect an identity; its errors go to `error_cb`, and nowhere without one."""

        async def unheard(_: Exception) -> None: ...

        settings: dict[str, Any] = {
            "tls": self.context(name),
            "inbox_prefix": f"_INBOX.{name}",
            "connect_timeout": CONNECT_SECONDS,
            "allow_reconnect": False,
            "error_cb": unheard,
            "name": f"fleet {name}",
        }
        return await nats.connect(servers=self.servers, **{**settings, **options})

    def served(self, server: str, name: str) -> str:
        """Return the fingerprint of the certificate that a node shows to an identity.

        Raises:
            OSError: It does not answer, or shows one that is not to be trusted.
        """
        with self._shaken(server, self.context(name)) as connection:
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    def lets_in_a_stranger(self, server: str) -> bool:
        """Tell whether a node talks to somebody who shows no certificate.

        Raises:
            OSError: It does not answer at all.
        """
        with contextlib.suppress(ssl.SSLError, ConnectionError), self._shaken(server, self.stranger()) as connection:
            # TLS 1.3 refuses after the client's side of the handshake is done.
            connection.sendall(b"CONNECT {}\r\nPING\r\n")
            answer = b""
            while b"PONG" not in answer and (part := connection.recv(_MOST_BYTES)):
                answer += part
            return b"PONG" in answer
        return False

    @contextlib.contextmanager
    def _shaken(self, server: str, context: ssl.SSLContext) -> Any:
        address = urlsplit(server)
        host, port = address.hostname or "", address.port or names.NATS_CLIENT_PORT
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as plain:
            information = b""
            while not information.endswith(b"\r\n"):
                part = plain.recv(_MOST_BYTES)
                if not part:
                    raise ConnectionError(f"{server} closed the connection")
                information += part
            with context.wrap_socket(plain, server_hostname=host) as connection:
                yield connection

    def _read_authority(self) -> str:
        record = require_record(self.store).record
        name = BUNDLES[Profile.SERVER]
        reference: FileReference = record.files[name]
        stored = self.store.read(f"{AUTHORITY_PREFIX}{record.version}/{name}", reference.version_id)
        if stored is None:
            raise WantingError(f"{self.store.address} has no {name}")
        return stored.data.decode()

    def _context(self, chain: bytes, key: bytes) -> ssl.SSLContext:
        """Return a context with a pair; OpenSSL takes it from files alone, which are gone when this returns."""
        context = self.stranger()
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            files: Mapping[str, bytes] = {CHAIN: chain, KEY: key}
            for file, data in files.items():
                opened = os.open(Path(folder) / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(opened, "wb") as target:
                    target.write(data)
            context.load_cert_chain(Path(folder) / CHAIN, Path(folder) / KEY)
        return context
