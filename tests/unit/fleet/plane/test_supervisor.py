from __future__ import annotations

import dataclasses
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleet.errors import InputError, WantingError
from fleet.local.plane.client import LocalPlane, RunningPlane
from fleet.local.plane.processes import end_marked, marked
from fleet.local.server import LocalAws
from tests.unit.fleet.plane.conftest import DEADLINE_SECONDS
from tests.unit.fleet.quiet import Notes

SUPERVISED = Path(__file__).with_name("supervised.py")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A plane's folder; whatever a test leaves running ends with it."""
    yield tmp_path / "plane"
    LocalPlane(tmp_path / "plane", command=(sys.executable, str(SUPERVISED))).stop()


def local_plane(folder: Path, behaviour: str = "") -> LocalPlane:
    command = [sys.executable, str(SUPERVISED), *([behaviour] if behaviour else [])]
    return LocalPlane(folder, LocalAws(folder.parent / "aws"), command, (folder.parent / "sources",))


def start(folder: Path) -> RunningPlane:
    """Start a plane, and wait until its program runs."""
    plane = local_plane(folder).start(Notes())
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not plane.ask("status")["sleepers"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return plane


def kill(plane: RunningPlane) -> None:
    os.kill(plane.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(plane.pid)], timeout=DEADLINE_SECONDS)


def test_starts_is_found_answers_and_stops_with_all_that_it_runs(folder: Path) -> None:
    plane = start(folder)
    assert local_plane(folder).running() == plane
    assert os.getsid(plane.pid) == plane.pid
    assert plane.ask("status")["sleepers"] == ["sleeper"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "plane.json").stat().st_mode) == 0o600
    assert local_plane(folder).stop(forget=True)
    assert not psutil.pid_exists(plane.pid)
    assert marked(folder) == []
    assert not folder.exists()
    assert not local_plane(folder).stop()


def test_starting_twice_starts_one_and_takes_the_new_length_of_a_minute(folder: Path) -> None:
    first = start(folder)
    assert local_plane(folder).start(Notes(), minute_seconds=5).pid == first.pid
    assert first.ask("status")["minute_seconds"] == 5
    assert local_plane(folder).start(Notes()).pid == first.pid
    assert first.ask("status")["minute_seconds"] == 5, "who does not say leaves it"


def test_one_that_runs_with_a_cache_is_not_taken_for_one_without(folder: Path) -> None:
    start(folder)
    with pytest.raises(InputError, match=r"runs with a cache\n  stop it first: fleet local down"):
        local_plane(folder).start(Notes(), has_cache=False)


def test_who_does_not_hold_the_token_is_told_nothing(folder: Path) -> None:
    plane = start(folder)
    with pytest.raises(WantingError, match="the token is missing or another plane's"):
        dataclasses.replace(plane, token="guessed").ask("status")


def test_what_cannot_be_asked_is_told_with_what_can(folder: Path) -> None:
    plane = start(folder)
    with pytest.raises(WantingError, match=r"there is no /dance; there are: refuse, release, settings, status, stop"):
        plane.ask("dance")
    with pytest.raises(InputError, match="not so"):
        plane.ask("refuse")


def test_a_plane_after_one_that_was_killed_does_not_double_what_that_ran(folder: Path) -> None:
    first = start(folder)
    (left,) = marked(folder)
    kill(first)
    assert marked(folder) == [left]
    start(folder)
    assert len(marked(folder)) == 1
    assert marked(folder) != [left]


def test_stopping_after_it_was_killed_leaves_nothing(folder: Path) -> None:
    plane = start(folder)
    kill(plane)
    assert local_plane(folder).stop(forget=True)
    assert marked(folder) == []
    assert not folder.exists()


def test_one_that_cannot_start_is_told_with_the_end_of_its_log(folder: Path) -> None:
    with pytest.raises(WantingError, match=r"ended with 3 at its start\n  no such luck\n  the whole log: "):
        local_plane(folder, "dies").start(Notes())
    assert end_marked(folder) == 0


def test_two_at_once_over_one_folder_are_one(folder: Path) -> None:
    start(folder)
    (folder / "plane.json").rename(folder / "away")
    with pytest.raises(WantingError, match=r"a plane runs over .* already; stop it first: fleet local down"):
        local_plane(folder).start(Notes())
    (folder / "away").rename(folder / "plane.json")
