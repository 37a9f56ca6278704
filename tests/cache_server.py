"""A real cache on this machine, with TLS alone and the users of a template.

The server is the one on PATH, or Debian's Redis 7.0, which the set-up unpacks into `.build/redis`. What only Valkey has it cannot
show; the tests of the template say what they hold of that.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from fleet.local.plane.cache_program import find_cache_program
from fleet.local.plane.cache_tls import certificate_of_cache, key_of
from tests.synthesis import Fleet

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
    program = find_cache_program()
    server = CacheServer(_free_port(), certificate_of_cache(folder))
    configuration = folder / "cache.conf"
    lines = [
        "bind 127.0.0.1",
        "port 0",
        f"tls-port {server.port}",
        f"tls-cert-file {server.certificate}",
        f"tls-key-file {key_of(server.certificate)}",
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
            [program.path, str(configuration)],
            env={**os.environ, **program.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


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
