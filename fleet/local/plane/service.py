"""One service: the scheduler's decisions carried out, and what is told of it."""

from __future__ import annotations

import collections
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fleet.local.plane import scheduler
from fleet.local.plane.definition import CannotRunError, Definition
from fleet.local.plane.scheduler import Deployment, Plan, Service
from fleet.local.plane.task import RunningTask, Surroundings
from fleet.local.plane.wanted import WantedService

_TOLD_EVENTS = 100
_TOLD_STOPPED = 10
_log = logging.getLogger(__name__)


class RunningService:
    """The tasks of a service.

    Args:
        wanted: What ECS wants.
        surroundings: What its tasks are started with.
        definition: Reads a task definition; raises `CannotRunError`.
    """

    def __init__(
        self, wanted: WantedService, surroundings: Surroundings, definition: Callable[[str], Definition]
    ) -> None:
        self.wanted = wanted
        self.tasks: list[RunningTask] = []
        self.stopped: collections.deque[RunningTask] = collections.deque()
        self.restarts = 0
        self.is_deleted = False
        self.events: collections.deque[dict[str, Any]] = collections.deque(maxlen=_TOLD_EVENTS)
        self.rolled_back: tuple[str, str] | None = None
        """Deployment that has failed, and the one that takes over again."""
        self._surroundings = surroundings
        self._definition = definition
        self._deployments: dict[str, Deployment] = {}
        self._steady: bool | None = None

    @property
    def primary(self) -> Deployment:
        """The primary deployment, as it stands."""
        return self._deployments.get(self.wanted.primary.id, self.wanted.primary)

    @property
    def running_count(self) -> int:
        """How many tasks run."""
        return sum(task.status == "RUNNING" for task in self.tasks)

    @property
    def healthy_count(self) -> int:
        """How many tasks of the primary deployment are healthy."""
        return sum(task.seen.is_healthy and task.deployment == self.primary.id for task in self.tasks)

    @property
    def is_ready(self) -> bool:
        """Whether it is all that it is to be."""
        return self.primary.rollout == "COMPLETED" and self.healthy_count >= self.wanted.desired

    @property
    def has_failed(self) -> bool:
        """Whether it will not become ready by itself."""
        return self.primary.rollout == "FAILED"

    def step(self, now: float) -> None:
        """Do what is to be done now."""
        for task in [task for task in self.tasks if task.ended is not None]:
            self._bury(task, now)
        if self.is_deleted:
            return
        plan = scheduler.plan(self._service(), [task.seen for task in self.tasks], now)
        self._record(plan)
        for stop in plan.stop:
            self._stop(stop, now)
        for _ in range(plan.start):
            self._start(now)
        self._tell_steady()

    def delete(self, reason: str) -> None:
        """Stop every task, and start no more."""
        self.is_deleted = True
        for task in self.tasks:
            task.stop(reason)

    def clean_up(self) -> None:
        """Remove the files of tasks that have ended."""
        for task in self.stopped:
            task.clean_up()

    def deployments(self) -> list[dict[str, Any]]:
        """Return what is told of each deployment that has tasks or an outcome."""
        return [
            {
                "id": deployment.id,
                "rolloutState": deployment.rollout,
                "rolloutStateReason": deployment.reason or f"ECS deployment {deployment.id} in progress.",
                "failedTasks": deployment.failed_tasks,
                "runningCount": sum(
                    task.status == "RUNNING" for task in self.tasks if task.deployment == deployment.id
                ),
                "pendingCount": sum(
                    task.status == "PENDING" for task in self.tasks if task.deployment == deployment.id
                ),
            }
            for deployment in [self.primary, *(d for d in self._deployments.values() if d.id != self.primary.id)]
        ]

    def _service(self) -> Service:
        wanted = self.wanted
        return Service(
            name=wanted.name,
            desired=wanted.desired,
            primary=self.primary,
            completed=wanted.completed,
            minimum_percent=wanted.minimum_percent,
            maximum_percent=wanted.maximum_percent,
            breaker=wanted.breaker,
        )

    def _record(self, plan: Plan) -> None:
        before, after = self.primary, plan.primary
        self._deployments[after.id] = after
        if before.rollout == after.rollout:
            return
        if after.rollout == "COMPLETED":
            self._tell(f"(deployment {after.id}) deployment completed.")
            # What came before it is history; a deployment without tasks is told of no more.
            self._deployments = {after.id: after}
            self.rolled_back = None
        elif after.rollout == "FAILED":
            self._tell(f"(deployment {after.id}) deployment failed: tasks failed to start.")
            if plan.rolls_back and self.wanted.completed is not None:
                target = self.wanted.completed
                self._deployments[target.id] = replace(
                    target,
                    rollout="IN_PROGRESS",
                    reason=f"ECS deployment circuit breaker: rolling back to deploymentId {target.id}.",
                )
                self.rolled_back = after.id, target.id
                self._tell(f"rolling back to deployment {target.id}.")

    def _start(self, now: float) -> None:
        primary = self.primary
        try:
            definition = self._definition(primary.task_definition)
        except CannotRunError as error:
            self._tell(f"was unable to place a task. Reason: {error}")
            unborn = scheduler.Task(id="", deployment=primary.id, status="PENDING")
            self._deployments[primary.id] = scheduler.failed(primary, unborn, now)
            return
        partition_and_account = self.wanted.arn.partition(":service/")[0]
        task = RunningTask(
            self._surroundings,
            service=self.wanted.name,
            cluster=self.wanted.cluster,
            arn_prefix=f"{partition_and_account}:task/{self.wanted.cluster}/",
            deployment=primary.id,
            definition=definition,
        )
        self.tasks.append(task)
        self._tell(f"has started 1 tasks: (task {task.id}).")

    def _stop(self, stop: scheduler.Stop, now: float) -> None:
        (task,) = [task for task in self.tasks if task.id == stop.task]
        if task.health == "UNHEALTHY":
            self.restarts += 1
            self._count_failure(task, now)
            self._tell(f"(task {task.id}) failed container health checks.")
        task.stop(stop.reason)
        self._tell(f"has stopped 1 running tasks: (task {task.id}).")

    def _bury(self, task: RunningTask, now: float) -> None:
        self.tasks.remove(task)
        if not task.was_told:
            self.restarts += 1
            self._count_failure(task, now)
            self._tell(f"(task {task.id}) stopped: {task.reason}")
        self.stopped.append(task)
        while len(self.stopped) > _TOLD_STOPPED:
            self.stopped.popleft().clean_up()

    def _count_failure(self, task: RunningTask, now: float) -> None:
        deployment = self.primary if task.deployment == self.primary.id else self._deployments.get(task.deployment)
        if deployment is not None:
            self._deployments[deployment.id] = scheduler.failed(deployment, task.seen, now)

    def _tell(self, message: str) -> None:
        _log.info("%s %s", self.wanted.name, message)
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": time.time(),
            "message": f"(service {self.wanted.name}) {message}",
        }
        self.events.appendleft(event)

    def _tell_steady(self) -> None:
        before, self._steady = self._steady, self.is_ready
        if self._steady and not before:
            self._tell("has reached a steady state.")
