"""A real cache on this machine, with TLS alone and the users of a template.

The server is the one on PATH, or Debian's Redis 7.0, which the set-up unpacks into `.build/redis`. What only Valkey has it cannot
show; the tests of the template say what they hold of that.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.synthesis import Fleet

UNPACKED = Path(__file__).parent.parent / ".build" / "redis"
ADMIN = "tests-admin"
DEADLINE_SECONDS = 20
ONCE = Retry(NoBackoff(), 0)
"""No second try: what a test asks for is answered, or it fails."""


@dataclass(frozen=True, slots=True)
class CacheServer:
    """A cache that answers."""

    port: int
    certificate: Path
    """What a client trusts, and the server shows."""

    @property
    def endpoint(self) -> str:
        return f"localhost:{self.port}"

    def client(self, username: str | None = None, password: str | None = None, **more: Any) -> redis.Redis:
        """Return a client, which connects with its first command."""
        return redis.Redis(
            host="localhost",
            port=self.port,
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.certificate),
            socket_timeout=DEADLINE_SECONDS,
            decode_responses=True,
            retry=ONCE,
            **more,
        )

    def admin(self) -> redis.Redis:
        """Return the client of a user that no template has, who may do everything."""
        return self.client(ADMIN, ADMIN)


def users_of(fleet: Fleet, passwords: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the users of a template as a server's configuration has them, each with the passwords given."""
    return [
        " ".join(["user", user["UserName"], user["AccessString"], *(f">{one}" for one in passwords[user["UserName"]])])
        for user in fleet.resources("Custom::CacheUser")
    ]


@contextmanager
def cache_server(folder: Path, users: Sequence[str]) -> Iterator[CacheServer]:
    """Serve until the context ends."""
    binary, environment = _binary()
    server = CacheServer(_free_port(), folder / "certificate.pem")
    _make_certificate(server.certificate, folder / "key.pem")
    configuration = folder / "cache.conf"
    lines = [
        "bind 127.0.0.1",
        "port 0",
        f"tls-port {server.port}",
        f"tls-cert-file {server.certificate}",
        f"tls-key-file {folder / 'key.pem'}",
        "tls-auth-clients no",
        'save ""',
        f"dir {folder}",
        *users,
        f"user {ADMIN} on ~* &* +@all >{ADMIN}",
    ]
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder / "cache.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, str(configuration)], env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def _binary() -> tuple[str, dict[str, str]]:
    for name in ("valkey-server", "redis-server"):
        if installed := shutil.which(name):
            return installed, {}
    unpacked = UNPACKED / "root" / "usr" / "bin" / "redis-server"
    if unpacked.exists():
        libraries = os.pathsep.join(str(path) for path in (UNPACKED / "root" / "usr" / "lib").glob("*-linux-gnu*"))
        return str(unpacked), {"LD_LIBRARY_PATH": libraries}
    missing = UNPACKED / "missing.txt"
    told = missing.read_text(encoding="utf-8") if missing.exists() else "the set-up has not run"
    pytest.fail(f"{told.strip()}\n  then: rm -rf .build/redis && make setup")


def _wait(server: CacheServer, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with server.admin() as client:
                client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"the cache did not come up: {log.read_text(encoding='utf-8')}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _make_certificate(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cache")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(private)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
