"""When the plane begins to measure, and what it puts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.local.plane import metrics_part
from fleet.local.plane.control import Control
from fleet.local.plane.metrics_part import MEASURES, Metrics
from fleet.local.plane.plane import Plane
from fleet.local.plane.processes import Processes
from fleet.local.server import LocalAws


@dataclass
class CloudWatch:
    """Keeps what is put."""

    counts: list[tuple[str, float]] = field(default_factory=list)

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 - boto3's names
        if Namespace == "ECS/ContainerInsights":
            self.counts += [(datum["Dimensions"][1]["Value"], datum["Values"][0]) for datum in MetricData]


def service(name: str, running: int, *, is_ready: bool) -> Any:
    process = SimpleNamespace(cpu_seconds=lambda: 1.0, memory_bytes=lambda: 2**20)
    definition = SimpleNamespace(cpu_units=256, memory_mib=512)
    tasks = [
        SimpleNamespace(id=f"{name}{number}", status="RUNNING", process=process, definition=definition)
        for number in range(running)
    ]
    tasks.append(SimpleNamespace(id=f"{name}-begins", status="PENDING", process=None, definition=definition))
    wanted = SimpleNamespace(cluster="c", name=name)
    return SimpleNamespace(wanted=wanted, tasks=tasks, is_ready=is_ready, running_count=running)


class Fleet:
    """The part, with services that a test makes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plane = Plane(
            folder=folder,
            processes=Processes(folder),
            control=Control("t"),
            aws=LocalAws(folder),
            minute_seconds=3600.0,
        )
        self.cloudwatch = CloudWatch()
        account = SimpleNamespace(cloudwatch=self.cloudwatch)

        async def found() -> Any:
            return account

        monkeypatch.setattr(self.plane, "account", found)
        self.part = Metrics(self.plane)

    async def see(self, *services: Any) -> list[tuple[str, float]]:
        """Let the tasks be looked at, and return what is told of their number."""
        self.stepped(*services)
        before = len(self.cloudwatch.counts)
        await self.part.look()
        return self.cloudwatch.counts[before:]

    def stepped(self, *services: Any) -> None:
        """Let the tasks be looked at."""
        self.plane.tasks = SimpleNamespace(services={one.wanted.name: one for one in services})  # type: ignore[assignment]  # as much as is read
        for listener in self.plane.on_step:
            listener()


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(tmp_path, monkeypatch)


def measures(fleet: Fleet) -> bool:
    return bool(fleet.plane.beat[MEASURES])


async def test_before_the_tasks_were_looked_at_nothing_is_said(fleet: Fleet) -> None:
    await fleet.part.look()
    assert not measures(fleet)


async def test_a_fleet_that_starts_is_not_one_that_is_down(fleet: Fleet) -> None:
    told = await fleet.see(service("ai", 2, is_ready=True), service("quest", 1, is_ready=False))
    assert set(told) == {("ai", 2.0)}
    assert not measures(fleet)
    assert await fleet.see(service("ai", 2, is_ready=True), service("quest", 2, is_ready=True)) == [("quest", 2.0)]
    assert measures(fleet)


async def test_a_dip_is_told_of_even_when_it_is_over(fleet: Fleet) -> None:
    await fleet.see(service("ai", 2, is_ready=True))
    fleet.stepped(service("ai", 1, is_ready=False))
    assert await fleet.see(service("ai", 2, is_ready=True)) == [("ai", 1.0), ("ai", 2.0)]


async def test_what_ran_once_is_told_of_however_few_run(fleet: Fleet) -> None:
    await fleet.see(service("ai", 2, is_ready=True))
    assert await fleet.see(service("ai", 0, is_ready=False)) == [("ai", 0.0)]
    assert measures(fleet)


async def test_one_that_does_not_come_up_is_down_in_the_end(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_part, "_START_SECONDS", 0.0)
    assert await fleet.see(service("ai", 1, is_ready=False)) == []
    assert measures(fleet), "its silence is the worst case"
