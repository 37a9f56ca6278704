from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fleet.local.plane.processes import MARK, OUT_OF_MEMORY, Exit, Processes, end_marked, marked
from tests.unit.fleet.plane.conftest import until
from tests.unit.fleet.plane.programs import GREEDY, PARENT, SLEEPS, STUBBORN, spec


def content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def printed(path: Path) -> str:
    await until(lambda: content(path).endswith("\n"))
    return content(path)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; who reaps an orphan, and when, is not ours to say."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_runs_with_its_own_environment_and_tells_how_it_ended(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, "import os; print(sorted(os.environ)); raise SystemExit(3)", GIVEN="1")
    process = await processes.start(one)
    assert await process.exited == Exit(3)
    names = await printed(one.log)
    assert "GIVEN" in names
    assert MARK in names
    assert "HOME" not in names
    assert process.has_exited
    assert processes.running == []


async def test_only_its_owner_may_read_what_it_prints(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, "print('up')")
    await (await processes.start(one)).exited
    assert stat.S_IMODE(one.log.stat().st_mode) == 0o600
    assert stat.S_IMODE(one.log.parent.stat().st_mode) == 0o700


async def test_what_cannot_be_started_is_an_error_and_no_process(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await processes.start(dataclasses.replace(spec(tmp_path, SLEEPS), argv=[str(tmp_path / "missing")]))
    assert processes.running == []


async def test_one_that_was_killed_tells_the_code_of_a_container(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(spec(tmp_path, SLEEPS))
    process.signal(signal.SIGKILL)
    assert await process.exited == Exit(137)


async def test_one_that_hears_is_ended_within_its_grace(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(spec(tmp_path, SLEEPS))
    assert await process.end(600) == Exit(128 + signal.SIGTERM)


async def test_one_that_was_stopped_is_ended_within_its_grace(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(spec(tmp_path, SLEEPS))
    process.signal(signal.SIGSTOP)
    assert await process.end(600) == Exit(128 + signal.SIGTERM)


async def test_one_that_does_not_hear_is_killed(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, STUBBORN)
    process = await processes.start(one)
    await printed(one.log)
    assert await process.end(0.05) == Exit(137)


async def test_what_it_started_goes_with_it(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, PARENT)
    process = await processes.start(one)
    child = psutil.Process(int(await printed(one.log)))
    os.kill(process.pid, signal.SIGKILL)
    await process.exited
    await until(lambda: not is_alive(child))


async def test_more_memory_than_its_limit_kills_it(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(spec(tmp_path, GREEDY, memory_mib=100))
    assert await process.exited == Exit(137, OUT_OF_MEMORY)


async def test_less_memory_than_its_limit_is_fine(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, "import time; time.sleep(0.3); print('done')", memory_mib=200)
    assert await (await processes.start(one)).exited == Exit(0)


async def test_measures_while_it_runs_and_nothing_afterwards(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(spec(tmp_path, "sum(range(10_000_000)); import time; time.sleep(600)"))
    await until(lambda: process.cpu_seconds() > 0.05)
    assert process.memory_bytes() > 1_000_000
    assert 0 < process.own_memory_bytes() <= process.memory_bytes()
    await process.end(600)
    assert (process.memory_bytes(), process.own_memory_bytes(), process.cpu_seconds()) == (0, 0, 0.0)


async def test_what_a_plane_runs_is_known_by_its_folder(processes: Processes, tmp_path: Path) -> None:
    one = spec(tmp_path, PARENT)
    process = await processes.start(one)
    child = int(await printed(one.log))
    assert {found.pid for found in marked(tmp_path)} == {process.pid, child}
    assert marked(tmp_path / "another") == []


def test_what_a_killed_plane_has_left_is_ended_with_what_that_started(tmp_path: Path) -> None:
    left = subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT], env={MARK: str(tmp_path)}, stdout=subprocess.PIPE, start_new_session=True
    )
    with left:
        assert left.stdout is not None
        child = psutil.Process(int(left.stdout.readline()))
        assert end_marked(tmp_path / "another") == 0
        assert end_marked(tmp_path) == 2
        assert not is_alive(child)
        assert end_marked(tmp_path) == 0
