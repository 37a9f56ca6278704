"""`weather.*`: the weather of each region, the same for all who ask at one hour of the world, unless somebody has made another."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from google.protobuf.struct_pb2 import Struct

from proto.generated.gaming.infrastructure.v1.time_pb2 import GetTimeReply, GetTimeRequest, WorldTime
from proto.generated.gaming.infrastructure.v1.weather_pb2 import (
    SKY_FOG,
    SKY_SNOW,
    SKY_STORM,
    ForecastWeatherReply,
    ForecastWeatherRequest,
    GetWeatherReply,
    GetWeatherRequest,
    SetWeatherReply,
    SetWeatherRequest,
    Sky,
    Weather,
    WeatherForecast,
)
from reference_service.runtime import Runtime, number, struct

_HOUR_MINUTES, _DAY_MINUTES = 60, 1440
_HOLD_SECONDS = 3600.0
_WEATHER, _UNTIL = "weather", "until"
_SEEN_METRES = {SKY_FOG: 80, SKY_SNOW: 900, SKY_STORM: 1500}


async def get(runtime: Runtime, request: GetWeatherRequest) -> GetWeatherReply:
    """Return the weather of now."""
    return GetWeatherReply(region_id=request.region_id, weather=await _weather(runtime, request.region_id))


async def forecast(runtime: Runtime, request: ForecastWeatherRequest) -> ForecastWeatherReply:
    """Return the weather of the hours to come; what somebody makes meanwhile is not in it."""
    first = await _hour(runtime)
    forecasts = [
        WeatherForecast(
            at=_beginning(hour), weather=made(request.region_id, hour), probability=max(0.3, 0.95 - 0.01 * ahead)
        )
        for ahead, hour in enumerate(range(first, first + (request.hours or 24)))
    ]
    return ForecastWeatherReply(region_id=request.region_id, forecasts=forecasts)


async def set_(runtime: Runtime, request: SetWeatherRequest) -> SetWeatherReply:
    """Make the weather of a region, for a while."""
    previous = await _weather(runtime, request.region_id)
    hold = request.hold_for.ToTimedelta().total_seconds() if request.HasField("hold_for") else _HOLD_SECONDS
    kept = struct({_WEATHER: request.weather.SerializeToString().hex(), _UNTIL: runtime.now().timestamp() + hold})
    await runtime.store.change(Struct, request.region_id, edit=lambda held: held.CopyFrom(kept), make=Struct)
    await runtime.tell("weather.changed", region_id=request.region_id, sky=Sky.Name(request.weather.sky))
    return SetWeatherReply(previous=previous)


async def _weather(runtime: Runtime, region_id: str) -> Weather:
    held = await runtime.store.find(Struct, region_id)
    if held is not None and datetime.fromtimestamp(number(held, _UNTIL), UTC) > runtime.now():
        return Weather.FromString(bytes.fromhex(str(held[_WEATHER])))
    return made(region_id, await _hour(runtime))


async def _hour(runtime: Runtime) -> int:
    """Return the hour of the world; where its clock cannot be asked, one that real time gives."""
    clock = await runtime.remembered("time.get", GetTimeRequest(), GetTimeReply)
    if clock is None:
        return int(runtime.now().timestamp() // 3600)
    then = (clock.world_time.day - 1) * _DAY_MINUTES + clock.world_time.minute_of_day
    passed_minutes = (runtime.now() - clock.real_time.ToDatetime(UTC)).total_seconds() / 60
    return int(then + max(0.0, passed_minutes) * clock.scale) // _HOUR_MINUTES


def made(region_id: str, hour: int) -> Weather:
    """Return the weather of an hour; it changes every three."""
    rolled = hashlib.blake2b(f"{region_id}/{hour // 3}".encode(), digest_size=5).digest()
    sky = Sky.ValueType(1 + rolled[0] % 6)
    temperature = (-15 if sky == SKY_SNOW else 2) + rolled[1] % 15
    return Weather(
        sky=sky,
        temperature_celsius=temperature,
        wind_speed=25 + rolled[2] % 20 if sky == SKY_STORM else rolled[2] % 12,
        wind_direction_degrees=(rolled[3] << 8 | rolled[4]) % 360,
        visibility_metres=_SEEN_METRES.get(sky, 10_000),
    )


def _beginning(hour: int) -> WorldTime:
    day, minute = divmod(hour * _HOUR_MINUTES, _DAY_MINUTES)
    return WorldTime(day=day + 1, minute_of_day=minute)


ANSWERS = {GetWeatherRequest: get, ForecastWeatherRequest: forecast, SetWeatherRequest: set_}
