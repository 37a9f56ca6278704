"""Leaving a cluster: it has succeeded only when the server has ended by itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nats_platform.node import leave as leaving
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.leave import leave
from nats_platform.node.settings import Settings

NAMES = ("NODE", "NODES", "ENVIRONMENT", "REGION", "BUCKET", "CERTIFICATES_BUCKET", "NODE_DOMAIN", "LOG_GROUP")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A machine on which nothing answers."""
    return Settings.told(
        {**dict.fromkeys(NAMES, "x"), "ROOT": str(tmp_path), "NATS_MONITOR": "http://127.0.0.1:9", "NODE": "nats-1"}
    )


def systemctl(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Have `systemctl` do this, whatever it is asked."""
    path = folder / "systemctl"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_node_that_is_stopped_has_left(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    systemctl(monkeypatch, tmp_path, f'echo "$*" > {tmp_path}/asked')

    assert leave(settings) == {"outcome": "left", "node": "nats-1", "was_meta_leader": False, "handed_over": False}
    assert (tmp_path / "asked").read_text() == "stop nats-server.service\n"


def test_a_stop_that_failed_says_why(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    systemctl(monkeypatch, tmp_path, "echo 'Job for nats-server.service failed.' >&2; exit 1")

    with pytest.raises(RefusedError, match=r"systemctl stop nats-server.service: Job for nats-server.service failed"):
        leave(settings)


def test_a_stop_that_does_not_end_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(leaving, "LEAVE_SECONDS", 0.1)
    systemctl(monkeypatch, tmp_path, "exec sleep 60")

    with pytest.raises(RefusedError, match=r"has not ended within 0.1 s"):
        leave(settings)


def test_a_server_that_outlives_its_unit_has_not_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systemctl(monkeypatch, tmp_path, "exit 0")
    program = tmp_path / "nats-server"
    shutil.copy("/bin/sleep", program)
    pid_file = settings.machine.pid_file
    pid_file.parent.mkdir(parents=True)
    with subprocess.Popen([program, "60"]) as server:
        try:
            pid_file.write_text(str(server.pid))

            with pytest.raises(RefusedError, match=f"its server still runs as process {server.pid}"):
                leave(settings)
        finally:
            server.kill()
