"""The packages that machines fetch: the same bytes always, and nothing that a machine's older Python would stumble over."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nats_platform import server_package
from nats_platform.agent import build_agent
from nats_platform.packages import ROOT, Member, PackageMissingError, pack

MACHINES_PYTHON = (3, 9)  # of Amazon Linux 2023
AGENT = sorted((ROOT / "nats_platform" / "node").glob("*.py"))


def test_the_same_files_give_the_same_bytes_whatever_their_dates_and_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_text(path.name)
    first = pack({"a": Member(one), "b": Member(other, 0o755)}, tmp_path / "first", "it", ".zip")
    os.utime(one, (0, 0))

    second = pack({"b": Member(other, 0o755), "a": Member(one)}, tmp_path / "second", "it", ".zip")

    assert first.path.name == second.path.name
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("change", ["content", "mode", "name"])
def test_a_change_gives_another_name(tmp_path: Path, change: str) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    before = pack({"a": Member(file)}, tmp_path, "it", ".zip")
    if change == "content":
        file.write_text("another")

    after = pack(
        {"b" if change == "name" else "a": Member(file, 0o755 if change == "mode" else 0o644)}, tmp_path, "it", ".zip"
    )

    assert after.path != before.path
    assert before.path.exists()


def test_the_agent_runs_from_its_one_file_without_anything_installed(tmp_path: Path) -> None:
    agent = build_agent(tmp_path)

    done = subprocess.run(
        [sys.executable, "-I", "-S", agent.path, "gate", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "--timeout-seconds" in done.stdout


def test_the_agent_says_on_one_line_what_its_environment_lacks(tmp_path: Path) -> None:
    agent = build_agent(tmp_path)
    done = subprocess.run(
        [sys.executable, agent.path, "status"],
        env={"NODE": "nats-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: the environment does not say NODES, ENVIRONMENT")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.name)
def test_the_machines_python_can_read_the_agent(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=MACHINES_PYTHON)


def test_a_package_of_the_server_has_the_program_alone_and_it_may_be_run(tmp_path: Path) -> None:
    package = server_package.build_server_package("arm64", tmp_path)

    with zipfile.ZipFile(package.path) as archive:
        (program,) = archive.infolist()
        header = archive.read(program)[:20]
    assert program.filename == "nats-server"
    assert program.external_attr >> 16 == 0o755
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # AArch64


def test_a_server_that_was_not_fetched_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_package, "FETCHED", tmp_path / "fetched")

    with pytest.raises(PackageMissingError, match="make setup"):
        server_package.build_server_package("arm64", tmp_path)
