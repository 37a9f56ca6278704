"""What each service may do in the cache, and what not: at a real server with TLS and the access lists of the template.

Of the engine that production has, Valkey 8.1, Debian's Redis 7.0 has every rule that the lists use; the table of all commands is
then that of 7.0, and what came later is refused by `-@all` at the beginning of each list, which a test of the template holds.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from tests.cache_server import ADMIN, ONCE, CacheServer, cache_server, users_of
from tests.synthesis import Fleet, whole_fleet

pytestmark = pytest.mark.integration

GAME, OTHER = "state-manager-nats", "quest-system-nats"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return whole_fleet("prod")


@pytest.fixture(scope="module")
def services(fleet: Fleet) -> list[str]:
    return [service.name for service in fleet.catalog.enabled if service.cache]


@pytest.fixture(scope="module")
def cache(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheServer]:
    passwords = {user["UserName"]: [password(user["UserName"])] for user in fleet.resources("Custom::CacheUser")}
    with cache_server(tmp_path_factory.mktemp("cache"), users_of(fleet, passwords)) as server:
        yield server


def run(client: redis.Redis, *words: str) -> Any:
    """Run a command and return what the server says, as it says it."""
    client.response_callbacks.clear()
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def password(service: str) -> str:
    return f"password-of-{service}"


@pytest.fixture(scope="module")
def game(cache: CacheServer) -> Iterator[redis.Redis]:
    with cache.admin() as admin:
        admin.set(f"{OTHER}:secret", "theirs")
        admin.xadd(f"{OTHER}:stream", {"a": "b"})
        admin.set(f"{GAME}:mine", "mine")
    with cache.client(GAME, password(GAME)) as client:
        yield client


@pytest.mark.parametrize(
    "command",
    [
        f"SET {GAME}:a 1",
        f"GET {GAME}:a",
        f"SET {GAME}:lock token NX PX 1000",
        f"EXPIRE {GAME}:a 60",
        f"DEL {GAME}:a",
        f"RENAME {GAME}:mine {GAME}:mine",
        f"HSET {GAME}:h f v",
        f"LPUSH {GAME}:l 1",
        f"SADD {GAME}:s 1",
        f"ZADD {GAME}:z 1 m",
        f"XADD {GAME}:x * f v",
        f"PFADD {GAME}:p 1",
        f"GEOADD {GAME}:g 13.3 38.1 here",
        f"SETBIT {GAME}:b 7 1",
        f"PUBLISH {GAME}:events hello",
        f"SPUBLISH {GAME}:events hello",
        f"EVAL return{{}} 1 {GAME}:a",
        "SCRIPT LOAD return(1)",
        "PING",
        "SELECT 0",
        "TIME",
        "INFO server",
        "COMMAND DOCS get",
        "CLIENT SETNAME game",
        "CLIENT ID",
    ],
)
def test_a_service_may_do_its_work(game: redis.Redis, command: str) -> None:
    run(game, *command.split())


@pytest.mark.parametrize(
    "command",
    [
        f"GET {OTHER}:secret",
        f"SET {OTHER}:secret 1",
        f"DEL {OTHER}:secret",
        f"MGET {GAME}:mine {OTHER}:secret",
        f"COPY {GAME}:mine {OTHER}:copy",
        f"COPY {OTHER}:secret {GAME}:copy",
        f"RENAME {GAME}:mine {OTHER}:taken",
        f"XREAD STREAMS {OTHER}:stream 0",
        f"EXISTS {OTHER}:secret",
        f"TYPE {OTHER}:secret",
        f"OBJECT ENCODING {OTHER}:secret",
        f"EVAL return(redis.call('get','{OTHER}:secret')) 0",
        f"EVAL return(redis.call('get',KEYS[1])) 1 {OTHER}:secret",
        "EVAL return(redis.call('flushall')) 0",
        "EVAL return(redis.call('keys','*')) 0",
        f"PUBLISH {OTHER}:events lies",
        f"SPUBLISH {OTHER}:events lies",
        f"SUBSCRIBE {OTHER}:events",
        "PSUBSCRIBE *",
        "PUBSUB CHANNELS",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "DBSIZE",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "FUNCTION LOAD x",
        "FUNCTION FLUSH",
        "FUNCTION LIST",
        "CLIENT LIST",
        "CLIENT KILL 127.0.0.1:1",
        "CLIENT PAUSE 1000",
        "CLIENT NO-EVICT on",
        "CLIENT TRACKING on BCAST",
        "ACL LIST",
        "ACL SETUSER x",
        "MONITOR",
        "SLOWLOG GET",
        "LATENCY LATEST",
        "MEMORY STATS",
        "SHUTDOWN NOSAVE",
        "BGSAVE",
        "REPLICAOF no one",
        "MODULE LIST",
        f"SORT {GAME}:l BY {OTHER}:*",
        f"RESTORE {GAME}:r 0 x",
        f"MIGRATE 127.0.0.1 1 {GAME}:mine 0 1",
        "CLUSTER RESET",
        "CLUSTER GETKEYSINSLOT 0 10",
    ],
)
def test_a_service_may_harm_nobody_and_see_nothing_of_others(game: redis.Redis, command: str) -> None:
    words = command.split()
    with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't access|can't run"):
        run(game, *words)


def test_every_service_sees_its_own_keys_and_channels_and_no_others(cache: CacheServer, services: list[str]) -> None:
    seen = set()
    assert len(services) > 2
    for reader in services:
        with cache.client(reader, password(reader)) as client:
            for owner in services:
                try:
                    client.set(f"{owner}:pairs", reader)
                    client.publish(f"{owner}:pairs", reader)
                except NoPermissionError:
                    continue
                seen.add((reader, owner))
    assert seen == {(service, service) for service in services}


# Clients' own connections and transactions, the channels that the access list bounds by itself, and what shows no data.
MEANT = {
    "asking", "auth", "client|caching", "client|capa", "client|getname", "client|getredir", "client|help", "client|id",
    "client|info", "client|no-touch", "client|reply", "client|setinfo", "client|setname", "client|trackinginfo", "cluster|info",
    "cluster|keyslot", "cluster|nodes", "cluster|shards", "cluster|slots", "command", "command|count", "command|docs",
    "command|getkeys", "command|getkeysandflags", "command|help", "command|info", "command|list", "discard", "echo", "exec",
    "hello", "info", "multi", "object|help", "ping", "psubscribe", "publish", "punsubscribe", "quit", "readonly", "readwrite",
    "reset", "script|exists", "script|load", "select", "spublish", "ssubscribe", "subscribe", "sunsubscribe", "time",
    "unsubscribe", "unwatch", "wait", "waitaof", "xgroup|help", "xinfo|help",
}  # fmt: skip


def test_no_command_works_beyond_keys_and_channels_but_those_that_are_meant_to(cache: CacheServer) -> None:
    """Every command of the server is tried, those of which nobody thought too."""
    with cache.admin() as admin:
        names = set(run(admin, "COMMAND LIST"))
        containers = {name.partition("|")[0] for name in names if "|" in name} - {"command"}
        allowed = {name for name in names - containers if may(admin, name)}
        keyless = {name for name in allowed if not works_on_keys(admin, name)}
    assert {"get", "xreadgroup", "evalsha"} <= allowed
    assert {"hello", "client|setname", "cluster|slots"} <= keyless
    assert keyless - MEANT == set()


def may(admin: redis.Redis, name: str) -> bool:
    """Tell whether the game's user may run a command at all, whatever its keys."""
    ((_, arity, *_),) = run(admin, "COMMAND INFO", name)
    words = name.split("|")
    arguments = [f"{GAME}:x"] * max(abs(arity) - len(words), 0)
    try:
        told = str(run(admin, "ACL DRYRUN", GAME, *words, *arguments))
    except redis.ResponseError as error:
        told = str(error)
    return "no permissions to run" not in told


