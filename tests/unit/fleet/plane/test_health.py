from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet.local.plane.definition import HealthCheck
from fleet.local.plane.health import START_INTERVAL_SECONDS, HealthRecord, probe
from fleet.local.plane.ports import PortBook

CHECK = HealthCheck(path="/health", interval_seconds=30, timeout_seconds=5, retries=3, start_period_seconds=60)


def heard(record: HealthRecord, *outcomes: tuple[float, bool]) -> list[str]:
    return [record.hear(now, is_good=is_good) for now, is_good in outcomes]


def test_misses_do_not_count_within_the_start_period() -> None:
    record = HealthRecord(CHECK, started=100)
    assert heard(record, (101, False), (110, False), (159, False), (159.9, False)) == ["UNKNOWN"] * 4
    assert heard(record, (160, False), (161, False), (162, False)) == ["UNKNOWN", "UNKNOWN", "UNHEALTHY"]


def test_a_good_answer_makes_it_healthy_and_from_then_on_misses_count() -> None:
    record = HealthRecord(CHECK, started=100)
    assert heard(record, (101, False), (102, True)) == ["UNKNOWN", "HEALTHY"]
    assert heard(record, (103, False), (104, False), (105, True)) == ["HEALTHY"] * 3
    assert heard(record, (106, False), (107, False), (108, False)) == ["HEALTHY", "HEALTHY", "UNHEALTHY"]
    assert heard(record, (109, True)) == ["HEALTHY"]


def test_it_is_asked_often_until_it_is_healthy_then_at_its_interval_in_the_planes_minutes() -> None:
    record = HealthRecord(CHECK, started=100)
    assert record.pause_seconds(1) == START_INTERVAL_SECONDS
    record.hear(101, is_good=True)
    assert (record.pause_seconds(1), record.pause_seconds(0.1)) == (30, 3)
    assert record.pause_seconds(0.001) == START_INTERVAL_SECONDS


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize(
    ("answer", "is_good"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"nonsense\r\n", False),
        (b"", False),
    ],
)
async def test_only_200_is_healthy(answer: bytes, *, is_good: bool) -> None:
    async with serving(answer) as (port, asked):
        assert await probe(port, CHECK) is is_good
        assert asked[0].startswith(b"GET /health HTTP/1.1\r\n")


async def test_nobody_there_and_no_answer_in_time_are_no_health(tmp_path: Path) -> None:
    port = PortBook(tmp_path / "ports.json").take("player-nats", "HEALTH_PORT")
    assert await probe(port, CHECK) is False
    silent = HealthCheck(path="/", interval_seconds=1, timeout_seconds=0.01, retries=1, start_period_seconds=0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert await probe(listener.getsockname()[1], silent) is False


def test_a_service_keeps_to_the_ports_that_it_has_had(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    first, second = book.take("player-nats", "HEALTH_PORT"), book.take("player-nats", "HEALTH_PORT")
    assert first != second
    assert book.take("quest-nats", "HEALTH_PORT") not in {first, second}
    book.give_back(first)
    assert book.take("player-nats", "HEALTH_PORT") == first
    assert PortBook(tmp_path / "ports.json").take("player-nats", "HEALTH_PORT") == first


def test_a_port_that_somebody_else_has_taken_is_not_used(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    port = book.take("player-nats", "HEALTH_PORT")
    book.give_back(port)
    with socket.create_server(("127.0.0.1", port)):
        assert book.take("player-nats", "HEALTH_PORT") != port
