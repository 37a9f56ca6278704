"""Events of the real event subjects, heard by callers as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from proto.generated.gaming.infrastructure.v1.event_pb2 import Event
from sdk import NATSClient
from tests.gateway_world import VERIFIER_KEY, WAIT_SECONDS, Gateway, World, gateway, key, world

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

STREAM = "/v1/events/stream"
SUBJECT = "events.quest.completed"


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway"), fleet_bucket) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(nats: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    limits = {"GATEWAY_MAX_STREAMS_A_CALLER": "2", "GATEWAY_HEARTBEAT_SECONDS": "0.1", "GATEWAY_WRITE_SECONDS": "60"}
    async with gateway(nats, log, **limits) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def publisher(nats: World) -> AsyncIterator[NATSClient]:
    async with nats.client("event-bus-nats") as made:
        yield made


class Heard:
    """What a caller hears."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> dict[str, str]:
        """Return the next event, or comment, with its fields."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in self._lines:
                if not line and fields:
                    return fields
                name, _, value = line.partition(": ")
                if line:
                    fields[name or "comment"] = value
        return fields

    async def message(self) -> dict[str, str]:
        """Return the next one that is no heartbeat and no advice on when to come back."""
        while set(told := await self.event()) & {"", "comment", "retry"}:
            pass
        return told


@asynccontextmanager
async def listening(process: Gateway, **headers: str) -> AsyncIterator[Heard]:
    async with (
        httpx.AsyncClient(base_url=process.url, timeout=WAIT_SECONDS) as http,
        http.stream("GET", STREAM, headers=key("operator") | headers) as response,
    ):
        yield Heard(response)


async def test_an_event_reaches_everyone_who_listens(process: Gateway, publisher: NATSClient) -> None:
    async with listening(process) as one, listening(process) as other:
        assert one.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert set(await one.event()) == {"retry"}
        assert set(await other.event()) == {"retry"}
        await publisher.publish(SUBJECT, Event(event_id="e-1", type="quest.completed", source="quest-system-nats"))
        for heard in (one, other):
            told = await heard.message()
            assert told["id"] == "e-1"
            assert json.loads(told["data"])["type"] == "quest.completed"


async def test_a_quiet_stream_has_a_heartbeat(process: Gateway) -> None:
    async with listening(process) as heard:
        await heard.event()
        assert await heard.event() == {"comment": "heartbeat"}


async def test_who_comes_back_hears_what_it_missed(process: Gateway, publisher: NATSClient) -> None:
    async with listening(process) as heard:
        await heard.event()
        for number in range(3):
            await publisher.publish(SUBJECT, Event(event_id=f"missed-{number}"))
        assert (await heard.message())["id"] == "missed-0"
        while (await heard.message())["id"] != "missed-2":
            pass
    async with listening(process, **{"Last-Event-ID": "missed-0"}) as heard:
        assert [(await heard.message())["id"] for _ in range(2)] == ["missed-1", "missed-2"]


async def test_who_was_away_too_long_is_told_of_the_gap(process: Gateway) -> None:
    async with listening(process, **{"Last-Event-ID": "long-ago"}) as heard:
        assert (await heard.message())["event"] == "gap"


async def test_only_its_roles_may_listen_and_each_caller_so_often(process: Gateway) -> None:
    async with httpx.AsyncClient(base_url=process.url) as http:
        nobody, player = await http.get(STREAM), await http.get(STREAM, headers=key("player"))
        assert (nobody.status_code, player.status_code) == (401, 403)
        async with listening(process), listening(process):
            third = await http.get(STREAM, headers=key("operator"))
        assert third.status_code == 429


async def test_who_takes_events_too_slowly_is_told_so_and_holds_up_nobody(
    process: Gateway, publisher: NATSClient
) -> None:
    # It reads nothing until all is published: more than the kernel takes for it, and than may wait.
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port, limit=1024)
    try:
        shown = f"Host: x\r\nConnection: close\r\nX-Api-Key: {VERIFIER_KEY}\r\n\r\n"
        writer.write(f"GET {STREAM} HTTP/1.1\r\n{shown}".encode())
        await reader.readuntil(b"retry: ")
        async with listening(process) as other:
            await other.event()
            for number in range(50):
                await publisher.publish(SUBJECT, Event(event_id=f"large-{number}", type="t" * 500_000))
                assert (await other.message())["id"] == f"large-{number}"
        async with asyncio.timeout(WAIT_SECONDS):
            told = await reader.read()
    finally:
        writer.transport.abort()
    assert b"event: slow\ndata: this caller is too slow" in told[-200:], told[-200:]


async def test_after_nats_was_away_everyone_is_told_of_the_gap(process: Gateway, nats: World) -> None:
    async with listening(process) as heard:
        await heard.event()
        nats.node.kill()
        nats.node.start()
        assert (await heard.message())["event"] == "gap"


async def test_streams_end_with_a_word_when_the_gateway_stops(nats: World, tmp_path: Path) -> None:
    async with gateway(nats, tmp_path / "log") as made, listening(made) as heard:
        await heard.event()
        made.terminate()
        assert (await heard.message())["event"] == "end"
        assert await asyncio.wait_for(made.process.wait(), WAIT_SECONDS) == 0
