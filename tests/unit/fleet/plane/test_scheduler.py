from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.local.plane.scheduler import Breaker, Deployment, Health, Plan, Service, Status, Task, failed, plan

NEW = Deployment(id="new", task_definition="td:2")
OLD = Deployment(id="old", task_definition="td:1", rollout="COMPLETED")
BREAKER = Breaker(is_enabled=True, rolls_back=True, type="COUNT", value=3)


def service(desired: int = 2, **changes: Any) -> Service:
    return replace(Service(name="player-nats", desired=desired, primary=NEW, completed=OLD, breaker=BREAKER), **changes)


def tasks(deployment: str, *states: tuple[Status, Health]) -> list[Task]:
    return [
        Task(id=f"{deployment}-{index}", deployment=deployment, status=status, health=health, started=float(index))
        for index, (status, health) in enumerate(states)
    ]


UP: tuple[Status, Health] = ("RUNNING", "HEALTHY")
STARTING: tuple[Status, Health] = ("RUNNING", "UNKNOWN")
SICK: tuple[Status, Health] = ("RUNNING", "UNHEALTHY")
PENDING: tuple[Status, Health] = ("PENDING", "UNKNOWN")
LEAVING: tuple[Status, Health] = ("STOPPING", "HEALTHY")


def stopped(found: Plan) -> list[str]:
    return sorted(stop.task for stop in found.stop)


def test_what_is_missing_is_started() -> None:
    assert plan(service(), [], 0).start == 2
    assert plan(service(), tasks("new", PENDING), 0).start == 1
    assert plan(service(), tasks("new", PENDING, STARTING), 0).start == 0


def test_a_deployment_is_completed_when_all_its_tasks_are_healthy_and_no_others_are_left() -> None:
    assert plan(service(), tasks("new", UP, STARTING), 0).primary.rollout == "IN_PROGRESS"
    assert plan(service(), [*tasks("new", UP, UP), *tasks("old", LEAVING)], 0).primary.rollout == "IN_PROGRESS"
    assert plan(service(), tasks("new", UP, UP), 0).primary.rollout == "COMPLETED"
    assert plan(service(desired=0), [], 0).primary.rollout == "COMPLETED"


def test_the_old_go_one_by_one_as_the_new_become_healthy() -> None:
    old = tasks("old", UP, UP)
    assert stopped(plan(service(), [*old, *tasks("new", STARTING, STARTING)], 0)) == []
    assert stopped(plan(service(), [*old, *tasks("new", UP, STARTING)], 0)) == ["old-0"]
    assert stopped(plan(service(), [*old[1:], *tasks("new", UP, UP)], 0)) == ["old-1"]


def test_the_old_that_do_not_serve_go_at_once() -> None:
    assert stopped(plan(service(), [*tasks("old", STARTING, UP), *tasks("new", PENDING)], 0)) == ["old-0"]


def test_there_are_never_more_tasks_than_the_maximum_allows() -> None:
    found = plan(service(maximum_percent=150, desired=4), tasks("old", UP, UP, UP, UP), 0)
    assert (found.start, stopped(found)) == (2, [])


def test_where_fewer_may_serve_for_a_while_the_old_make_room_first() -> None:
    found = plan(service(minimum_percent=50, maximum_percent=100), tasks("old", UP, UP), 0)
    assert (found.start, stopped(found)) == (0, ["old-0"])


def test_an_unhealthy_task_is_stopped_and_replaced() -> None:
    found = plan(service(), tasks("new", UP, SICK), 0)
    assert (found.start, stopped(found)) == (1, ["new-1"])
    assert found.stop[0].reason == "Task failed container health checks"


def test_what_is_too_much_goes_first_what_does_not_serve_then_the_youngest() -> None:
    assert stopped(plan(service(desired=1), tasks("new", UP, STARTING, UP), 0)) == ["new-1", "new-2"]


def test_a_task_that_ends_before_it_was_healthy_is_a_failure_and_one_that_served_is_none() -> None:
    (starting,) = tasks("new", STARTING)
    (serving,) = tasks("new", UP)
    assert failed(NEW, starting, 7).failed_tasks == 1
    assert failed(NEW, starting, 7).last_failure == 7
    assert failed(NEW, serving, 7) == NEW


def test_after_failures_the_next_start_waits_longer_and_longer() -> None:
    once = replace(NEW, failed_tasks=1, last_failure=100)
    many = replace(NEW, failed_tasks=12, last_failure=100)
    plain = Breaker()
    assert plan(service(primary=once, breaker=plain), [], 100).start == 2
    twice = replace(once, failed_tasks=2)
    assert plan(service(primary=twice, breaker=plain), [], 101.9).start == 0
    assert plan(service(primary=twice, breaker=plain), [], 102).start == 2
    assert plan(service(primary=many, breaker=plain), [], 159.9).start == 0
    assert plan(service(primary=many, breaker=plain), [], 160).start == 2


def test_a_healthy_task_that_came_after_the_failures_makes_them_forgotten() -> None:
    primary = replace(NEW, failed_tasks=2, last_failure=0.5)
    assert plan(service(primary=primary), tasks("new", STARTING, UP), 1).primary.failed_tasks == 0
    assert plan(service(primary=primary), tasks("new", UP), 1).primary.failed_tasks == 2
    kept = replace(BREAKER, resets_on_healthy=False)
    assert plan(service(primary=primary, breaker=kept), tasks("new", STARTING, UP), 1).primary.failed_tasks == 2


