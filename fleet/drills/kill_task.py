"""Kill one task of a service, and every one that takes its place, until the alarm has gone off: then let it heal."""

from __future__ import annotations

import asyncio

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill

_REASON = "fleet drill kill-task"
_ALARM_MINUTES = 5  # three below the limit, the minute that has begun, and one for CloudWatch to look
_CALM_MINUTES = 4
_HEALED_MINUTES = 6
# Requests that the killed task had taken are lost with it: one each time, since one of a subject is under way at a time.
_LOST_A_KILL = 2


async def run(field: Field) -> None:
    """Break and watch."""
    service = field.a_service()
    field.target = service.name
    alarm = names.alarm(service.name, "tasks-low", field.scope.name)
    await field.find_calm(alarm)
    spared = sorted(await field.tasks(service.name))[1:]
    end = asyncio.Event()
    killing = asyncio.create_task(_kill_again_and_again(field, service.name, set(spared), end))

    async def stop_killing() -> None:
        end.set()
        await killing

    field.after(stop_killing)
    await field.expect_alarm(alarm, _ALARM_MINUTES)
    await stop_killing()
    killed = killing.result()
    field.notes.expect(
        "ECS starts another task each time that one ends", f"{killed} were killed one after the other", good=killed > 0
    )
    if field.load is not None:
        for subject, failures in field.load.failures.items():
            if subject not in service.nats.serves:
                continue
            count, answered = failures.total(), field.load.answers[subject].count
            field.notes.expect(
                f"the other task goes on answering {subject}: at most {_LOST_A_KILL} requests are lost with a killed one",
                f"{answered} answered, {count} lost", good=answered > 0 and count <= _LOST_A_KILL * max(killed, 1),
            )  # fmt: skip
    await field.expect_within(
        f"{service.name} has its {service.replicas} healthy tasks again",
        lambda: field.is_steady(service.name),
        field.within(_HEALED_MINUTES),
    )
    await field.expect_calm(alarm, _CALM_MINUTES)


async def _kill_again_and_again(field: Field, service: str, spared: set[str], end: asyncio.Event) -> int:
    """Kill whatever task is not spared; return how many were killed."""
    killed: set[str] = set()
    while not end.is_set():
        for arn in set(await field.tasks(service)) - spared - killed:
            await _kill(field, arn)
            killed.add(arn)
        try:
            async with asyncio.timeout(0.3 if field.is_local else 5):
                await end.wait()
        except TimeoutError:
            continue
    return len(killed)


async def _kill(field: Field, arn: str) -> None:
    if field.is_local:
        await field.ask("kill", name=arn)
        return
    ecs, cluster = field.scope.account.ecs, names.cluster(field.scope.name)
    await field.call(ecs.stop_task, cluster=cluster, task=arn, reason=_REASON)


DRILL = Drill(
    name="kill-task",
    summary="Kill a task and each that follows it until its alarm goes off; ECS heals it.",
    run=run,
    in_aws=True,
)
