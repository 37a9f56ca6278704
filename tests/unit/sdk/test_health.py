from __future__ import annotations

from dataclasses import dataclass

import pytest

from sdk import Health


@dataclass
class Nats:
    unreachable_seconds: float = 0.0
    was_connected: bool = True
    error: Exception | None = None
    checks: int = 0

    async def check(self) -> float:
        self.checks += 1
        if self.error is not None:
            raise self.error
        return 0.0015


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def nats() -> Nats:
    return Nats()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(nats: Nats, clock: Clock) -> Health:
    return Health(service="quest-nats", version="1.2.3", nats=nats, outage_tolerance_seconds=180, clock=clock)


async def test_all_is_well(health: Health) -> None:
    for answer in (await health.live(), await health.ready(), await health.healthy()):
        assert (answer.status, answer.body["status"]) == (200, "pass")
        assert (answer.body["serviceId"], answer.body["version"]) == ("quest-nats", "1.2.3")


async def test_it_is_unhealthy_until_nats_was_reached_once(health: Health, nats: Nats) -> None:
    nats.was_connected, nats.unreachable_seconds = False, 1.0
    answer = await health.healthy()
    assert (answer.status, answer.body["output"]) == (503, "NATS has not been reached yet")
    assert (await health.live()).status == 200


async def test_an_outage_within_the_tolerance_restarts_nobody(health: Health, nats: Nats) -> None:
    nats.unreachable_seconds, nats.error = 180.0, ConnectionError("gone")
    answer = await health.healthy()
    assert (answer.status, answer.body["status"]) == (200, "warn")
    assert (await health.ready()).status == 503


async def test_an_outage_beyond_the_tolerance_does(health: Health, nats: Nats) -> None:
    nats.unreachable_seconds = 180.1
    answer = await health.healthy()
    assert (answer.status, answer.body["output"]) == (503, "NATS is out of reach for 180 s, over 180 s")


async def test_it_tells_how_long_nats_takes(health: Health) -> None:
    checks = (await health.ready()).body["checks"]
    assert isinstance(checks, dict)
    (check,) = checks["nats:responseTime"]
    assert (check["status"], check["observedValue"], check["observedUnit"]) == ("pass", 1.5, "ms")


async def test_it_tells_why_nats_does_not_answer(health: Health, nats: Nats) -> None:
    nats.error = TimeoutError("no pong within 3 s")
    answer = await health.ready()
    assert (answer.status, answer.body["output"]) == (503, "NATS does not answer: no pong within 3 s")


async def test_nats_is_asked_once_a_second_at_most(health: Health, nats: Nats, clock: Clock) -> None:
    for _ in range(50):
        await health.ready()
    assert nats.checks == 1
    clock.seconds += 1
    await health.ready()
    assert nats.checks == 2


async def test_stopping_it_is_unready_and_not_unhealthy(health: Health) -> None:
    health.is_draining = True
    answer = await health.ready()
    assert (answer.status, answer.body["output"]) == (503, "the service is stopping")
    assert (await health.healthy()).status == 200


def test_another_path_for_ecs_is_served_too(health: Health) -> None:
    assert set(health.paths("/status")) == {"/livez", "/readyz", "/health", "/status"}
