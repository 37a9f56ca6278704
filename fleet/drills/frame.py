"""The frame of every drill: alone, on a fleet that is whole, under load, with a way back that is gone in any case."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.deploy.stacks import clock
from fleet.drills.field import Field
from fleet.drills.findings import Outcome
from fleet.drills.load import Load, Question, questions_of, under_load
from fleet.drills.lock import alone
from fleet.drills.whole import wanting
from fleet.errors import InputError
from fleet.progress import Step
from fleet.verify.scope import Scope
from fleet.wire import Wire, certificates_of

WHOLE_SECONDS = 300.0
_SERVICES_ASKED = 4
_FROM_INSIDE = "nobody here reaches NATS: run `fleet loadtest` beside the drill, its requests go on from inside"


@dataclass(frozen=True, slots=True)
class Drill:
    """One kind of fault."""

    name: str
    summary: str
    run: Callable[[Field], Awaitable[None]]
    in_aws: bool
    """Whether AWS can break it so; a machine alone can do all of them."""


def run_drill(drill: Drill, scope: Scope, step: Step, service: str | None = None) -> Outcome:
    """Run a drill to its end.

    Raises:
        InputError: It cannot be done there, another one runs, or the fleet is not whole to begin with.
    """
    check_place(drill, scope)
    with alone(scope, drill.name):
        try:
            return asyncio.run(_run(drill, scope, step, service))
        except asyncio.CancelledError as error:
            raise KeyboardInterrupt from error


def check_place(drill: Drill, scope: Scope) -> None:
    """Refuse a drill where it cannot be done.

    Raises:
        InputError: It cannot.
    """
    if scope.plane is None and scope.account.is_local:
        raise InputError("the local plane does not run, so there is nothing to break\n  start it: fleet local up")
    if scope.plane is None and not drill.in_aws:
        raise InputError(f"{drill.name} can be done in the local environment alone: AWS offers no way to break that")


async def _run(drill: Drill, scope: Scope, step: Step, service: str | None) -> Outcome:
    _be_interrupted_by_signals()
    started, began = datetime.now(UTC), time.monotonic()
    field = Field(scope, step, await asyncio.to_thread(clock, scope.account), service)
    if faults := await wanting(field):
        raise InputError(f"the fleet is not whole, so a drill would tell nothing: {'; '.join(faults)}")
    async with AsyncExitStack() as loaded:
        if scope.plane is not None:
            servers = (await field.ask("status"))["nats_servers"]
            field.wire = await asyncio.to_thread(Wire, certificates_of(scope.account, scope.environment), servers)
            asked = _asked(field)
            field.load = await loaded.enter_async_context(under_load(field.wire, asked))
            field.load.begin()
            step.note(
                f"under load: {', '.join(one.subject for one in asked)}, and messages that JetStream acknowledges"
            )
        try:
            await drill.run(field)
        finally:
            # Also where somebody interrupts: nothing stays broken.
            await asyncio.shield(field.undo.aclose())
        await field.expect_within(
            "the fleet is as it was found: every task, node and cache healthy", lambda: _is_whole(field), WHOLE_SECONDS
        )
        await _judge(field)
    return Outcome(drill.name, scope.name, field.target, started, time.monotonic() - began, field.notes.findings)


def _be_interrupted_by_signals() -> None:
    """Have the signals that end a process end the drill alone, so that it puts back what it broke."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101 - this is one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)


def _asked(field: Field) -> list[Question]:
    """Return what is asked: the service that the drill may break first, and some others."""
    services = [service for service in field.scope.catalog.enabled if service.routes]
    services.sort(key=lambda service: service.name != field.service)
    return questions_of(services)[:_SERVICES_ASKED]


async def _is_whole(field: Field) -> bool:
    return not await wanting(field)


async def _judge(field: Field) -> None:
    """See that the load goes on, and that nothing acknowledged is lost."""
    expected = "no message that JetStream has acknowledged is lost"
    if field.load is None:
        field.notes.not_seen(expected, _FROM_INSIDE)
        return
    load: Load = field.load
    steady = await load.more()
    field.notes.expect("in the end every request is answered again", "it is" if steady else "it is not", good=steady)
    load.end()
    lost = await load.lost()
    count = len(load.acknowledged)
    told = f"{count - len(lost)} of {count} are there, in order" + (f"; lost: {lost[:10]}" if lost else "")
    field.notes.expect(expected, f"{told}; {load.unacknowledged} were not acknowledged", good=not lost and count > 0)
