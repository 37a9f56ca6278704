from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleet.errors import WantingError
from fleet.local import server
from fleet.local.server import LocalAws, RunningServer, environment_for
from tests.unit.fleet.quiet import Notes

FAKE = Path(__file__).with_name("fake_server.py")


def make(state: Path, behaviour: str = "good") -> LocalAws:
    return LocalAws(state, (sys.executable, str(FAKE), behaviour), state.parent / "sources")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose server, if any is left, ends with the test."""
    directory = tmp_path / "aws"
    yield directory
    for process in psutil.process_iter(["cmdline"]):
        if str(directory) in (process.info["cmdline"] or []):
            process.kill()
            process.wait(10)


def test_starts_a_server_that_outlives_its_group(state: Path) -> None:
    running = make(state).start(Notes())
    assert make(state).running() == running
    assert os.getsid(running.pid) == running.pid
    assert (running.region, running.account) == ("us-east-1", "123456789012")


def test_starting_twice_starts_one(state: Path) -> None:
    first = make(state).start(Notes())
    notes = Notes()
    assert make(state).start(notes) == first
    assert notes.outcomes == [f"runs already on {first.endpoint}"]


def test_starting_again_after_its_code_has_changed_starts_the_new_code(state: Path) -> None:
    first = make(state).start(Notes())
    source = state.parent / "sources" / "server.py"
    source.parent.mkdir()
    source.touch()
    os.utime(source, (time.time() + 60, time.time() + 60))
    second = make(state).start(Notes())
    assert second.pid != first.pid
    assert not psutil.pid_exists(first.pid)


def test_stopping_ends_it_and_keeps_its_state(state: Path) -> None:
    running = make(state).start(Notes())
    (state / "state.bin").write_bytes(b"kept")
    assert make(state).stop()
    assert not psutil.pid_exists(running.pid)
    assert (state / "state.bin").exists()
    assert make(state).running() is None
    assert not make(state).stop()


def test_forgetting_drops_the_state(state: Path) -> None:
    make(state).start(Notes())
    make(state).stop(forget=True)
    assert not state.exists()


def test_one_that_ignores_the_signal_is_ended_all_the_same(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_DEADLINE_SECONDS", 0.2)
    running = make(state, "stubborn").start(Notes())
    assert make(state, "stubborn").stop()
    assert not psutil.pid_exists(running.pid)


def test_a_server_that_ends_at_its_start_is_told_with_its_last_words(state: Path) -> None:
    with pytest.raises(WantingError, match=r"(?s)ended with 3.*port 4566 is taken"):
        make(state, "dies").start(Notes())


def test_a_server_that_never_answers_is_given_up_and_ended(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "START_DEADLINE_SECONDS", 1)
    with pytest.raises(WantingError, match="did not answer within 1 s"):
        make(state, "silent").start(Notes())
    assert not any(str(state) in (one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"]))


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(state: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        write_address(state, bystander.pid)
        assert make(state).running() is None
        assert not make(state).stop()
        assert bystander.poll() is None
        assert make(state).start(Notes()).pid != bystander.pid
    finally:
        bystander.kill()
        bystander.wait()


def test_a_process_younger_than_the_address_is_another_one(state: Path) -> None:
    running = make(state).start(Notes())
    os.utime(state / "server.json", (1, 1))
    assert make(state).running() is None
    assert psutil.pid_exists(running.pid)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": "x"}', '{"pid": 1}'])
def test_an_address_that_cannot_be_read_is_none(state: Path, content: str) -> None:
    state.mkdir()
    (state / "server.json").write_text(content)
    assert make(state).running() is None
    assert not make(state).stop()


def write_address(state: Path, pid: int) -> None:
    state.mkdir(parents=True, exist_ok=True)
    record = {"endpoint": "http://127.0.0.1:9", "region": "us-east-1", "account": "123456789012", "pid": pid}
    (state / "server.json").write_text(json.dumps(record))


def test_nothing_of_the_users_aws_reaches_a_program_that_works_locally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("NO_PROXY", "example.com")
    environment = environment_for(RunningServer("http://127.0.0.1:1", "eu-west-1", "123456789012", 1))
    assert "AWS_PROFILE" not in environment
    assert "AWS_SESSION_TOKEN" not in environment
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environment["NO_PROXY"] == "example.com,127.0.0.1,localhost"
