"""The cache's client against a small server of the protocol: prefix, rotation of the password, and what becomes of failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from sdk import Cache, CircuitOpenError, ConfigurationError, PermissionDeniedError, ServiceUnavailableError
from sdk.cache import Secret

SECRET = json.dumps({"username": "orders", "password": "first", "secret": "cache-secret"})


class Server:
    """Speaks as much of the protocol as the client uses: one user, strings with an expiry, and refusals."""

    def __init__(self) -> None:
        self.passwords = {"first"}
        self.values: dict[bytes, bytes] = {}
        self.expiries: dict[bytes, int] = {}
        self.denied: set[bytes] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    length = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(length + 2))[:-2])
                writer.write(self._answer(words))
                await writer.drain()

    def _answer(self, words: list[bytes]) -> bytes:  # noqa: PLR0911  # a table
        command = words[0].upper()
        if command in self.denied:
            return b"-NOPERM this user has no permissions\r\n"
        match command:
            case b"HELLO":
                if words[2:3] == [b"AUTH"] and words[4].decode() not in self.passwords:
                    return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                return b"%1\r\n$5\r\nproto\r\n:3\r\n"
            case b"AUTH":
                return b"+OK\r\n" if words[-1].decode() in self.passwords else b"-WRONGPASS invalid\r\n"
            case b"GET":
                value = self.values.get(words[1])
                return b"_\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
            case b"SET":
                self.values[words[1]] = words[2]
                self.expiries[words[1]] = int(words[4])
                return b"+OK\r\n"
            case b"DEL":
                return b":%d\r\n" % (self.values.pop(words[1], None) is not None)
            case _:
                return b"+OK\r\n"


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    made = Server()
    port = await made.start()
    yield made, port
    await made.stop()


async def test_keys_are_below_the_service_and_expire(server: tuple[Server, int]) -> None:
    kept, port = server
    cache = Cache("orders", host="127.0.0.1", port=port, tls=False, secret=Secret(SECRET))
    await cache.set("player-7", b"\x00\xff", ttl_seconds=1.5)
    assert kept.values == {b"orders:player-7": b"\x00\xff"}
    assert kept.expiries == {b"orders:player-7": 1500}
    assert await cache.get("player-7") == b"\x00\xff"
    await cache.delete("player-7")
    assert await cache.get("player-7") is None
    await cache.close()


async def test_a_rotated_password_is_read_again_and_the_call_succeeds(server: tuple[Server, int]) -> None:
    kept, port = server
    asked: list[str] = []

    def read(name: str) -> str:
        asked.append(name)
        return json.dumps({"username": "orders", "password": "second"})

    cache = Cache("orders", host="127.0.0.1", port=port, tls=False, secret=Secret(SECRET, read))
    await cache.set("a", b"1", ttl_seconds=60)
    kept.passwords = {"second"}
    kept.drop()
    for _ in range(2):  # the first finds its connection closed
        with suppress(ServiceUnavailableError):
            await cache.get("a")
    assert await cache.get("a") == b"1"
    assert asked == ["cache-secret"]
    await cache.close()


async def test_a_password_that_stays_wrong_is_unavailable_and_not_told(server: tuple[Server, int]) -> None:
    kept, port = server
    kept.passwords = {"another"}
    cache = Cache("orders", host="127.0.0.1", port=port, tls=False, secret=Secret(SECRET, lambda _: SECRET))
    with pytest.raises(ServiceUnavailableError) as failed:
        await cache.get("a")
    assert "first" not in str(failed.value)
    await cache.close()


async def test_a_forbidden_command_is_told_as_such(server: tuple[Server, int]) -> None:
    kept, port = server
    kept.denied = {b"DEL"}
    cache = Cache("orders", host="127.0.0.1", port=port, tls=False, secret=Secret(SECRET))
    with pytest.raises(PermissionDeniedError):
        await cache.delete("a")
    await cache.close()


async def test_a_cache_that_is_away_is_left_alone_after_five_failures() -> None:
    cache = Cache("orders", host="127.0.0.1", port=1, tls=False)
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError):
            await cache.get("a")
    with pytest.raises(CircuitOpenError):
        await cache.get("a")
    await cache.close()


@pytest.mark.parametrize("text", ["", "[]", "hunter2", '{"username": "hunter2"}'])
def test_a_secret_that_is_none_is_told_without_its_content(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Secret(text)
    assert "hunter2" not in str(refused.value)


def test_a_container_without_cache_is_told_what_gives_it_one() -> None:
    with pytest.raises(ConfigurationError, match="a catalog entry with `cache: true` has them"):
        Cache.from_environment("orders", {})
