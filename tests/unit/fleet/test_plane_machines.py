"""What a local machine is made of: ports, ways between nodes, units, user data; each by itself, with real sockets and processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from catalog import load_environment, names
from fleet.errors import InputError
from fleet.local.plane.cache_metrics import measured, sampled
from fleet.local.plane.cache_pair import users_of
from fleet.local.plane.cache_program import find_cache_program
from fleet.local.plane.cache_tls import certificate_of_cache, key_of
from fleet.local.plane.control import Control
from fleet.local.plane.machine import Machine, NoMachineError, UserData
from fleet.local.plane.machines import Machines
from fleet.local.plane.places import Places
from fleet.local.plane.plane import Plane
from fleet.local.plane.processes import Processes
from fleet.local.plane.routes import Forwarder, Routes
from fleet.local.plane.units import Units, until_mid_minute
from fleet.local.server import LocalAws
from fleet_constructs.arns import account
from fleet_constructs.nats_scripts import boot

DEADLINE_SECONDS = 30
ENVIRONMENT = load_environment("local")


def plane_over(folder: Path, minute_seconds: float = 60) -> Plane:
    return Plane(
        folder=folder,
        processes=Processes(folder),
        control=Control("token"),
        aws=LocalAws(folder / "aws"),
        minute_seconds=minute_seconds,
    )


async def until(question: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not question():  # noqa: ASYNC110 - it is a file or a process that is waited for
            await asyncio.sleep(0.01)
    assert question(), what


def user_data(node: str = "nats-1") -> str:
    script = "\n".join(["#!/bin/bash", *boot(ENVIRONMENT, node, address_id="eni-1", disk_id="vol-0a1b")])
    return base64.b64encode(script.replace(account(), "123456789012").encode()).decode()


# Places


def test_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    places = Places.of(tmp_path)
    assert Places.of(tmp_path) == places
    ports = [port for node in places.nodes.values() for port in dataclasses.astuple(node)]
    ports += [*places.forwarders.values(), *places.cache.values()]
    assert len(set(ports)) == len(ports)


def test_a_record_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "machines.json").write_text("{")
    assert Places.of(tmp_path) == Places.of(tmp_path)


def test_every_node_reaches_every_other_by_a_way_of_its_own(tmp_path: Path) -> None:
    places = Places.of(tmp_path)
    routes = [route for node in names.NATS_NODES for route in places.place(node).routes.values()]
    assert len(set(routes)) == 9
    assert {f"localhost:{ports.route}" for ports in places.nodes.values()}.isdisjoint(routes)


# Ways


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """Answer what comes in with itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


@contextlib.asynccontextmanager
async def forwarding(port: int, target: int | None) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(port, target)
    await forwarder.start()
    try:
        yield forwarder
    finally:
        await forwarder.end()


