from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from fleet.children import Ended, ended_by_signals, run_child


def run(code: str, tmp_path: Path, *, deadline_seconds: float = 30, **more: object) -> Ended:
    return run_child(
        [sys.executable, "-c", code],
        directory=tmp_path,
        environment=os.environ,
        deadline_seconds=deadline_seconds,
        log=tmp_path / "log",
        **more,  # type: ignore[arg-type]
    )


def test_keeps_every_line_of_both_streams_and_the_exit_code(tmp_path: Path) -> None:
    told: list[str] = []
    ended = run(
        "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(7)",
        tmp_path,
        on_line=told.append,
    )
    assert (ended.code, ended.lines, ended.timed_out) == (7, ("one", "two"), False)
    assert told == ["one", "two"]
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_keeps_a_last_line_without_an_end(tmp_path: Path) -> None:
    assert run("print('half', end='')", tmp_path).lines == ("half",)


def test_takes_bytes_that_are_no_text(tmp_path: Path) -> None:
    assert run("import sys; sys.stdout.buffer.write(b'\\xff\\n')", tmp_path).lines == ("\ufffd",)


GRANDCHILD = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); "


def test_ends_what_is_over_its_time_with_all_that_it_started(tmp_path: Path) -> None:
    ended = run(GRANDCHILD + "import time; time.sleep(60)", tmp_path, deadline_seconds=1)
    assert ended.timed_out
    assert_gone(int(ended.lines[0]))


def test_does_not_wait_for_a_grandchild_that_holds_the_pipe(tmp_path: Path) -> None:
    ended = run(GRANDCHILD, tmp_path)
    assert ended.code == 0
    os.kill(int(ended.lines[0]), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_us_ends_the_child(tmp_path: Path, number: signal.Signals) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        run(code, tmp_path, on_line=interrupt)
    assert_gone(pids[0])


def test_says_that_a_silent_child_lives(tmp_path: Path) -> None:
    beats: list[float] = []
    run("import time; time.sleep(1.2)", tmp_path, on_silence=beats.append)
    assert beats


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")
