"""The script that gives a NATS machine its slot, run for real against stand-ins for AWS and the disk tools."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "nats_platform" / "slot.sh"
BLANK = 2  # blkid's answer for a disk without a signature
UNSURE = 8  # and for one with contradictory signatures


@dataclass
class Machine:
    """A machine whose AWS, disk and mounts are files in a folder."""

    root: Path

    def tool(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        # Whoever is to die does so with the script that called it, when it has done its work.
        die = f'code=$?; [[ "{name} $*" == *"$DIES_AFTER"* ]] && kill -9 0; exit $code'
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> "{self.root}/calls"\ntrap \'{die}\' EXIT\n{body}\n')
        path.chmod(0o755)

    def boot(self, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "NODE": "nats-1",
            "REGION": "us-east-1",
            "ADDRESS_ID": "eni-1",
            "DISK_ID": "vol-1",
            "DEVICE": str(self.root / "device"),
            "MOUNT_POINT": str(self.root / "data"),
            "FSTAB": str(self.root / "fstab"),
            "ATTEMPTS": "3",
            "PAUSE_SECONDS": "0",
            "DIES_AFTER": "nothing",
        } | changes
        return subprocess.run(
            ["bash", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )

    def calls(self, *words: str) -> list[str]:
        path = self.root / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if all(word in line for word in words)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.tool("curl", 'echo "i-1"')
    machine.tool(
        "aws",
        f"""case "$2" in
          describe-network-interfaces) cat "{tmp_path}/address-holder" 2>/dev/null || echo None ;;
          describe-volumes) cat "{tmp_path}/disk-holder" 2>/dev/null || echo None ;;
          attach-network-interface) [[ ! -e "{tmp_path}/held-by-another" ]] && echo i-1 > "{tmp_path}/address-holder" ;;
          attach-volume) echo i-1 > "{tmp_path}/disk-holder"; touch "{tmp_path}/device" ;;
        esac""",
    )
    machine.tool("blkid", f'[[ -e "{tmp_path}/formatted" ]] || exit {BLANK}')
    machine.tool("mkfs.xfs", f'touch "{tmp_path}/formatted"')
    machine.tool("mountpoint", f'[[ -e "{tmp_path}/mounted" ]]')
    machine.tool("mount", f'touch "{tmp_path}/mounted"')
    machine.tool("xfs_growfs", f'[[ -e "{tmp_path}/mounted" ]]')
    return machine


def test_a_new_machine_takes_address_and_disk_and_formats_a_blank_disk(machine: Machine) -> None:
    result = machine.boot()

    assert result.returncode == 0, result.stderr
    assert machine.calls("attach-network-interface", "eni-1", "i-1")
    assert machine.calls("attach-volume", "vol-1", "i-1")
    assert machine.calls("mkfs.xfs")
    assert (machine.root / "mounted").exists()


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    machine.boot()
    before = (machine.root / "fstab").read_text()
    (machine.root / "calls").unlink()

    result = machine.boot()

    assert result.returncode == 0, result.stderr
    assert not machine.calls("attach-")
    assert not machine.calls("mkfs.xfs")
    assert not machine.calls("mount ")
    assert (machine.root / "fstab").read_text() == before


@pytest.mark.parametrize(
    "step",
    [
        "curl -fsS --max-time 5 -X PUT",
        "attach-network-interface",
        "attach-volume",
        "blkid",
        "mkfs.xfs",
        "mountpoint",
        "mount ",
        "xfs_growfs",
    ],
)
def test_a_machine_that_dies_on_the_way_is_completed_by_the_next_run(machine: Machine, step: str) -> None:
    assert machine.boot(DIES_AFTER=step).returncode == -signal.SIGKILL

    result = machine.boot()

    assert result.returncode == 0, result.stderr
    assert (machine.root / "mounted").exists()
    assert [len(machine.calls(once)) for once in ("attach-network", "attach-volume", "mkfs.xfs")] == [1, 1, 1]
    assert len((machine.root / "fstab").read_text().splitlines()) == 1


def test_a_disk_with_data_is_never_formatted(machine: Machine) -> None:
    (machine.root / "formatted").touch()

    assert machine.boot().returncode == 0
    assert not machine.calls("mkfs.xfs")


def test_a_disk_that_was_made_larger_is_used_in_full_before_a_server_starts(machine: Machine) -> None:
    (machine.root / "formatted").touch()

    assert machine.boot().returncode == 0

    assert machine.calls("xfs_growfs") == [f"xfs_growfs {machine.root}/data"]


def test_a_disk_that_cannot_be_read_is_left_alone(machine: Machine) -> None:
    machine.tool("blkid", f"exit {UNSURE}")

    result = machine.boot()

    assert result.returncode == 1
    assert "leaves it alone" in result.stderr
    assert not machine.calls("mkfs.xfs")
    assert not machine.calls("mount ")


def test_an_address_that_another_machine_keeps_is_given_up_after_a_bounded_wait(machine: Machine) -> None:
    (machine.root / "held-by-another").touch()

    result = machine.boot()

    assert result.returncode == 1
    assert "gave up: address eni-1" in result.stderr
    assert len(machine.calls("attach-network-interface")) == 3
    assert not machine.calls("mkfs.xfs")


def test_a_machine_whose_name_is_not_told_at_once_asks_again_and_takes_nothing_before(machine: Machine) -> None:
    told = machine.root / "told"
    machine.tool("curl", f'[[ -e "{told}" ]] || {{ touch "{told}"; exit 28; }}; echo i-1')

    assert machine.boot().returncode == 0
    assert machine.calls("attach-volume", "i-1")


def test_a_machine_that_never_hears_its_name_gives_up_and_takes_nothing(machine: Machine) -> None:
    machine.tool("curl", "exit 28")

    result = machine.boot()

    assert result.returncode == 1
    assert "gave up: the name of this machine" in result.stderr
    assert not machine.calls("attach-")
    assert all("--max-time" in call for call in machine.calls("curl"))


def test_the_disk_is_looked_for_by_its_volume_and_not_by_the_name_that_it_was_attached_as(machine: Machine) -> None:
    result = machine.boot(DEVICE="")

    assert machine.calls("attach-volume", "--device /dev/sdf")
    assert "disk vol-1 at /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol1 did not come" in result.stderr
    assert not machine.calls("mkfs.xfs")


def test_the_disk_is_mounted_again_after_a_restart_by_what_does_not_change(machine: Machine) -> None:
    machine.boot()

    (entry,) = (machine.root / "fstab").read_text().splitlines()
    assert entry == f"{machine.root}/device {machine.root}/data xfs defaults,nofail,noatime 0 2"