async def through(port: int, data: bytes) -> bytes:
    """Return what comes back; nothing where the way is cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.readexactly(len(data))
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


def free_port(tmp_path: Path) -> int:
    return Places.of(tmp_path).cache["endpoint"]


def test_a_forwarder_carries_all_that_is_sent_both_ways(tmp_path: Path) -> None:
    async def run() -> None:
        async with echo() as target, forwarding(free_port(tmp_path), target) as forwarder:
            assert await through(forwarder.port, os.urandom(8_000_000))

    asyncio.run(run())


def test_what_one_end_says_last_reaches_the_other_although_it_closes_at_once(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def run() -> None:
        done = asyncio.Event()

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read())
            writer.close()
            done.set()

        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        async with forwarding(free_port(tmp_path), server.sockets[0].getsockname()[1]) as forwarder:
            _, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
            writer.write(b"x" * 2_000_000)
            await writer.drain()
            writer.close()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await done.wait()
        server.close()

    asyncio.run(run())
    assert len(heard[0]) == 2_000_000


def test_a_way_that_is_cut_ends_what_is_open_and_lets_nothing_new_through(tmp_path: Path) -> None:
    async def run() -> None:
        async with echo() as target, forwarding(free_port(tmp_path), target) as forwarder:
            reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            forwarder.turn(None)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            assert await through(forwarder.port, b"y") == b""
            forwarder.turn(target)
            assert await through(forwarder.port, b"z") == b"z"
            writer.close()

    asyncio.run(run())


def test_a_way_to_nobody_is_closed_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with forwarding(free_port(tmp_path), 1) as forwarder:
            assert await through(forwarder.port, b"y") == b""

    asyncio.run(run())


def test_a_node_that_is_cut_off_is_cut_in_both_directions_and_nobody_else_is(tmp_path: Path) -> None:
    places = Places.of(tmp_path)
    routes = Routes(places)

    def is_open(here: str, there: str) -> bool:
        return routes._forwarders[here, there].target is not None  # noqa: SLF001 - what a connection would meet

    routes.cut(["nats-2"])
    pairs = [(here, there) for here in names.NATS_NODES for there in names.NATS_NODES if here != there]
    assert [pair for pair in pairs if is_open(*pair)] == [("nats-1", "nats-3"), ("nats-3", "nats-1")]
    routes.mend(["nats-2"])
    assert all(is_open(*pair) for pair in pairs)


# Units


UNIT = """\
[Service]
ExecStart={program} {script}
# Comments=are none of its keys
ExecStop=/bin/kill -s USR2 $MAINPID
TimeoutStopSec=20
Restart=always
RestartSec=0.01
Environment=KIND=of the unit
"""
SERVER = """\
import os, pathlib, signal, sys, time
pathlib.Path("said").write_text(os.environ["KIND"])
signal.signal(signal.SIGUSR2, lambda *_: (pathlib.Path("lame-duck").touch(), sys.exit(0)))
pathlib.Path("up").touch()
while True: time.sleep(1)
"""


@contextlib.asynccontextmanager
async def units_in(folder: Path, minute_seconds: float = 60) -> AsyncIterator[Units]:
    """Have a machine's units, with one for a server that only lame duck ends well; its root has a space in its name."""
    root = folder / "a root"
    for part in ("etc/systemd/system", "etc/nats", "var/lib/nats", "var/log"):
        (root / part).mkdir(parents=True)
    (root / "server.py").write_text(SERVER)
    unit = UNIT.format(program=sys.executable, script=root / "server.py")
    (root / "etc/systemd/system/nats-server.service").write_text(unit)
    units = Units("nats-1", root, {"PATH": "/usr/bin:/bin"}, plane_over(folder, minute_seconds))
    try:
        yield units
    finally:
        await units.end(DEADLINE_SECONDS)


def run_units(folder: Path, test: Callable[[Units, Path], Awaitable[None]], minute_seconds: float = 60) -> None:
    async def run() -> None:
        async with units_in(folder, minute_seconds) as units:
            await test(units, folder / "a root")

    asyncio.run(run())


def test_a_service_runs_in_its_environment_and_is_stopped_as_its_unit_says(tmp_path: Path) -> None:
    async def test(units: Units, root: Path) -> None:
        assert await units.systemctl(["enable", "--quiet", "nats-server.service"]) == (0, "")
        assert units.server is None
        assert await units.systemctl(["start", "nats-server.service"]) == (0, "")
        await until((root / "up").exists, "it is up")
        assert (root / "said").read_text() == "of the unit"
        assert await units.systemctl(["stop", "nats-server.service"]) == (0, "")
        assert (root / "lame-duck").exists()
        assert (units.server, units.restarts) == (None, 0)

    run_units(tmp_path, test)


def test_a_service_that_was_killed_is_started_again_but_not_one_that_was_stopped(tmp_path: Path) -> None:
    async def test(units: Units, root: Path) -> None:
        await units.systemctl(["start", "nats-server.service"])
        await until((root / "up").exists, "it is up")
        (root / "up").unlink()
        first = units.server
        assert first is not None
        first.signal(signal.SIGKILL)
        await until((root / "up").exists, "it is up again")
        assert units.restarts == 1
        await units.systemctl(["stop", "nats-server.service"])
        assert units.server is None

    run_units(tmp_path, test)


