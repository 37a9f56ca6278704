"""What ECS would do next for a service: which tasks to start and to stop, and what has become of its deployments.

Pure: everything that it decides by is given, so that each rule can be tested by itself. The rules are ECS's for rolling updates, with one
simplification: an unhealthy task is stopped first and replaced then, whatever the maximum percent would allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Status = Literal["PENDING", "RUNNING", "STOPPING"]
Health = Literal["UNKNOWN", "HEALTHY", "UNHEALTHY"]
Rollout = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]

_LONGEST_DELAY_SECONDS = 60.0
_BOUNDED = 3, 200
_HALF_PERCENT = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """A service's deployment circuit breaker."""

    is_enabled: bool = False
    rolls_back: bool = False
    type: str = "BOUNDED_PERCENT"
    value: int = _HALF_PERCENT
    resets_on_healthy: bool = True

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Breaker:
        """Take what DescribeServices tells."""
        threshold = plain.get("thresholdConfiguration") or {}
        return cls(
            is_enabled=plain.get("enable", False),
            rolls_back=plain.get("rollback", False),
            type=threshold.get("type", "BOUNDED_PERCENT"),
            value=threshold.get("value", _HALF_PERCENT),
            resets_on_healthy=plain.get("resetOnHealthyTask", True),
        )

    def threshold(self, desired: int) -> int:
        """Return how many tasks may fail before a deployment has failed."""
        if self.type == "COUNT":
            return max(1, self.value)
        count = math.ceil(desired * self.value / 100)
        lowest, highest = _BOUNDED
        return max(1, count) if self.type == "UNBOUNDED_PERCENT" else min(max(count, lowest), highest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A version of a service that is, was or was to be rolled out."""

    id: str
    task_definition: str
    rollout: Rollout = "IN_PROGRESS"
    failed_tasks: int = 0
    """Since the last healthy one."""
    last_failure: float = -math.inf
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task, as the scheduler sees it; one that has ended is not seen any more."""

    id: str
    deployment: str
    status: Status
    health: Health = "UNKNOWN"
    started: float = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether it counts as one that serves."""
        return self.status == "RUNNING" and self.health == "HEALTHY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What is wanted of a service."""

    name: str
    desired: int
    primary: Deployment
    completed: Deployment | None = None
    """The last deployment before the primary one that was completed: where a failed one goes back to."""
    minimum_percent: int = 100
    maximum_percent: int = 200
    breaker: Breaker = field(default_factory=Breaker)

    @property
    def least_healthy(self) -> int:
        """How many tasks must stay healthy while others are replaced."""
        return math.ceil(self.desired * self.minimum_percent / 100)

    @property
    def most_tasks(self) -> int:
        """How many tasks there may be at a time."""
        return math.floor(self.desired * self.maximum_percent / 100)


@dataclass(frozen=True, slots=True)
class Stop:
    """A task is to be stopped."""

    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now."""

    primary: Deployment
    """What has become of the primary deployment."""
    start: int = 0
    """How many tasks of it are to be started."""
    stop: Sequence[Stop] = ()
    rolls_back: bool = False
    """Whether the completed deployment is to be the primary one again."""


def plan(service: Service, tasks: Sequence[Task], now: float) -> Plan:
    """Return what ECS would do now."""
    primary = _outcome(service, tasks)
    if primary.rollout == "FAILED":
        return _after_failure(service, primary, tasks)
    active = [task for task in tasks if task.status != "STOPPING"]
    own = [task for task in active if task.deployment == primary.id]
    stops = [Stop(task.id, "Task failed container health checks") for task in active if task.health == "UNHEALTHY"]
    gone = {stop.task for stop in stops}
    own = [task for task in own if task.id not in gone]
    others = [task for task in active if task.deployment != primary.id and task.id not in gone]
    stops += _scaled_in(own, service.desired, primary)
    stops += _replaced(own, others, service)
    missing = service.desired - len(own)
    room = service.most_tasks - len(own) - len(others)
    may_start = now >= primary.last_failure + _delay(primary.failed_tasks)
    return Plan(primary, max(0, min(missing, room)) if may_start else 0, tuple(stops))


def failed(deployment: Deployment, task: Task, now: float) -> Deployment:
    """Return a deployment after one of its tasks ended that was not told to."""
    # One that was healthy did start: that it ended later says nothing against the version, and it is replaced at once.
    if task.health == "HEALTHY" or deployment.rollout == "FAILED":
        return deployment
    return replace(deployment, failed_tasks=deployment.failed_tasks + 1, last_failure=now)


def _outcome(service: Service, tasks: Sequence[Task]) -> Deployment:
    """Return the primary deployment as it stands: under way, completed, or failed."""
    primary = service.primary
    own = [task for task in tasks if task.deployment == primary.id and task.status != "STOPPING"]
    healthy = sum(task.is_healthy for task in own)
    if healthy and service.breaker.resets_on_healthy and primary.failed_tasks and _is_newer(own, primary):
        primary = replace(primary, failed_tasks=0)
    if primary.rollout != "IN_PROGRESS":
        return primary
    if healthy >= service.desired and len(own) == service.desired == len(tasks):
        return replace(primary, rollout="COMPLETED", reason=f"ECS deployment {primary.id} completed.", failed_tasks=0)
    if service.breaker.is_enabled and primary.failed_tasks >= service.breaker.threshold(service.desired):
        return replace(primary, rollout="FAILED", reason="ECS deployment circuit breaker: tasks failed to start.")
    return replace(primary, reason=primary.reason or f"ECS deployment {primary.id} in progress.")


def _is_newer(own: Sequence[Task], primary: Deployment) -> bool:
    """Tell whether a task became healthy that was started after the last failure."""
    return any(task.is_healthy and task.started > primary.last_failure for task in own)


def _after_failure(service: Service, primary: Deployment, tasks: Sequence[Task]) -> Plan:
    """Stop what does not serve of what has failed; what was there before takes over again where it may, and replaces the rest."""
    stops = [
        Stop(task.id, "Deployment failed: the deployment circuit breaker was triggered")
        for task in tasks
        if task.deployment == primary.id and task.status != "STOPPING" and not task.is_healthy
    ]
    return Plan(primary, 0, tuple(stops), service.breaker.rolls_back and service.completed is not None)


def _scaled_in(own: Sequence[Task], desired: int, primary: Deployment) -> list[Stop]:
    """Stop what is too much of the primary deployment: what does not serve yet, then the youngest."""
    surplus = len(own) - desired
    if surplus <= 0:
        return []
    ordered = sorted(own, key=lambda task: (task.is_healthy, -task.started))
    return [Stop(task.id, f"Scaling activity initiated by {primary.id}") for task in ordered[:surplus]]


def _replaced(own: Sequence[Task], others: Sequence[Task], service: Service) -> list[Stop]:
    """Stop what belongs to other deployments, as far as enough stays healthy without it."""
    spare = sum(task.is_healthy for task in [*own, *others]) - service.least_healthy
    stops = []
    for task in sorted(others, key=lambda task: (task.is_healthy, task.started)):
        if task.is_healthy:
            if spare <= 0:
                continue
            spare -= 1
        stops.append(Stop(task.id, f"Scaling activity initiated by {service.primary.id}"))
    return stops


def _delay(failures: int) -> float:
    """Return how long to wait after a failure: nothing after the first, then longer and longer."""
    return min(2.0 ** (failures - 1), _LONGEST_DELAY_SECONDS) if failures > 1 else 0.0
