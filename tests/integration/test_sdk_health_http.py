"""The health endpoint over real sockets: what clients of HTTP may expect of it, and what strangers may send."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sdk.health import Answer
from sdk.health_check_http import main
from sdk.health_server import HealthServer

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
REQUEST = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


async def good() -> Answer:
    return Answer(200, {"status": "pass"})


async def bad() -> Answer:
    return Answer(503, {"status": "fail", "output": "NATS is out of reach"})


async def broken() -> Answer:
    raise RuntimeError("password=hunter2")


async def stuck() -> Answer:
    await asyncio.sleep(3600)
    raise AssertionError


@pytest.fixture
async def server() -> AsyncIterator[HealthServer]:
    paths = {"/health": good, "/readyz": bad, "/broken": broken, "/stuck": stuck}
    async with HealthServer(
        paths, host="127.0.0.1", port=0, head_bytes=1024, head_seconds=0.5, answer_seconds=0.3, max_connections=8
    ) as running:
        yield running


@pytest.fixture
async def client(server: HealthServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as made:
        yield made


async def raw(server: HealthServer, sent: bytes, *, ends: bool = False) -> bytes:
    """Send bytes and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        if ends:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_it_answers_with_health_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health?verbose=1")
    assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
    assert answer.headers["content-type"] == "application/health+json"
    assert answer.headers["cache-control"] == "no-store"


async def test_bad_health_is_503_with_the_reason(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["output"]) == (503, "NATS is out of reach")


async def test_head_has_the_same_headers_and_no_body(client: httpx.AsyncClient) -> None:
    whole, head = await client.get("/health"), await client.head("/health")
    assert head.content == b""
    assert head.headers == whole.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_not_allowed(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/health", content=b"x" * 10)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_other_paths_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/etc/passwd")).status_code == 404


async def test_a_check_that_fails_is_503_without_details(client: httpx.AsyncClient) -> None:
    answer = await client.get("/broken")
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


async def test_a_check_that_hangs_is_503(client: httpx.AsyncClient) -> None:
    answer = await client.get("/stuck")
    assert (answer.status_code, answer.json()["output"]) == (503, "no answer within 0.3 s")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET  /health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://evil/health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: a\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_bad_request(server: HealthServer, sent: bytes) -> None:
    assert (await raw(server, sent)).startswith(b"HTTP/1.1 400 ")


async def test_http_1_0_needs_no_host(server: HealthServer) -> None:
    assert (await raw(server, b"GET /health HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_headers_without_end_are_refused_at_the_limit(server: HealthServer) -> None:
    assert (await raw(server, b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 250)).startswith(b"HTTP/1.1 431 ")


async def test_slow_headers_are_cut_off(server: HealthServer) -> None:
    assert (await raw(server, b"GET /health HTTP/1.1\r\nHost:")).startswith(b"HTTP/1.1 408 ")


async def test_half_a_request_gets_no_answer(server: HealthServer) -> None:
    assert await raw(server, b"GET /health HTT", ends=True) == b""


async def test_of_requests_in_one_go_the_first_is_answered_and_the_connection_closed(server: HealthServer) -> None:
    smuggled = b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n" + REQUEST
    for sent, status in ((REQUEST * 3, b"200"), (smuggled, b"405")):
        answer = await raw(server, sent)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"Connection: close" in answer


async def test_many_slow_strangers_are_turned_away_and_the_next_is_served(
    server: HealthServer, client: httpx.AsyncClient
) -> None:
    strangers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
    assert await raw(server, REQUEST) == b""
    for reader, writer in strangers:
        await reader.read()
        writer.close()
    assert (await client.get("/health")).status_code == 200


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the probe as ECS does."""
    return subprocess.run(
        [sys.executable, "-m", "sdk.health_check_http", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_probe_tells_good_from_bad_health(server: HealthServer) -> None:
    address = f"http://127.0.0.1:{server.port}"
    good_health = await asyncio.to_thread(probe, "--probe", f"{address}/health")
    bad_health = await asyncio.to_thread(probe, "--probe", f"{address}/readyz")
    stuck_health = await asyncio.to_thread(probe, "--probe", f"{address}/stuck", "--timeout", "0.05")
    assert (good_health.returncode, json.loads(good_health.stdout)) == (0, {"status": "pass"})
    assert (bad_health.returncode, json.loads(bad_health.stdout)["output"]) == (1, "NATS is out of reach")
    assert (stuck_health.returncode, stuck_health.stdout) == (1, "timed out\n")


def test_the_probe_of_nobody_fails() -> None:
    finished = probe("--probe", "http://127.0.0.1:1/health")
    assert finished.returncode == 1
    assert "refused" in finished.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--probe",),
        ("--probe", "https://127.0.0.1:8080/health"),
        ("--probe", "http://a:80/b c"),
        ("--probe", "http://127.0.0.1:1/", "--timeout", "soon"),
        ("--prob", "x"),
    ],
)
def test_a_probe_that_is_asked_wrongly_says_how(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(arguments)) == 2
    assert "usage: python -m sdk.health_check_http --probe" in capsys.readouterr().err


def test_the_probe_loads_next_to_nothing() -> None:
    code = "import sys, sdk.health_check_http; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert not {"asyncio", "nats", "google", "json", "ssl", "logging", "http", "urllib"} & set(loaded)
