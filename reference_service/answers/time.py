"""`time.*`: the clock of the world, and events at a time of it."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from proto.generated.gaming.infrastructure.v1.event_pb2 import Event, PublishEventReply, PublishEventRequest
from proto.generated.gaming.infrastructure.v1.time_pb2 import (
    DAY_PHASE_DAWN,
    DAY_PHASE_DAY,
    DAY_PHASE_DUSK,
    DAY_PHASE_NIGHT,
    CreateScheduleReply,
    CreateScheduleRequest,
    GetTimeReply,
    GetTimeRequest,
    SetTimeScaleReply,
    SetTimeScaleRequest,
    WorldTime,
)
from reference_service.runtime import PUBLISH, Runtime, number, struct
from reference_service.validation import refuse

DAY_MINUTES = 1440
_SCHEDULE = "schedule"
_CLOCK = "clock"
_PHASES = ((300, DAY_PHASE_NIGHT), (420, DAY_PHASE_DAWN), (1080, DAY_PHASE_DAY), (1200, DAY_PHASE_DUSK))
# The clock as it is kept: at `real` seconds since 1970 it was `minutes` since the world began, and runs `scale` times as fast.
_REAL, _MINUTES, _SCALE = "real", "minutes", "scale"
_DUE, _REPEAT, _TYPE = "due", "repeat", "type"


async def get(runtime: Runtime, _: GetTimeRequest) -> GetTimeReply:
    """Tell the time."""
    clock, now = await _clock(runtime), runtime.now()
    return GetTimeReply(world_time=world_time(_at(clock, now)), real_time=runtime.stamp(), scale=number(clock, _SCALE))


async def set_scale(runtime: Runtime, request: SetTimeScaleRequest) -> SetTimeScaleReply:
    """Let time run at another pace from now on."""
    most = await runtime.setting("time.scale.max", 1000.0)
    if isinstance(most, float) and request.scale > most:
        raise refuse("scale", f"is {request.scale:g}; the setting time.scale.max allows {most:g}")
    previous, minutes = 0.0, 0.0

    def change(clock: Struct) -> None:
        nonlocal previous, minutes
        now = runtime.now()
        previous, minutes = number(clock, _SCALE), _at(clock, now)
        if previous != request.scale:
            clock.update({_REAL: now.timestamp(), _MINUTES: minutes, _SCALE: request.scale})

    await runtime.store.change(Struct, _CLOCK, edit=change, make=lambda: _first(runtime))
    if previous != request.scale:
        await runtime.tell("time.scale.changed", scale=request.scale, previous=previous)
    return SetTimeScaleReply(world_time=world_time(minutes), previous_scale=previous)


async def schedule(runtime: Runtime, request: CreateScheduleRequest) -> CreateScheduleReply:
    """Have an event published at a time of the world."""
    clock, now = await _clock(runtime), runtime.now()
    due = float((request.first_at.day - 1) * DAY_MINUTES + request.first_at.minute_of_day)
    minutes = _at(clock, now)
    if due <= minutes:
        raise refuse("first_at", f"is over; it is day {world_time(minutes).day}, {minutes % DAY_MINUTES:.0f} min, now")
    schedule_id = uuid.uuid4().hex
    kept = struct({_DUE: due, _REPEAT: request.repeat_every_minutes, _TYPE: request.event_type})
    await runtime.store.add(kept, _SCHEDULE, schedule_id)
    expected = Timestamp()
    if number(clock, _SCALE):  # while the clock stands, nobody knows when
        expected.FromDatetime(now + timedelta(minutes=(due - minutes) / number(clock, _SCALE)))
    return CreateScheduleReply(schedule_id=schedule_id, expected_at=expected if number(clock, _SCALE) else None)


async def tick(runtime: Runtime) -> None:
    """Publish what is due. All replicas do, and an event that two publish is one: its identifier says which it is."""
    minutes = _at(await _clock(runtime), runtime.now())
    for schedule_id, kept in await _schedules(runtime):
        due = number(kept, _DUE)
        if due > minutes:
            continue
        event = Event(
            event_id=f"{schedule_id}-{due:.0f}",
            type=str(kept[_TYPE]),
            source=runtime.service,
            occurred_at=runtime.stamp(),
            payload=struct({"schedule_id": schedule_id}),
        )
        await runtime.ask(PUBLISH, PublishEventRequest(event=event), PublishEventReply)
        await _advance(runtime, schedule_id, due, minutes)


async def _advance(runtime: Runtime, schedule_id: str, due: float, minutes: float) -> None:
    """Set a schedule to its next time, unless the other replica has."""

    def move(kept: Struct) -> None:
        if kept[_DUE] == due and number(kept, _REPEAT):
            missed = (minutes - due) // number(kept, _REPEAT)
            kept[_DUE] = due + (missed + 1) * number(kept, _REPEAT)

    found = await runtime.store.find(Struct, _SCHEDULE, schedule_id)
    if found is None:
        return
    if number(found, _REPEAT):
        await runtime.store.change(Struct, _SCHEDULE, schedule_id, edit=move)
    else:
        await runtime.store.delete(Struct, _SCHEDULE, schedule_id)


async def _schedules(runtime: Runtime) -> list[tuple[str, Struct]]:
    return [(names[-1], kept) for names, kept in await runtime.store.named(Struct, _SCHEDULE)]


async def _clock(runtime: Runtime) -> Struct:
    found = await runtime.store.find(Struct, _CLOCK)
    if found is not None:
        return found
    return await runtime.store.change(Struct, _CLOCK, edit=lambda _: None, make=lambda: _first(runtime))


def _first(runtime: Runtime) -> Struct:
    """Return the clock of a world that begins now, at dawn of its first day."""
    day_minutes = float(runtime.variables.get("WORLD_DAY_MINUTES", "120"))
    return struct({_REAL: runtime.now().timestamp(), _MINUTES: 360.0, _SCALE: DAY_MINUTES / day_minutes})


def _at(clock: Struct, now: datetime) -> float:
    passed = now.timestamp() - number(clock, _REAL)
    return number(clock, _MINUTES) + max(0.0, passed) / 60 * number(clock, _SCALE)


def world_time(minutes: float) -> WorldTime:
    """Return a moment of the world by its minutes since it began."""
    day, minute = divmod(int(minutes), DAY_MINUTES)
    phase = next((phase for end, phase in _PHASES if minute < end), DAY_PHASE_NIGHT)
    return WorldTime(day=day + 1, minute_of_day=minute, phase=phase)


ANSWERS = {GetTimeRequest: get, SetTimeScaleRequest: set_scale, CreateScheduleRequest: schedule}
TICK = tick
