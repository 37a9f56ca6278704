"""What a service remembers of others, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proto.generated.gaming.infrastructure.v1.time_pb2 import GetTimeReply, GetTimeRequest, WorldTime
from proto.generated.gaming.infrastructure.v1.weather_pb2 import ForecastWeatherRequest
from reference_service.answers.weather import forecast
from reference_service.runtime import Runtime
from sdk import Contract, Settings
from sdk.contract import Endpoint, Event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUBJECT = "time.get"


class Clock:
    """Time that passes when it is told to, and the clock of a world that runs 120 times as fast: an hour of it is half a minute."""

    def __init__(self) -> None:
        self.now = NOON
        self.asked = 0
        self.settings = Settings(
            service="weather-manager-nats",
            servers=("nats://localhost:1",),
            contract=Contract(
                calls={SUBJECT: Endpoint(SUBJECT, "GetTimeRequest", "GetTimeReply", 1.0, idempotent=True)},
                subscribes={"events.time.>": Event("events.time.>", "Event")},
            ),
        )

    async def request(self, *_: Any, **__: Any) -> GetTimeReply:
        """Answer as time-manager-nats does."""
        self.asked += 1
        reply = GetTimeReply(world_time=WorldTime(day=1, minute_of_day=int(self.passed_minutes * 120)), scale=120.0)
        reply.real_time.FromDatetime(self.now)
        return reply

    @property
    def passed_minutes(self) -> float:
        return (self.now - NOON).total_seconds() / 60


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runtime(clock: Clock) -> Runtime:
    return Runtime(clock, None, clock=lambda: clock.now)  # type: ignore[arg-type]  # all of a client that this takes


async def hour(runtime: Runtime) -> int:
    reply = await forecast(runtime, ForecastWeatherRequest(region_id="woods", hours=1))
    return reply.forecasts[0].at.minute_of_day // 60


async def test_the_hour_goes_on_without_asking_again(clock: Clock, runtime: Runtime) -> None:
    assert await hour(runtime) == 0
    clock.now += timedelta(seconds=45)
    assert (await hour(runtime), clock.asked) == (1, 1)


async def test_an_answer_is_asked_for_again_after_a_minute(clock: Clock, runtime: Runtime) -> None:
    await hour(runtime)
    clock.now += timedelta(minutes=3)
    assert (await hour(runtime), clock.asked) == (6, 2)


@pytest.mark.parametrize(("event", "asked"), [("time.scale.changed", 2), ("quest.completed", 1)])
async def test_an_event_makes_old_what_it_is_about(clock: Clock, runtime: Runtime, event: str, asked: int) -> None:
    await runtime.remembered(SUBJECT, GetTimeRequest(), GetTimeReply)
    runtime.forget(event)
    await runtime.remembered(SUBJECT, GetTimeRequest(), GetTimeReply)
    assert clock.asked == asked
