"""What a caller sends that is not as it should be: the gateway answers it or closes, keeps serving others, and mistakes nothing for a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.gateway_world import API_KEYS, WAIT_SECONDS, Gateway, World, gateway, key, world

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

KEY = f"X-Api-Key: {API_KEYS['player']}\r\n".encode()
TIME = b"GET /v1/world/time HTTP/1.1\r\nHost: x\r\n"
PUT = b"PUT /v1/players/player-1/state/k HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + KEY


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway"), fleet_bucket) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(nats: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    limits = {
        "GATEWAY_HEAD_SECONDS": "0.5",
        "GATEWAY_BODY_SECONDS": "0.5",
        "GATEWAY_WRITE_SECONDS": "0.5",
        "GATEWAY_MAX_CONNECTIONS": "50",
    }
    async with nats.serving("time-manager-nats", "state-manager-nats"), gateway(nats, log, **limits) as made:
        yield made
        assert "Traceback" not in made.log(), made.log()


async def exchanged(process: Gateway, *sent: bytes, pause_seconds: float = 0.0) -> bytes:
    """Send something, and return all that comes until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    try:
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.read()
    finally:
        writer.transport.abort()


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the answers in what came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS, where there is none
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (TIME + b"a b: c\r\n\r\n", 400),
        (TIME + b"a: b\x00c\r\n\r\n", 400),
        (b"GET /v1/world/time HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v1/world/time HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v1/quests/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v1/world/time?a=%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v1/../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (TIME + b"a: " + b"b" * 17_000 + b"\r\n\r\n", 431),
        (TIME + b"a: " + b"b" * 100_000, 431),
        (TIME + b"a: b\r\n" * 101 + b"\r\n", 431),
        (TIME + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", 400),
        (PUT + b"Content-Length: 99999999\r\nConnection: close\r\n\r\n", 413),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (PUT + b"Content-Length: 2\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n{}", 415),
    ],
)
async def test_what_cannot_be_read_is_refused_as_a_problem(process: Gateway, sent: bytes, status: int) -> None:
    answer = await exchanged(process, sent)
    assert statuses(answer) == [status], answer
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


async def test_who_goes_on_sending_what_was_refused_hears_why(process: Gateway) -> None:
    more = b"b" * 100_000

    answer = await exchanged(process, TIME + b"a: " + more, more, more, pause_seconds=0.05)

    assert statuses(answer) == [431]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
        b"Content-Length: +3\r\n\r\nabc",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
)
async def test_a_doubtful_length_never_lets_a_second_request_pass(process: Gateway, framing: bytes) -> None:
    answer = await exchanged(process, PUT + framing + TIME + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [400], answer


async def test_requests_in_a_row_are_answered_in_order(process: Gateway) -> None:
    row = [TIME + b"X-Request-Id: r-%d\r\n\r\n" % number for number in range(50)]
    answer = await exchanged(process, b"".join(row) + TIME + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200] * 51
    places = [answer.index(b"x-request-id: r-%d\r\n" % number) for number in range(50)]
    assert places == sorted(places)


async def test_nonsense_after_a_request_ends_the_connection_after_its_answer(process: Gateway) -> None:
    answer = await exchanged(process, TIME + b"X-Request-Id: first\r\n\r\nnonsense\r\n\r\n")
    assert statuses(answer)[0] == 200
    assert answer.index(b"x-request-id: first") < answer.find(b"HTTP/1.1 400") % len(answer + b" ")


async def test_a_body_in_pieces_is_one_body(process: Gateway) -> None:
    pieces = [b"a\r\n", b'{"value": ', b"\r\n", b"3\r\n{}}\r\n0\r\n\r\n"]
    answer = await exchanged(process, PUT + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", *pieces)
    assert statuses(answer) == [200], answer


async def test_what_follows_a_body_is_no_header(process: Gateway) -> None:
    trailer = b"0\r\nX-Request-Id: forged\r\nX-Api-Key: forged\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    framing = b"X-Request-Id: mine\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = await exchanged(process, PUT + framing + b"2\r\n{}\r\n" + trailer)
    assert statuses(answer) == [200], answer
    assert b"x-request-id: mine\r\n" in answer


async def test_a_body_without_an_end_is_a_413(process: Gateway) -> None:
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = await exchanged(process, PUT + b"Transfer-Encoding: chunked\r\n\r\n", *[piece] * 20)
    assert statuses(answer) == [413]


async def test_headers_that_do_not_end_in_time_are_a_408(process: Gateway) -> None:
    assert statuses(await exchanged(process, b"GET /v1/world/time HTTP/1.1\r\nHos")) == [408]


async def test_a_body_that_does_not_come_in_time_is_a_408(process: Gateway) -> None:
    assert statuses(await exchanged(process, PUT + b"Content-Length: 10\r\n\r\n{")) == [408]


async def test_a_connection_on_which_nothing_comes_is_closed(process: Gateway) -> None:
    assert await exchanged(process) == b""
    assert await exchanged(process, b"\r\n") == b""


async def test_blank_lines_do_not_keep_an_idle_connection_open(process: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(TIME + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\r\n")
    async with asyncio.timeout(WAIT_SECONDS):
        await reader.read()  # until it is closed
    writer.transport.abort()


async def test_a_body_is_announced_and_asked_for(process: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(PUT + b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert statuses(await reader.read()) == [200]
    writer.transport.abort()


async def test_a_body_that_would_be_refused_is_not_asked_for(process: Gateway) -> None:
    head = PUT.replace(KEY, b"") + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert statuses(await exchanged(process, head)) == [401]


async def test_a_wish_for_another_protocol_is_passed_over(process: Gateway) -> None:
    wish = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert statuses(await exchanged(process, TIME + wish)) == [200]


async def test_who_reads_nothing_is_cut_off(process: Gateway) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", process.port, limit=1)
    async with asyncio.timeout(WAIT_SECONDS):
        while not writer.is_closing():  # a reset closes it
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            await asyncio.sleep(0.05)
    writer.transport.abort()


async def test_connections_have_a_number(process: Gateway) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", process.port) for _ in range(60)]
    refused = 0
    for reader, writer in opened:
        refused += statuses(await reader.read()) == [503]
        writer.transport.abort()
    assert refused >= 10


async def test_it_serves_on_after_all_that(process: Gateway) -> None:
    async with httpx.AsyncClient(base_url=process.url) as http:
        assert (await http.get("/v1/players/player-1/state", headers=key("player"))).status_code == 200
