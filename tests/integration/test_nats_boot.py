"""A NATS machine that boots, configures itself and takes a new configuration: for real, twice, and interrupted anywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nats_platform.node.configuration import KEPT
from tests.nats_machines import BUCKET, Machine, Machines, encoded, machines, waited_for

pytestmark = pytest.mark.integration

KILLED = -9
NODE = "nats-1"
# Where a boot can end: before or after functions of its modules.
ENDS = (
    ("after", "install.zipfile.ZipFile.extract"),
    ("before", "install._point"),
    ("after", "boot.deliver_current"),
    ("before", "configuration._point"),
    ("after", "configuration._point"),
    ("before", "boot.install_units"),
    ("after", "boot.wait_until"),
)


@pytest.fixture
def cluster(tmp_path: Path, fleet_bucket: Path) -> Iterator[Machines]:
    """Machines that have not booted yet."""
    with machines(tmp_path / "m", fleet_bucket) as cluster:
        yield cluster


@pytest.fixture
def machine(cluster: Machines) -> Machine:
    """A machine that has not booted yet."""
    return cluster[NODE]


@pytest.fixture
def booted(machine: Machine) -> Machine:
    """A machine that has."""
    result = machine.run("boot", "--attempts", "1")
    assert result.returncode == 0, result
    return machine


def state(machine: Machine) -> dict[str, Any]:
    """Return everything that a boot could change."""
    folders = [machine.root / name for name in ("etc", "opt")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {
        "files": {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in files},
        "configuration": (machine.root / "etc/nats/nats.conf").readlink().stem,
        "loaded": machine.get("/varz")["config_load_time"],
        "process": machine.systemd.process,
        "reloads": machine.systemd.calls.count("daemon-reload"),
    }


def test_a_blank_machine_becomes_a_node_that_serves_what_the_bucket_says(cluster: Machines, machine: Machine) -> None:
    result = machine.run("boot", "--attempts", "1")

    assert result.returncode == 0, result
    assert result.stdout.startswith("booted: nats-1, version 1")
    seen = machine.json("status")
    configuration = json.loads((cluster.buckets / BUCKET / "current.json").read_text())["configuration"][NODE]
    assert seen["server_sha256"] == cluster.server.sha256
    assert seen["agent_sha256"] == cluster.agent.sha256
    assert seen["configuration_sha256"] == configuration["sha256"]
    assert {"server", "route"} == {port for port, served in seen["serves"].items() if "fingerprint" in served}


def test_a_second_boot_changes_nothing(booted: Machine) -> None:
    before = state(booted)

    result = booted.run("boot", "--attempts", "1")

    assert result.returncode == 0, result
    assert state(booted) == before


@pytest.mark.parametrize(("moment", "step"), ENDS)
def test_a_boot_that_was_killed_is_completed_by_the_next(machine: Machine, moment: str, step: str) -> None:
    assert run_and_die(machine, moment, step, "boot", "--attempts", "1").returncode == KILLED

    result = machine.run("boot", "--attempts", "1")

    assert result.returncode == 0, result
    assert machine.get("/healthz?js-enabled-only=true") == {"status": "ok"}
    leftovers = [path for path in machine.root.rglob("*") if ".new" in path.name or path.name == "unproven"]
    assert leftovers == []


def test_without_its_disk_a_machine_installs_nothing(machine: Machine) -> None:
    (machine.root / "mounted").unlink()

    result = machine.run("boot", "--attempts", "1")

    assert result.returncode == 1
    assert "is no mount point: the data disk is not there" in result.stderr
    assert not (machine.root / "etc").exists()
    assert machine.systemd.calls == []


def test_a_server_of_another_checksum_is_not_installed(cluster: Machines, machine: Machine) -> None:
    asset = cluster.buckets / BUCKET / "assets" / cluster.server.sha256
    asset.unlink()
    asset.write_bytes(b"another")

    result = machine.run("boot", "--attempts", "1")

    assert result.returncode == 1
    assert f"not {cluster.server.sha256}" in result.stderr
    assert not (machine.root / "opt/nats/current").exists()


def test_a_node_that_the_bucket_does_not_know_is_told_so(cluster: Machines, machine: Machine) -> None:
    cluster.write_current({"nats-2": cluster.configuration("nats-2")})

    result = machine.run("boot", "--attempts", "1")

    assert result.returncode == 1
    assert "FAILED: current.json does not say what nats-1 is" in result.stderr


def test_keys_configuration_and_data_are_for_the_servers_user_and_no_key_is_in_the_output(machine: Machine) -> None:
    result = machine.run("boot", "--attempts", "1")

    key = machine.root / "etc/nats/tls/current/server-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().splitlines()[1] not in result.stdout + result.stderr
    assert (machine.root / "etc/nats/nats.conf").stat().st_mode & 0o777 == 0o400
    assert (machine.root / "var/lib/nats").stat().st_mode & 0o777 == 0o750


# --- a new configuration -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[Machines]:
    """Machines of which one has booted; each test begins with what the bucket says."""
    with machines(tmp_path_factory.mktemp("serving") / "m", fleet_bucket) as serving:
        yield serving


@pytest.fixture
def settled(serving: Machines) -> Machine:
    """The booted machine, on the configuration of the bucket."""
    result = serving[NODE].run("boot", "--attempts", "1")
    assert result.returncode == 0, result
    return serving[NODE]


def configure(serving: Machines, text: str) -> subprocess.CompletedProcess[str]:
    return serving[NODE].run("configure", encoded(serving.put_configuration(NODE, text)))


def test_a_new_configuration_is_taken_up_without_a_restart(serving: Machines, settled: Machine) -> None:
    before = state(settled)
    folder = settled.root / "etc/nats/configurations"
    for number in range(KEPT):
        os.utime(
            shutil.copy(folder / f"{before['configuration']}.conf", folder / f"old-{number}.conf"), (number, number)
        )

    result = configure(serving, serving.configuration(NODE, serving.users[:-1]))

    assert result.returncode == 0, result
    assert len(list(folder.iterdir())) == KEPT
    assert result.stdout == f"configured: {settled.get('/varz')['config_digest']}\n"
    assert settled.systemd.process is before["process"]
    assert settled.get("/varz")["config_load_time"] > before["loaded"]


def test_the_configuration_that_holds_is_neither_fetched_nor_loaded_again(serving: Machines, settled: Machine) -> None:
    before = state(settled)
    (settled.root / "aws-calls").unlink()

    result = configure(serving, serving.configuration(NODE))

    assert result.stdout.startswith("unchanged")
    assert state(settled) == before
    assert not (settled.root / "aws-calls").exists()


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda text: text + "\nlisten {", "nats-server refuses"),
        (lambda text: text.replace("server-key.pem", "route-key.pem"), "private key does not match"),
        # Valid by itself, and nothing that a running server takes up.
        (lambda text: text.replace('server_name: "nats-1"', 'server_name: "another"'), "did not reload within"),
    ],
    ids=["no configuration", "another key", "cannot be reloaded"],
)
def test_a_configuration_that_the_server_does_not_take_changes_nothing(
    serving: Machines, settled: Machine, break_it: Any, told: str
) -> None:
    varz, process = settled.get("/varz"), settled.systemd.process
    link = (settled.root / "etc/nats/nats.conf").readlink()

    result = configure(serving, break_it(serving.configuration(NODE)))

    assert result.returncode == 1
    assert told in result.stderr
    assert settled.get("/varz")["config_digest"] == varz["config_digest"]
    assert (settled.root / "etc/nats/nats.conf").readlink() == link
    assert settled.systemd.process is process
    assert configure(serving, serving.configuration(NODE)).stdout.startswith("unchanged")


def test_a_switch_that_was_killed_before_its_proof_is_still_taken_back(serving: Machines, settled: Machine) -> None:
    link = (settled.root / "etc/nats/nats.conf").readlink()
    text = serving.configuration(NODE).replace('server_name: "nats-1"', 'server_name: "another"')
    wanted = encoded(serving.put_configuration(NODE, text))
    assert run_and_die(settled, "after", "configuration._point", "configure", wanted).returncode == KILLED

    result = settled.run("configure", wanted)

    assert result.returncode == 1
    assert f"{link.name} holds again" in result.stderr
    assert (settled.root / "etc/nats/nats.conf").readlink() == link


def test_without_a_server_a_configuration_is_staged_and_taken_at_the_start(serving: Machines, settled: Machine) -> None:
    settled.systemd.kill()

    result = configure(serving, serving.configuration(NODE, serving.users[:-1]))

    assert result.stdout.startswith("staged")
    settled.systemd.start()
    assert settled.run("boot", "--attempts", "1").returncode == 0  # the bucket still names the former one


ONLY_AT_START = {
    "sync_interval": '"1m"',
    "max_file_store": str(2**28),
    "max_memory_store": str(2**20),
    "unique_tag": '"zone:"',
    "lame_duck_grace_period": '"5s"',
    "lame_duck_duration": '"31s"',
}
AT_ANY_TIME = {
    "max_payload": "524288",
    "max_connections": "77",
    "max_control_line": "8192",
    "write_deadline": '"5s"',
    "ping_interval": '"10s"',
    "ping_max": "2",
    "pool_size": "2",
    "timeout": "4",
    "server_tags": '["az:us-east-1f"]',
}


def changed(text: str, settings: Mapping[str, str]) -> str:
    """Return a configuration in which settings are others."""
    for setting, value in settings.items():
        text, times = re.subn(rf"\b{setting}: (\[[^]]*\]|.*)", f"{setting}: {value}", text)
        assert times, setting
    return text


def test_what_a_server_takes_up_only_when_it_starts_waits_for_that(serving: Machines, settled: Machine) -> None:
    """Each by itself would have a reload refused, and with it whatever came along."""
    before, text = state(settled), changed(serving.configuration(NODE), ONLY_AT_START)

    first, second = configure(serving, text), configure(serving, text)

    assert first.returncode == 0, first
    assert first.stdout == second.stdout
    assert first.stdout.startswith("waits: sha256:")
    assert set(re.findall(r"\b\w+_\w+\b", first.stdout)) == set(ONLY_AT_START)
    assert settled.systemd.process is before["process"]
    assert settled.get("/varz")["config_load_time"] == before["loaded"]
    assert settled.json("status")["configuration_sha256"] is None
    settled.systemd.kill()
    settled.systemd.start()
    waited_for(lambda: configure(serving, text).stdout.startswith("unchanged"), "the server runs on it")
    assert configure(serving, serving.configuration(NODE)).stdout.startswith("waits")
    settled.systemd.kill()
    settled.systemd.start()


def test_everything_else_is_taken_up_by_a_reload(serving: Machines, settled: Machine) -> None:
    result = configure(serving, changed(serving.configuration(NODE), AT_ANY_TIME))

    assert result.stdout.startswith("configured"), result
    assert settled.get("/varz")["max_connections"] == 77


def test_a_configuration_of_another_checksum_is_refused(serving: Machines, settled: Machine) -> None:
    wanted = serving.put_configuration(NODE, serving.configuration(NODE, ()))
    path = serving.buckets / BUCKET / wanted["key"]
    path.write_text(serving.configuration(NODE, serving.users[:1]))
    changed = {key: value for key, value in wanted.items() if key != "version_id"}

    result = settled.run("configure", encoded(changed))

    assert result.returncode == 1
    assert "has the checksum" in result.stderr


def run_and_die(machine: Machine, moment: str, step: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and kill it before or after one of its functions is first called."""
    module, _, function = step.partition(".")
    driver = f"""
import importlib, os, sys
sys.argv = {[str(machine.agent_path), *words]!r}
sys.path.insert(0, sys.argv[0])
place = importlib.import_module("nats_platform.node.{module}")
*path, name = {function!r}.split(".")
for each in path:
    place = getattr(place, each)
original = getattr(place, name)
def dying(*arguments, **named):
    if {moment!r} == "after":
        original(*arguments, **named)
    os.kill(os.getpid(), 9)
setattr(place, name, dying)
from nats_platform.node.__main__ import main
sys.exit(main())
"""
    return subprocess.run(
        [sys.executable, "-c", driver],
        env=machine.variables | {"HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
