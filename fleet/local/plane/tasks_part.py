"""The part that runs what ECS wants: it reads what is wanted, decides, and tells what is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.account import Account
from fleet.errors import InputError
from fleet.local.plane import reports
from fleet.local.plane.plane import Plane
from fleet.local.plane.ports import PortBook
from fleet.local.plane.service import RunningService
from fleet.local.plane.task import RunningTask, Surroundings, plain
from fleet.local.plane.wanted import Ecs, WantedService
from fleet.local.server import environment_for

LOOK_SECONDS = 1.0
_LEAST_SECONDS = 0.1
_AT_ONCE = 6
_END_SECONDS = 40.0
_MINUTE_SECONDS = 60.0
_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}
_TOLD_VARIABLES = ("AWS_", "NO_PROXY", "no_proxy")
_log = logging.getLogger(__name__)


class Tasks:
    """The tasks of every service.

    Args:
        plane: What the parts share.
    """

    name = "tasks"

    def __init__(self, plane: Plane) -> None:
        self.services: dict[str, RunningService] = {}
        self._plane = plane
        self._ecs: Ecs | None = None
        self._has_read = False
        self._surroundings = Surroundings(
            folder=plane.folder / "tasks",
            processes=plane.processes,
            ports=PortBook(plane.folder / "ports.json"),
            places=plane.addresses,
            base=self._base,
            secrets=lambda definition: self._known().secrets(definition),
            check_image=lambda definition: self._known().check_image(definition),
            starting=asyncio.Semaphore(_AT_ONCE),
            scale=lambda: plane.minute_seconds / _MINUTE_SECONDS,
        )
        plane.tasks = self
        for name in _SIGNALS:
            plane.control.register(name, self._signal_handler(name))
        plane.control.register("stop-task", self._stop_task)

    async def run(self) -> None:
        """Follow ECS until cancelled, then end every task."""
        try:
            while True:
                began = time.monotonic()
                account = await self._plane.account()
                if account is not None:
                    await self._look(account)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, began + LOOK_SECONDS - time.monotonic())):
                        await self._follow()
        finally:
            await asyncio.shield(self._end())

    async def _look(self, account: Account) -> None:
        """Tell what is, and read what is wanted; what runs goes on where the local AWS does not answer."""
        if self._ecs is None or self._ecs.account is not account:
            self._ecs = Ecs(account)
        try:
            await self._tell(account)
            self._take(await asyncio.to_thread(self._ecs.services))
        except (BotoCoreError, ClientError, OSError) as error:
            _log.warning("the local AWS does not answer: %s", error)
            return
        self._has_read = True
        self._step()

    async def _follow(self) -> None:
        """Decide anew each time that something changes, and tell of it."""
        while True:
            await self._surroundings.changed.wait()
            self._surroundings.changed.clear()
            self._step()
            if (account := await self._plane.account()) is not None:
                with contextlib.suppress(OSError):
                    await self._tell(account)
            await asyncio.sleep(_LEAST_SECONDS)

    async def _tell(self, account: Account) -> None:
        if account.server is None:
            return
        told = {
            "control": self._plane.address,
            "token": self._plane.control.token,
            "minute_seconds": self._plane.minute_seconds,
            "services": reports.report(self.services.values()),
            **self._plane.beat,
        }
        await asyncio.to_thread(reports.send, account.server.endpoint, told)

    def _take(self, wanted: list[WantedService]) -> None:
        for service in wanted:
            if service.arn in self.services:
                self.services[service.arn].wanted = service
            else:
                self.services[service.arn] = RunningService(service, self._surroundings, self._definition)
        arns = {service.arn for service in wanted}
        for arn, running in list(self.services.items()):
            if arn in arns:
                continue
            running.delete("The service was deleted")
            if not running.tasks:
                running.clean_up()
                del self.services[arn]

    def _step(self) -> None:
        if self._plane.holds_tasks:
            return
        now = time.time()
        for service in self.services.values():
            service.step(now)
        for listener in self._plane.on_step:
            listener()

    def _definition(self, arn: str) -> Any:
        return self._known().definition(arn)

    def _known(self) -> Ecs:
        assert self._ecs is not None  # noqa: S101 - a task is started after ECS was read
        return self._ecs

    def _base(self) -> Mapping[str, str]:
        server = self._known().account.server
        assert server is not None  # noqa: S101 - the plane follows the local AWS and no other
        return {name: value for name, value in environment_for(server).items() if name.startswith(_TOLD_VARIABLES)}

    def status(self) -> Any:
        """Return each service with its tasks."""
        return {
            "follows": self._has_read,
            "services": [
                {
                    "name": service.wanted.name,
                    "desired": service.wanted.desired,
                    "running": service.running_count,
                    "healthy": service.healthy_count,
                    "ready": service.is_ready,
                    "failed": service.has_failed,
                    "rollout": service.primary.rollout,
                    "reason": service.primary.reason,
                    "restarts": service.restarts,
                    "last_event": service.events[0]["message"] if service.events else "",
                    "tasks": [plain(task) for task in service.tasks],
                    "stopped": [plain(task) for task in service.stopped],
                }
                for service in sorted(self.services.values(), key=lambda service: service.wanted.name)
            ],
        }

    def all_tasks(self) -> list[RunningTask]:
        """Return the tasks of every service that have not ended."""
        return [task for service in self.services.values() for task in service.tasks]

    def known_tasks(self) -> list[RunningTask]:
        """Return the tasks of every service, those that ended a moment ago among them."""
        return [task for service in self.services.values() for task in [*service.stopped, *service.tasks]]

    def _signal_handler(self, name: str) -> Any:
        async def handle(arguments: Mapping[str, Any]) -> Any:
            return {"signalled": self._signal(str(arguments.get("name", "")), _SIGNALS[name])}

        return handle

    def _signal(self, name: str, number: int) -> str:
        """Send a signal to a task, by its id or its service's name, or to what another part runs.

        Raises:
            InputError: There is none of that name.
        """
        if name in self._plane.signals:
            self._plane.signals[name](number)
            return name
        for task in self.all_tasks():
            if name in {task.id, task.arn, task.service} and task.signal(number):
                return task.id
        others = ", ".join(sorted({task.service for task in self.all_tasks()} | set(self._plane.signals)))
        raise InputError(f"nothing that runs is called {name!r}; there are: {others or 'none'}, and the ids of tasks")

    async def _stop_task(self, arguments: Mapping[str, Any]) -> Any:
        """Stop a task, as StopTask does.

        Raises:
            InputError: There is no such task.
        """
        for task in self.all_tasks():
            if arguments["task"] in {task.id, task.arn}:
                task.by_user = True
                task.stop(arguments.get("reason") or "Task stopped by user")
                self._surroundings.changed.set()
                return {"task": task.arn}
        raise InputError(f"The referenced task was not found: {arguments['task']}")

    async def _end(self) -> None:
        for service in self.services.values():
            service.delete("The local plane stops")
        waiting = [asyncio.create_task(task.wait()) for task in self.all_tasks()]
        if waiting:
            await asyncio.wait(waiting, timeout=_END_SECONDS)
        account = await self._plane.account()
        if account is not None and account.server is not None:
            # Without a control address: it takes its leave.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(reports.send, account.server.endpoint, {})
