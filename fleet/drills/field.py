"""What a drill has in hand: the environment, its load, its notes, and a way back from all that it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from catalog import names
from catalog.service import Service
from fleet.drills.findings import Notes
from fleet.drills.load import Load
from fleet.errors import FleetError, InputError
from fleet.local.plane.client import RunningPlane
from fleet.progress import Step
from fleet.verify.scope import Scope
from fleet.wire import Wire

P = ParamSpec("P")
T = TypeVar("T")

LOOK_SECONDS = 0.5
_LOOK_IN_AWS_SECONDS = 5.0
_MINUTE_SECONDS = 60.0
_CALM_MINUTES = 4


@dataclass
class Field:
    """Where a drill takes place.

    Args:
        scope: The environment.
        step: Where it tells what it does.
        began: When, on the clock of the account.
        service: The service that the user named.
        wire: The way to NATS, where there is one.
        load: What goes on meanwhile, where there is a way to NATS.
    """

    scope: Scope
    step: Step
    began: datetime
    service: str | None = None
    wire: Wire | None = None
    load: Load | None = None
    notes: Notes = field(default_factory=Notes)
    undo: AsyncExitStack = field(default_factory=AsyncExitStack)
    target: str = ""

    @property
    def plane(self) -> RunningPlane:
        """The local plane.

        Raises:
            InputError: The environment is not on this machine.
        """
        if self.scope.plane is None:
            raise InputError(f"{self.scope.name} has no plane on this machine")
        return self.scope.plane

    @property
    def is_local(self) -> bool:
        """Whether the environment runs on this machine."""
        return self.scope.plane is not None

    @property
    def minute_seconds(self) -> float:
        """How long a minute of metrics and alarms takes."""
        return self.scope.plane.minute_seconds if self.scope.plane else _MINUTE_SECONDS

    def within(self, minutes: float, seconds: float = 120.0) -> float:
        """Return a deadline in seconds: minutes of metrics, and time for a slow machine."""
        return minutes * self.minute_seconds + seconds

    async def ask(self, name: str, /, **arguments: Any) -> Any:
        """Have the plane do something."""
        return await asyncio.to_thread(self.plane.ask, name, **arguments)

    async def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call something that waits for AWS."""
        return await asyncio.to_thread(function, *arguments, **named)

    def after(self, undo: Callable[[], Awaitable[object]]) -> None:
        """Have something put back when the drill ends, whatever ends it; say so before it is broken."""

        async def put_back() -> None:
            try:
                await undo()
            except (FleetError, ClientError, OSError) as error:
                self.notes.expect("what was broken is put back", str(error), good=False)

        self.undo.push_async_callback(put_back)

    async def until(self, question: Callable[[], Awaitable[bool]], seconds: float) -> float | None:
        """Ask again and again until it is so; return how many seconds that took, and nothing where it never came."""
        began = time.monotonic()
        while True:
            if await question():
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                return None
            await asyncio.sleep(LOOK_SECONDS if self.is_local else _LOOK_IN_AWS_SECONDS)

    async def expect_within(self, expected: str, question: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Wait for something, and take down whether and when it came."""
        self.step.note(f"waiting: {expected}")
        took = await self.until(question, seconds)
        observed = f"not within {seconds:.0f} s" if took is None else f"after {took:.1f} s"
        return self.notes.expect(expected, observed, good=took is not None)

    def a_service(self, *, cache: bool = False) -> Service:
        """Return the service that the user named, or the first one that fits: it answers a request that only reads.

        Raises:
            InputError: There is none, or the one that was named does not fit.
        """
        fitting = [
            service
            for service in self.scope.catalog.enabled
            if any(route.method == "GET" and route.subject for route in service.routes) and service.cache >= cache
        ]
        if self.service is not None:
            fitting = [service for service in fitting if service.name == self.service]
        if not fitting:
            what = "has a route that reads" + (" and uses the cache" if cache else "")
            raise InputError(f"no enabled service{f' called {self.service}' if self.service else ''} {what}")
        return fitting[0]

    async def described(self, service: str) -> dict[str, Any]:
        """Return a service as ECS has it."""
        cluster = names.cluster(self.scope.name)
        told = await self.call(self.scope.account.ecs.describe_services, cluster=cluster, services=[service])
        return dict(told["services"][0])

    async def tasks(self, service: str) -> dict[str, str]:
        """Return the running tasks of a service by their ARN, with their health."""
        ecs, cluster = self.scope.account.ecs, names.cluster(self.scope.name)
        arns = (await self.call(ecs.list_tasks, cluster=cluster, serviceName=service))["taskArns"]
        if not arns:
            return {}
        described = (await self.call(ecs.describe_tasks, cluster=cluster, tasks=arns))["tasks"]
        running = [task for task in described if task["lastStatus"] == "RUNNING"]
        return {task["taskArn"]: task.get("healthStatus", "UNKNOWN") for task in running}

    async def is_steady(self, service: str) -> bool:
        """Tell whether a service has all of its tasks, healthy, and no deployment under way."""
        described = await self.described(service)
        healthy = [health for health in (await self.tasks(service)).values() if health == "HEALTHY"]
        rolled_out = all(one.get("rolloutState") == "COMPLETED" for one in described["deployments"])
        return len(healthy) >= described["desiredCount"] == described["runningCount"] and rolled_out

    async def alarm_came_to(self, alarm: str, state: str) -> bool:
        """Tell whether an alarm has changed to a state since the drill began."""
        found = await self._history(alarm, "StateUpdate")
        return any(f" to {state}" in item["HistorySummary"] for item in found)

    async def alarm_is(self, alarm: str, state: str) -> bool:
        """Tell whether an alarm is in a state now."""
        found = await self.call(self.scope.account.cloudwatch.describe_alarms, AlarmNames=[alarm])
        return any(one["StateValue"] == state for one in found["MetricAlarms"])

    async def alarm_was_published(self, alarm: str) -> bool:
        """Tell whether an alarm has told the topic since the drill began."""
        found = await self._history(alarm, "Action")
        topic = self.scope.topic_arn
        return any(
            topic in item["HistorySummary"] and item["HistorySummary"].startswith("Successfully") for item in found
        )

    async def find_calm(self, alarm: str) -> None:
        """See that an alarm is calm before anything is broken; one that rings already could tell nothing.

        Raises:
            InputError: It rings.
        """

        async def is_calm() -> bool:
            return not await self.alarm_is(alarm, "ALARM")

        if await self.until(is_calm, self.within(_CALM_MINUTES, seconds=30)) is None:
            raise InputError(f"{alarm} is in ALARM before anything is broken: see its runbook first")

    async def expect_alarm(self, alarm: str, minutes: float) -> bool:
        """Wait for an alarm to go off and to tell the topic."""
        rang = await self.expect_within(
            f"{alarm} goes off", lambda: self.alarm_came_to(alarm, "ALARM"), self.within(minutes)
        )
        return rang and await self.expect_within(
            f"{alarm} tells {names.alerts_topic(self.scope.name)}",
            lambda: self.alarm_was_published(alarm),
            self.within(1),
        )

    async def expect_silence(self, alarm: str, why: str) -> None:
        """Take down that an alarm did not go off."""
        rang = await self.alarm_came_to(alarm, "ALARM")
        self.notes.expect(f"{alarm} keeps quiet: {why}", "it went off" if rang else "quiet", good=not rang)

    async def expect_calm(self, alarm: str, minutes: float) -> None:
        """Wait until an alarm has ended."""
        await self.expect_within(f"{alarm} ends", lambda: self.alarm_is(alarm, "OK"), self.within(minutes))

    async def _history(self, alarm: str, kind: str) -> list[Any]:
        found = await self.call(
            self.scope.account.cloudwatch.describe_alarm_history,
            AlarmName=alarm,
            HistoryItemType=kind,  # type: ignore[arg-type]  # one of the two that it is called with
            StartDate=self.began - timedelta(seconds=1),
        )
        return list(found["AlarmHistoryItems"])