def works_on_keys(admin: redis.Redis, name: str) -> bool:
    ((_, _, flags, first_key, *_),) = run(admin, "COMMAND INFO", name)
    return bool(first_key) or "movablekeys" in flags


@pytest.mark.parametrize(
    ("username", "given"), [(None, None), ("default", "guess"), (GAME, "guess"), ("nobody", password(GAME))]
)
def test_nobody_comes_in_without_a_name_and_its_password(
    cache: CacheServer, username: str | None, given: str | None
) -> None:
    with cache.client(username, given) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_the_user_called_default_is_off_for_whoever_knows_its_password(cache: CacheServer) -> None:
    with cache.client("default", password("default")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_nobody_comes_in_without_tls(cache: CacheServer) -> None:
    plain = redis.Redis(port=cache.port, username=ADMIN, password=ADMIN, socket_timeout=5, retry=ONCE)
    with plain, pytest.raises(redis.ConnectionError):
        plain.ping()


def test_a_client_that_trusts_another_authority_does_not_give_its_password(cache: CacheServer) -> None:
    client = redis.Redis(host="localhost", port=cache.port, username=ADMIN, password=ADMIN, ssl=True, retry=ONCE)
    with client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED") as refused:
        client.ping()
    assert not isinstance(refused.value, ssl.SSLError)
    assert re.search("self.signed", str(refused.value))
