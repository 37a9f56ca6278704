"""Have a service answer nobody any more: its callers' circuit breaker opens and spares them the wait, ECS heals, the breaker closes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from catalog import names
from catalog.service import Service
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.errors import InputError
from fleet.verify.gateway import KEY, Answer, Gateway, path_for
from fleet.verify.wire import everybody

_CALLERS = 8
_OPEN_SECONDS = 60.0
_FAST_SECONDS = 0.5
_HEALED_MINUTES = 10
_CLOSED_SECONDS = 180.0
_CHANGED = "a circuit breaker changed its state"


async def run(field: Field) -> None:
    """Break and watch."""
    service = field.a_service()
    field.target = service.name
    doors = [one for one in field.scope.catalog.enabled if field.scope.catalog.is_gateway(one)]
    gateway = await _gateway(field, doors)
    path = next(path_for(route) for route in service.routes if route.method == "GET" and route.subject)
    before = await _ask(gateway, path)
    good = before.status < 500  # noqa: PLR2004
    field.notes.expect("the gateway answers before anything is broken", f"GET {path}: {before}", good=good)
    tasks = [arn.rpartition("/")[2] for arn in await field.tasks(service.name)]

    async def resume() -> None:
        for task in tasks:
            try:
                await field.ask("resume", name=task)
            except InputError:
                continue  # ECS has replaced it

    field.after(resume)
    for task in tasks:
        await field.ask("pause", name=task)
    answers = await _until_open(gateway, path)
    told = ", ".join(dict.fromkeys(str(answer) for answer, _ in answers))
    timeouts = [answer for answer, _ in answers if answer.status == 504]  # noqa: PLR2004
    field.notes.expect("callers are told that the service did not answer: 504", told, good=bool(timeouts))
    fastest = min((seconds for answer, seconds in answers if answer.status == 503), default=None)  # noqa: PLR2004
    field.notes.expect(
        f"then the breaker is open, and tells them at once: 503 within {_FAST_SECONDS} s",
        "never" if fastest is None else f"after {fastest:.3f} s", good=fastest is not None and fastest < _FAST_SECONDS,
    )  # fmt: skip
    await field.expect_within(
        f"ECS replaces the tasks of {service.name}, since their health check fails",
        lambda: _are_replaced(field, service, set(tasks)),
        field.within(_HEALED_MINUTES),
    )

    async def answers_again() -> bool:
        return (await _ask(gateway, path)).status < 500  # noqa: PLR2004

    await field.expect_within("the breaker tries, closes, and callers get answers", answers_again, _CLOSED_SECONDS)

    async def is_closed() -> bool:
        for _ in range(2):
            await _ask(gateway, path)
        return not await _not_closed(field, doors[0])

    await field.expect_within("no breaker of the gateway is open any more", is_closed, _CLOSED_SECONDS)
    await field.expect_within(
        "the gateway's log tells that the breaker opened", lambda: _is_logged(field, doors[0]), field.within(1, 30)
    )


async def _gateway(field: Field, doors: list[Service]) -> Gateway:
    if not doors or field.scope.gateway is None:
        raise InputError("no gateway runs here, and its breaker is what this drill looks at")
    name = names.secret(doors[0].name, KEY, field.scope.name)
    key = (await field.call(field.scope.account.secretsmanager.get_secret_value, SecretId=name))["SecretString"]
    return Gateway(field.scope.gateway, key)


async def _ask(gateway: Gateway, path: str) -> Answer:
    try:
        return await asyncio.to_thread(gateway.ask, "GET", path)
    except OSError as error:
        return Answer(599, str(error))


async def _until_open(gateway: Gateway, path: str) -> list[tuple[Answer, float]]:
    """Ask as several callers do until one is told at once; return each answer and how long it took."""
    answers: list[tuple[Answer, float]] = []
    end = time.monotonic() + _OPEN_SECONDS
    is_open = asyncio.Event()

    async def call_again_and_again() -> None:
        while not is_open.is_set() and time.monotonic() < end:
            began = time.monotonic()
            answer = await _ask(gateway, path)
            seconds = time.monotonic() - began
            answers.append((answer, seconds))
            if answer.status == 503 and seconds < _FAST_SECONDS:  # noqa: PLR2004
                is_open.set()

    await asyncio.gather(*(call_again_and_again() for _ in range(_CALLERS)))
    return answers


async def _is_logged(field: Field, door: Service) -> bool:
    found: Any = await field.call(
        field.scope.account.logs.filter_log_events,
        logGroupName=names.log_group(field.scope.name),
        logStreamNamePrefix=f"{door.name}/",
        startTime=int(field.began.timestamp() * 1000),
        filterPattern=json.dumps(_CHANGED),
    )
    return any(_CHANGED in event["message"] and '"open"' in event["message"] for event in found["events"])


async def _are_replaced(field: Field, service: Service, paused: set[str]) -> bool:
    healthy = {
        arn.rpartition("/")[2] for arn, health in (await field.tasks(service.name)).items() if health == "HEALTHY"
    }
    return len(healthy - paused) >= service.replicas


async def _not_closed(field: Field, door: Service) -> set[str]:
    assert field.wire is not None  # noqa: S101 - here alone
    asker = await field.wire.connect("loadtest")
    try:
        answers = (await everybody(asker, "STATS", {door.name: door.replicas})).get(door.name, [])
    finally:
        await asker.close()
    return {
        name for answer in answers for name in answer.get("metadata", {}).get("circuit_breaker.not_closed", "").split()
    }


DRILL = Drill(
    name="slow-responder",
    summary="Stop every task of a service; the gateway's breaker opens, ECS heals, the breaker closes.",
    run=run,
    in_aws=False,
)
