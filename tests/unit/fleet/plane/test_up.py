from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import WantingError
from fleet.local.plane import ready
from fleet.local.plane.client import LocalPlane, RunningPlane
from fleet.local.plane.overview import overview
from fleet.local.plane.processes import marked
from fleet.local.plane.up import bring_up
from fleet.local.server import LocalAws
from tests.unit.fleet.quiet import Notes, Quiet

HERE = Path(__file__).parent


class Interrupted(Quiet):
    """Progress whose user presses Ctrl-C at a step."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    @contextmanager
    def step(self, title: str) -> Iterator[Notes]:
        if title == self._title:
            raise KeyboardInterrupt
        with super().step(title) as step:
            yield step


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAws]:
    made = LocalAws(tmp_path / "aws", (sys.executable, str(HERE.parent / "fake_server.py"), "good"), tmp_path / "none")
    yield made
    made.stop()


@pytest.fixture
def plane(tmp_path: Path, aws: LocalAws) -> Iterator[LocalPlane]:
    made = LocalPlane(tmp_path / "plane", aws, (sys.executable, str(HERE / "supervised.py")), (tmp_path / "none",))
    yield made
    made.stop()


def test_interrupted_it_ends_what_it_has_started_and_leaves_no_file_of_it(aws: LocalAws, plane: LocalPlane) -> None:
    progress = Interrupted("wait until the NATS nodes are healthy")
    with pytest.raises(KeyboardInterrupt):
        bring_up(progress, minute_seconds=60, has_cache=True, local_aws=aws, local_plane=plane)
    assert list(progress.steps) == ["start the local AWS", "start the local plane"]
    assert (aws.running(), plane.running(), marked(plane.state)) == (None, None, [])
    assert not plane.state.exists()


def test_interrupted_it_leaves_alone_what_ran_before(aws: LocalAws, plane: LocalPlane) -> None:
    server, running = aws.start(Notes()), plane.start(Notes())
    with pytest.raises(KeyboardInterrupt):
        bring_up(
            Interrupted("wait until what is deployed runs"),
            minute_seconds=60,
            has_cache=True,
            local_aws=aws,
            local_plane=plane,
        )
    assert (aws.running(), plane.running()) == (server, running)


def service(name: str = "player-nats", **changes: Any) -> dict[str, Any]:
    found = {
        "name": name,
        "desired": 2,
        "running": 2,
        "healthy": 2,
        "ready": True,
        "failed": False,
        "rollout": "COMPLETED",
        "reason": "",
        "restarts": 0,
        "last_event": "(service player-nats) has reached a steady state.",
        "tasks": [],
        "stopped": [],
    }
    return found | changes


def told(monkeypatch: pytest.MonkeyPatch, *statuses: dict[str, Any]) -> RunningPlane:
    """Return a plane that tells one status after the other, and the last for ever."""
    left = list(statuses)
    monkeypatch.setattr(RunningPlane, "ask", lambda *_, **__: left.pop(0) if len(left) > 1 else left[0])
    return RunningPlane(1, "", "", 60, has_cache=True)


def tasks(*services: dict[str, Any], follows: bool = True) -> dict[str, Any]:
    return {"tasks": {"follows": follows, "services": list(services)}}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(ready, "_TELL_SECONDS", 0)


def test_it_waits_until_every_service_is_ready_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    half = service(ready=False, healthy=1, running=1)
    ready.wait_until_ready(told(monkeypatch, tasks(follows=False), tasks(half), tasks(service())), notes)
    assert notes.notes == ["1 of 2 tasks are healthy"]
    assert notes.outcomes == ["2 tasks of 1 services are healthy"]


def test_nothing_deployed_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    ready.wait_until_ready(told(monkeypatch, tasks()), notes)
    assert notes.outcomes == ["nothing is deployed"]


def test_a_version_that_has_failed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = service(
        ready=False, failed=True, healthy=0, last_event="(service player-nats) (task 1) stopped: no such image"
    )
    with pytest.raises(
        WantingError, match=r"their version has failed\n  - player-nats: 0 of 2 healthy; .*no such image"
    ):
        ready.wait_until_ready(told(monkeypatch, tasks(failed, service("quest-nats"))), Notes())


def test_what_is_not_ready_in_time_is_told_with_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WantingError, match="what they say: fleet local logs player-nats"):
        ready.wait_until_ready(told(monkeypatch, tasks(service(ready=False, healthy=1))), Notes(), seconds=0)


def test_the_overview_lists_every_process_and_tells_what_is_wanting() -> None:
    task = {
        "id": "abc",
        "health": "UNHEALTHY",
        "pid": 7,
        "ports": {"HEALTH_PORT": 8},
        "memory_mib": 40.0,
        "memory_limit_mib": 512,
    }
    row = {
        "kind": "node",
        "name": "nats-1",
        "health": "paused",
        "pid": 9,
        "port": 4222,
        "memory_bytes": 2**21,
        "restarts": 1,
    }
    status = {
        "minute_seconds": 5,
        "memory": {"proportional_mib": 1, "resident_mib": 2},
        "nodes": {"rows": [row]},
        **tasks(service(ready=False, healthy=1, tasks=[task], restarts=3)),
    }
    found = overview(status)
    assert [
        (each["name"], each["health"], each["port"], each["memory_mib"], each["restarts"])
        for each in found["processes"]
    ] == [
        ("nats-1", "PAUSED", 4222, 2.0, 1),
        ("player-nats", "UNHEALTHY", 8, 40.0, 3),
    ]
    assert found["wanting"] == [
        "player-nats: 1 of 2 tasks are healthy; (service player-nats) has reached a steady state.",
        "nats-1 is PAUSED",
    ]
