"""Who may do what in the cache, shown by a real server with TLS and exactly the users of the template.

What only Valkey or only ElastiCache has is asserted on the template (tests/unit/stacks/test_cache.py): engine and version, fail-over,
encryption at rest. Debian's server is Redis 7.0, which reads the same access lists.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from tests.synthesis import whole_fleet

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30
FLEET = whole_fleet("prod")
USERS = {user["UserName"]: user["AccessString"] for user in FLEET.resources("Custom::CacheUser")}
OWN, OTHER = "state-manager-nats", "quest-system-nats"
PASSWORD = "a password of more than sixteen characters"

# What a client of a service does in its day, with its own keys.
ALLOWED = (
    ["PING"], ["SET", "@:one", "1"], ["GET", "@:one"], ["SET", "@:two", "2", "EX", "60", "NX"], ["DEL", "@:two"],
    ["INCR", "@:count"], ["HSET", "@:hash", "field", "value"], ["HGETALL", "@:hash"], ["LPUSH", "@:list", "1"],
    ["ZADD", "@:set", "1", "member"], ["EXPIRE", "@:one", "60"], ["XADD", "@:stream", "*", "field", "value"],
    ["MULTI"], ["EXEC"], ["PUBLISH", "@:channel", "told"], ["EVAL", "return redis.call('GET', KEYS[1])", "1", "@:one"],
    ["CLIENT", "SETNAME", "task"], ["CLIENT", "ID"], ["SELECT", "0"], ["HSCAN", "@:hash", "0"],
    ["SCRIPT", "LOAD", "return 1"],
)  # fmt: skip
# What shows other services' keys, or harms them, or the server.
FORBIDDEN = (
    ["KEYS", "*"], ["SCAN", "0"], ["RANDOMKEY"], ["DBSIZE"], ["FLUSHALL"], ["FLUSHDB"], ["SWAPDB", "0", "1"],
    ["CONFIG", "GET", "*"], ["CONFIG", "SET", "maxmemory", "1"], ["INFO"], ["MONITOR"], ["SHUTDOWN"], ["DEBUG", "SLEEP", "0"],
    ["CLIENT", "LIST"], ["CLIENT", "KILL", "ID", "1"], ["CLIENT", "PAUSE", "1"], ["SCRIPT", "FLUSH"], ["SCRIPT", "KILL"],
    ["FUNCTION", "FLUSH"], ["FUNCTION", "LIST"], ["PUBSUB", "CHANNELS"], ["ACL", "LIST"], ["ACL", "SETUSER", "x"], ["SAVE"],
    ["REPLICAOF", "NO", "ONE"], ["SLOWLOG", "GET"], ["LATENCY", "RESET"], ["MODULE", "LIST"], ["MIGRATE", "h", "1", "@:one", "0", "1"],
)  # fmt: skip
FOREIGN = (
    ["GET", "!:one"], ["SET", "!:one", "1"], ["DEL", "!:one"], ["COPY", "!:one", "@:stolen"], ["RENAME", "!:one", "@:stolen"],
    ["EXISTS", "!:one"], ["TTL", "!:one"], ["SUNIONSTORE", "@:stolen", "!:set"], ["PUBLISH", "!:channel", "told"],
    ["EVAL", "return redis.call('GET', KEYS[1])", "1", "!:one"], ["GET", "one"], ["SUBSCRIBE", "!:channel"], ["PSUBSCRIBE", "*"],
)  # fmt: skip


def cache_server() -> ModuleType:
    """Return the tool that finds the server."""
    spec = importlib.util.spec_from_file_location("cache_server", ROOT / "tools" / "cache_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cache_server"] = module  # its NamedTuple looks for itself there
    spec.loader.exec_module(module)
    return module


def certificate(folder: Path) -> None:
    """Write a certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file = folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@contextmanager