def test_a_service_is_not_started_without_its_disk_and_a_unit_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    async def test(units: Units, root: Path) -> None:
        (root / "var/lib/nats").rmdir()
        assert await units.systemctl(["start", "nats-server.service"]) == (0, "")
        assert units.server is None
        assert await units.systemctl(["start", "other.service"]) == (
            5,
            "Failed to start other.service: Unit other.service not found.",
        )
        code, said = await units.systemctl(["mask", "nats-server.service"])
        assert (code, "nothing that a local machine needs" in said) == (1, True)

    run_units(tmp_path, test)


@pytest.mark.parametrize(("now", "wait"), [(120.0, 2.5), (122.4, 0.1), (122.5, 5.0), (124.9, 2.6)])
def test_a_minute_is_the_wall_clocks_and_what_is_done_each_minute_is_done_in_its_middle(
    now: float, wait: float
) -> None:
    assert until_mid_minute(now, 5.0) == pytest.approx(wait)


def test_a_timer_runs_its_service_each_minute_with_its_file_of_variables(tmp_path: Path) -> None:
    async def test(units: Units, root: Path) -> None:
        (root / "etc/nats/agent.env").write_text("KIND='of the file'\n")
        (root / "count.py").write_text(
            f"import os, pathlib\nwith open({str(root / 'runs')!r}, 'a') as f: f.write(os.environ['KIND'] + '\\n')\n"
        )
        folder = root / "etc/systemd/system"
        (folder / "nats-metrics.timer").write_text("[Timer]\nOnCalendar=*-*-* *:*:00\n")
        (folder / "nats-metrics.service").write_text(
            f"[Service]\nEnvironmentFile={root}/etc/nats/agent.env\n"
            f"ExecStart=/usr/bin/python3 {root}/count.py\nTimeoutStartSec=20\n"
        )
        assert await units.systemctl(["enable", "--quiet", "--now", "nats-metrics.timer"]) == (0, "")
        runs = root / "runs"
        await until(lambda: runs.exists() and runs.read_text() == "of the file\n" * 2, "it ran twice")

    run_units(tmp_path, test, minute_seconds=0.05)


# User data and machines


def test_user_data_say_who_a_machine_is_and_which_disk_is_its() -> None:
    read = UserData.read(user_data("nats-2"))
    assert read.variables["NODE"] == "nats-2"
    assert read.variables["NODES"] == "nats-1 nats-2 nats-3"
    assert read.disk == "vol-0a1b"
    assert read.boot.startswith("bash -s -- boot <<")
    assert read.boot.rstrip().endswith("END_OF_SCRIPT")


@pytest.mark.parametrize("encoded", ["", "no base64!", base64.b64encode(b"#!/bin/bash\necho hello\n").decode()])
def test_what_boots_no_nats_machine_is_refused(encoded: str) -> None:
    with pytest.raises(NoMachineError):
        UserData.read(encoded)


def machine_in(folder: Path) -> Machine:
    read = dataclasses.replace(UserData.read(user_data()), boot="echo booted: it is\n")
    return Machine("nats-1", "i-1", read, Places.of(folder), plane_over(folder))


def test_a_command_runs_with_the_machines_own_programs_and_settings(tmp_path: Path) -> None:
    async def run() -> None:
        machine = machine_in(tmp_path)
        machine.start()
        ended = await machine.run(
            'PATH="/usr/local/bin:$PATH"; . "$AGENT_ENV"; command -v aws; echo $ROOT', at_most_seconds=20
        )
        assert ended.output.split() == [f"{machine.root}/usr/local/bin/aws", str(machine.root)]
        failed = await machine.run("echo wrong >&2; exit 3", at_most_seconds=20)
        assert (failed.status, failed.code, failed.errors) == ("Failed", 3, "wrong\n")
        await until(lambda: machine.detail == "booted: it is", "it has booted")
        await machine.end()

    asyncio.run(run())


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    async def run() -> None:
        machine = machine_in(tmp_path)
        machine.start()
        ended = await machine.run("sleep 1000 & echo $! > pid; wait", at_most_seconds=0.5)
        assert ended.status == "TimedOut"
        pid = int((machine.root / "tmp/pid").read_text())
        await until(
            lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text(), "it ended"
        )
        await machine.end()

    asyncio.run(run())