def test_too_many_failures_fail_the_deployment_and_the_completed_one_takes_over() -> None:
    primary = replace(NEW, failed_tasks=3)
    found = plan(service(primary=primary), [*tasks("old", UP, UP), *tasks("new", STARTING)], 0)
    assert found.primary.rollout == "FAILED"
    assert found.primary.reason == "ECS deployment circuit breaker: tasks failed to start."
    assert (found.start, stopped(found), found.rolls_back) == (0, ["new-0"], True)


@pytest.mark.parametrize("changes", [{"completed": None}, {"breaker": replace(BREAKER, rolls_back=False)}])
def test_a_failed_deployment_without_a_way_back_keeps_what_serves_and_starts_no_more(changes: dict[str, Any]) -> None:
    primary = replace(NEW, failed_tasks=3, last_failure=9)
    found = plan(service(**{"primary": primary, **changes}), tasks("new", UP, STARTING), 0)
    assert (found.primary.rollout, found.start, stopped(found), found.rolls_back) == ("FAILED", 0, ["new-1"], False)


def test_without_a_breaker_no_deployment_fails() -> None:
    primary = replace(NEW, failed_tasks=1000, last_failure=0)
    assert plan(service(primary=primary, breaker=Breaker()), [], 60).primary.rollout == "IN_PROGRESS"


def test_a_completed_deployment_stays_so_whatever_its_tasks_do_later() -> None:
    primary = replace(NEW, rollout="COMPLETED", failed_tasks=50, last_failure=0)
    found = plan(service(primary=primary), [], 60)
    assert (found.primary.rollout, found.start) == ("COMPLETED", 2)


@pytest.mark.parametrize(
    ("breaker", "desired", "threshold"),
    [
        ({"thresholdConfiguration": {"type": "COUNT", "value": 5}}, 2, 5),
        ({}, 2, 3),
        ({}, 20, 10),
        ({}, 1000, 200),
        ({"thresholdConfiguration": {"type": "UNBOUNDED_PERCENT", "value": 50}}, 2, 1),
        ({"thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 100}}, 7, 7),
    ],
)
def test_the_threshold_is_the_one_of_ecs(breaker: dict[str, Any], desired: int, threshold: int) -> None:
    assert Breaker.from_plain({"enable": True, "rollback": True, **breaker}).threshold(desired) == threshold


@dataclass
class World:
    """Carries plans out: what is started becomes healthy or fails, and what is stopped ends, when a step says so."""

    service: Service
    tasks: list[Task] = field(default_factory=list)
    now: float = 0.0
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def step(self) -> None:
        found = plan(self.service, self.tasks, self.now)
        self.service = replace(self.service, primary=found.primary)
        gone = {stop.task for stop in found.stop}
        self.tasks = [replace(task, status="STOPPING") if task.id in gone else task for task in self.tasks]
        if found.rolls_back:
            assert self.service.completed is not None
            self.service = replace(self.service, primary=replace(self.service.completed, rollout="IN_PROGRESS"))
        for _ in range(found.start):
            name = f"t{next(self.numbers)}"
            self.tasks.append(Task(id=name, deployment=self.service.primary.id, status="PENDING", started=self.now))

    def happen(self, what: str, index: int) -> None:
        self.now += 1
        if not self.tasks:
            return
        task = self.tasks[index % len(self.tasks)]
        if task.status == "STOPPING":
            self.tasks.remove(task)
        elif what == "ends":
            self.tasks.remove(task)
            if task.deployment == self.service.primary.id:
                self.service = replace(self.service, primary=failed(self.service.primary, task, self.now))
        elif task.status == "PENDING":
            self.tasks[self.tasks.index(task)] = replace(task, status="RUNNING")
        else:
            self.tasks[self.tasks.index(task)] = replace(task, health="HEALTHY")

    @property
    def healthy(self) -> int:
        return sum(task.is_healthy for task in self.tasks)


EVENTS = st.lists(st.tuples(st.sampled_from(["goes on", "goes on", "ends"]), st.integers(0, 50)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(desired=st.integers(0, 4), minimum=st.integers(0, 100), maximum=st.integers(100, 300), events=EVENTS)
def test_whatever_happens_the_scheduler_itself_keeps_to_the_bounds_and_comes_to_an_end(
    desired: int, minimum: int, maximum: int, events: list[tuple[str, int]]
) -> None:
    percents = {"minimum_percent": minimum, "maximum_percent": max(maximum, 100 + math.ceil(100 / max(desired, 1)))}
    world = World(service(desired, **percents), tasks("old", *[UP] * desired))
    for what, index in events:
        healthy = world.healthy
        world.step()
        assert world.healthy >= min(healthy, world.service.least_healthy), "it stops none that is needed"
        active = [task for task in world.tasks if task.status != "STOPPING"]
        assert len(active) <= max(world.service.most_tasks, desired), "it starts none that is too much"
        world.happen(what, index)
    # From here on all goes well: it settles, with exactly what is wanted.
    for index in range(120):
        world.now += 100
        world.step()
        world.happen("goes on", index)
    assert [task.status for task in world.tasks if task.status != "STOPPING"] == ["RUNNING"] * desired
    assert world.service.primary.rollout == "COMPLETED"
    assert {task.deployment for task in world.tasks} <= {world.service.primary.id}
