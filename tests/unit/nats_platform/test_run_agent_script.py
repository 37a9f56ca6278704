"""The script that fetches the agent and runs it, at each boot and with each command: for real, twice, and interrupted anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "nats_platform" / "run_agent.sh"
AGENT = "import os, sys\nprint(sys.argv[1:], os.environ['NODE'])\n"
AWS = """#!/bin/bash
echo "$*" >> "@ROOT@/calls"
from=${@: -2:1}
cat "@ROOT@/buckets/${from#s3://}" > "${@: -1}"
"""


@dataclass
class Machine:
    """A machine whose buckets are a folder."""

    root: Path

    def put(self, agent: str) -> str:
        """Have the bucket name an agent; return its checksum."""
        sha256 = hashlib.sha256(agent.encode()).hexdigest()
        bucket = self.root / "buckets/cluster"
        bucket.mkdir(parents=True, exist_ok=True)
        (bucket / "agent").write_text(agent)
        (bucket / "current.json").write_text(
            json.dumps({"agent": {"bucket": "cluster", "key": "agent", "sha256": sha256}})
        )
        return sha256

    def run(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "AGENT_ENV": f"{self.root}/agent.env",
            "AGENTS": f"{self.root}/agents",
            "ATTEMPTS": "2",
            "PAUSE_SECONDS": "0",
        } | changes
        return subprocess.run(
            ["bash", SCRIPT, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()

    def dies_after(self, tool: str) -> None:
        """Have the script die with the first call of a tool, when that has done its work."""
        real = subprocess.run(["which", tool], capture_output=True, text=True, check=True).stdout.strip()
        original = self.root / "bin" / tool
        body = original.read_text() if original.exists() else f'#!/bin/bash\n{real} "$@"\n'
        original.write_text(f"{body}\nkill -9 0\n")
        original.chmod(0o755)

    def heal(self) -> None:
        for tool in (self.root / "bin").iterdir():
            tool.unlink()
        self.make()

    def make(self) -> None:
        (self.root / "bin").mkdir(exist_ok=True)
        aws = self.root / "bin/aws"
        aws.write_text(AWS.replace("@ROOT@", str(self.root)))
        aws.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.make()
    machine.put(AGENT)
    (tmp_path / "agent.env").write_text("NODE=nats-2\nREGION=eu-west-1\nBUCKET=cluster\n")
    return machine


def test_the_agent_is_fetched_once_and_runs_as_the_machine_that_this_is(machine: Machine) -> None:
    first, second = machine.run("boot"), machine.run("configure", "e30=")

    assert (first.stdout, second.stdout) == ("['boot'] nats-2\n", "['configure', 'e30='] nats-2\n")
    assert [call.split()[-2] for call in machine.calls] == [
        "s3://cluster/current.json",
        "s3://cluster/agent",
        "s3://cluster/current.json",
    ]
    assert (machine.root / "agents/current.pyz").resolve().read_text() == AGENT


def test_the_next_agent_takes_the_place_of_the_one_before(machine: Machine) -> None:
    machine.run("boot")
    sha256 = machine.put("print('the next')")

    assert machine.run("boot").stdout == "the next\n"
    assert (machine.root / "agents/current.pyz").resolve().name == f"{sha256}.pyz"


def test_an_agent_of_another_checksum_does_not_run(machine: Machine) -> None:
    (machine.root / "buckets/cluster/agent").write_text("print('of somebody else')")

    result = machine.run("boot")

    assert (result.returncode, result.stdout) == (1, "")
    assert "FAILED: gave up: the agent" in result.stderr
    assert list((machine.root / "agents").iterdir()) == []


def test_an_agent_that_was_damaged_on_the_machine_is_fetched_anew(machine: Machine) -> None:
    machine.run("boot")
    (machine.root / "agents/current.pyz").resolve().write_text("print('half')")

    assert machine.run("boot").stdout == "['boot'] nats-2\n"


def test_a_machine_that_nobody_has_told_who_it_is_says_so_after_a_bounded_wait(machine: Machine) -> None:
    (machine.root / "agent.env").unlink()

    result = machine.run("boot")

    assert result.returncode == 1
    assert "agent.env, which the first boot writes, did not come after 2 attempts" in result.stderr


@pytest.mark.parametrize("tool", ["mkdir", "mktemp", "aws", "python3", "sha256sum", "mv", "ln", "rm"])
def test_a_run_that_was_killed_is_completed_by_the_next(machine: Machine, tool: str) -> None:
    machine.dies_after(tool)
    assert machine.run("boot").returncode == -signal.SIGKILL
    machine.heal()

    result = machine.run("boot")

    assert (result.returncode, result.stdout) == (0, "['boot'] nats-2\n"), result.stderr