def serving(folder: Path, users: dict[str, str]) -> Iterator[int]:
    """Run a server with users until the block ends; give its port."""
    tool = cache_server()
    server = tool.find()
    if server is None:
        pytest.fail(f"no cache server is here: {tool.REMEDY}; `make test` unpacks Debian's by itself")
    certificate(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    default = FLEET.one("AWS::ElastiCache::User")["AccessString"]
    lines = [f"user {name} {access} #{digest}" for name, access in users.items()]
    (folder / "users.acl").write_text("\n".join([f"user default {default}", *lines, ""]))
    arguments = ["--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    # Elsewhere DEBUG is off as a whole; here the access list must be what refuses it.
    arguments += ["--enable-debug-command", "local"]
    arguments += ["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [server.program, *arguments, "--aclfile", f"{folder}/users.acl"], env=server.environment, stdout=log, stderr=log,
            cwd=folder,
        )  # fmt: skip
    try:
        wait_until_it_listens(process, port, folder)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError((folder / "log").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """A server with the users of the whole catalog."""
    with serving(folder, USERS) as port:
        yield port


@contextmanager
def connected(folder: Path, port: int, name: str | None = OWN, password: str | None = PASSWORD) -> Iterator[Any]:
    """Connect as a service does: TLS that is verified, user and password."""
    client = redis.Redis(
        host="localhost", port=port, username=name, password=password, ssl=True, ssl_check_hostname=True,
        ssl_ca_certs=str(folder / "certificate.pem"), retry=Retry(NoBackoff(), 0),
        socket_timeout=DEADLINE_SECONDS, decode_responses=True,
    )  # fmt: skip
    with client:
        yield client


def words(command: list[str], own: str = OWN, other: str = OTHER) -> list[str]:
    return [word.replace("@", own).replace("!", other) for word in command]


def test_all_users_of_the_template_are_read_by_the_server(folder: Path, port: int) -> None:
    assert len(USERS) >= 6
    for name in USERS:
        with connected(folder, port, name) as client:
            assert client.ping()


@pytest.mark.parametrize("command", ALLOWED, ids=" ".join)
def test_a_service_does_its_work_with_its_own_keys(folder: Path, port: int, command: list[str]) -> None:
    with connected(folder, port) as client, client.client() as one:
        if command == ["EXEC"]:
            one.execute_command("MULTI")
        one.execute_command(*words(command))


@pytest.mark.parametrize("command", FORBIDDEN, ids=" ".join)
def test_a_service_does_nothing_that_harms_the_others(folder: Path, port: int, command: list[str]) -> None:
    with connected(folder, port) as client, pytest.raises(NoPermissionError):
        client.execute_command(*words(command))


@pytest.mark.parametrize("command", FOREIGN, ids=" ".join)
def test_a_service_reaches_no_key_and_no_channel_of_another(folder: Path, port: int, command: list[str]) -> None:
    with connected(folder, port) as client, pytest.raises((NoPermissionError, redis.ResponseError)) as refused:
        client.execute_command(*words(command))
    assert "permission" in str(refused.value).lower() or "NOPERM" in str(refused.value)


@pytest.mark.parametrize("own", USERS)
def test_each_service_has_its_keys_and_none_of_any_other(folder: Path, port: int, own: str) -> None:
    with connected(folder, port, own) as client:
        assert client.set(f"{own}:key", "1")
        for other in USERS.keys() - {own}:
            with pytest.raises(NoPermissionError):
                client.get(f"{other}:key")


def test_a_wrong_password_opens_nothing(folder: Path, port: int) -> None:
    with (
        connected(folder, port, password="another password than that") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


@pytest.mark.parametrize("name", [None, "default"])
def test_whoever_comes_without_a_name_is_nobody(folder: Path, port: int, name: str | None) -> None:
    with (
        connected(folder, port, name, None if name is None else PASSWORD) as client,
        pytest.raises((redis.AuthenticationError, NoPermissionError)),
    ):
        client.ping()


def test_nobody_is_heard_in_plain_text(port: int) -> None:
    with (
        redis.Redis(host="localhost", port=port, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.RedisError),
    ):
        client.ping()


def test_the_probe_tells_a_password_that_opens_from_one_that_does_not(
    folder: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions import cache_probe  # noqa: PLC0415 (it takes the endpoint from the environment that a test sets)

    monkeypatch.setenv("CACHE_ENDPOINT", f"localhost:{port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    assert cache_probe.handler({"username": OWN, "password": PASSWORD}, None) == {"opened": True, "reason": ""}
    refused = cache_probe.handler({"username": OWN, "password": "another one"}, None)
    assert not refused["opened"]
    assert "another one" not in json.dumps(refused)


def test_the_probe_trusts_no_stranger(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions import cache_probe  # noqa: PLC0415

    monkeypatch.setenv("CACHE_ENDPOINT", f"localhost:{port}")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert (folder / "certificate.pem").exists()
    with pytest.raises((redis.ConnectionError, ssl.SSLError)):
        cache_probe.handler({"username": OWN, "password": PASSWORD}, None)