def test_what_a_machine_says_at_length_is_cut_as_systems_manager_cuts_it(tmp_path: Path) -> None:
    async def run() -> None:
        machine = machine_in(tmp_path)
        machine.start()
        ended = await machine.run("head -c 100000 /dev/zero | tr '\\0' x", at_most_seconds=20)
        assert len(ended.output) == 24_000
        await machine.end()

    asyncio.run(run())


def test_a_new_machine_has_nothing_of_the_one_before_but_its_disk(tmp_path: Path) -> None:
    async def run() -> None:
        first = machine_in(tmp_path)
        first.start()
        (first.root / "var/lib/nats/kept").touch()
        (first.root / "etc/nats/gone").touch()
        await first.end()
        second = machine_in(tmp_path)
        second.start()
        assert (second.root / "var/lib/nats/kept").exists()
        assert not (second.root / "etc/nats/gone").exists()
        await second.end()

    asyncio.run(run())


def test_a_command_for_a_machine_that_is_not_there_is_not_delivered(tmp_path: Path) -> None:
    async def run() -> None:
        places = Places.of(tmp_path)
        machines = Machines(places, plane_over(tmp_path), Routes(places))
        asked = {"instance": "i-gone", "script": "true", "timeout_seconds": 1, "delivery_seconds": 0.2}
        assert (await machines.run_command(asked))["status"] == "DeliveryTimedOut"
        with pytest.raises(InputError, match="no machine of nats-1 runs; there are: none"):
            await machines.systemctl({"node": "nats-1", "words": ["start", "x"]})

    asyncio.run(run())


# The cache


def test_the_caches_certificate_is_kept_and_its_key_is_its_owners_alone(tmp_path: Path) -> None:
    certificate = certificate_of_cache(tmp_path / "cache")
    before = certificate.read_bytes()
    assert certificate_of_cache(tmp_path / "cache").read_bytes() == before
    assert key_of(certificate).stat().st_mode & 0o777 == 0o600


def test_a_user_is_told_whole_so_that_nothing_of_before_is_left() -> None:
    (user,) = users_of([{"name": "shop", "access": "on ~shop:* -@all", "passwords": ["ab" * 32]}])
    assert user.rules == ["reset", "on", "~shop:*", "-@all", f"#{'ab' * 32}"]


INFO = {"connected_clients": 3, "used_memory": 16, "maxmemory": 64, "evicted_keys": 5, "acl_access_denied_auth": 1}


def test_a_server_is_measured_by_what_came_since_the_last_look() -> None:
    before = sampled(7, {**INFO, "evicted_keys": 2}, cpu_seconds=1.0, now=100.0)
    now = sampled(7, INFO, cpu_seconds=2.0, now=110.0)
    assert measured({**INFO, "role": "master"}, now, before) == {
        "CurrConnections": 3.0,
        "DatabaseMemoryUsagePercentage": 25.0,
        "EngineCPUUtilization": 10.0,
        "CPUUtilization": 5.0,
        "Evictions": 3.0,
        "AuthenticationFailures": 0.0,
    }


def test_a_server_that_was_started_again_is_measured_from_its_start_and_a_replica_tells_its_lag() -> None:
    before, now = sampled(7, INFO, 1.0, 100.0), sampled(8, {**INFO, "evicted_keys": 0}, 0.1, 110.0)
    replica = {**INFO, "role": "slave", "master_last_io_seconds_ago": 2}
    assert measured(replica, now, before).keys() == {
        "CurrConnections",
        "DatabaseMemoryUsagePercentage",
        "ReplicationLag",
    }


def test_without_a_server_it_is_told_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"(?s)no cache can run here.*apt-get install redis-server.*--no-cache"):
        find_cache_program(tmp_path)
