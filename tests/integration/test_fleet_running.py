"""A small fleet that runs: deployed as a user does, verified on both planes, and broken on purpose.

The catalog is the product's own with five of its services. The tests of this module share one deployment, and run in the order in which
they stand here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from fleet.local.plane.processes import marked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SERVICES = ("state-manager-nats", "settings-nats", "event-bus-nats", "auth-nats", "http-nats-gateway")
DEADLINE_SECONDS = 600
MINUTE_SECONDS = "4"
IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", ".local", "cdk.out", "tests", "__pycache__", ".*_cache", ".hypothesis"
)


class Fleet:
    """A checkout of its own with a small catalog, and what runs of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user would."""
        # Nor what `make test` says to a make that it starts itself: this one is a user's.
        dropped = {"PYTHONDONTWRITEBYTECODE", "MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment["PYTHONPATH"] = str(self.root)
        return subprocess.run(
            command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip

    def fleet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "fleet", *arguments)

    def drill(self, name: str, *more: str) -> dict[str, str]:
        """Run a drill that must go as expected; return what was observed by what was expected."""
        done = self.fleet("drill", name, "--format", "json", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["passed"]
        return {one["expected"]: one["observed"] for one in told["findings"]}


def small_catalog() -> str:
    """Return the product's catalog with some of its services alone."""
    plain = YAML(typ="safe").load((ROOT / "service_catalog.yaml").read_text("utf-8"))
    kept = {name: plain["services"][name] for name in SERVICES}
    served = {subject for entry in kept.values() for subject in entry.get("nats", {}).get("serves", {})}
    for entry in kept.values():
        calls = entry.get("nats", {}).get("calls", [])
        entry.setdefault("nats", {})["calls"] = [subject for subject in calls if subject in served]
    groups = {entry["group"] for entry in kept.values()}
    plain["groups"] = {name: group for name, group in plain["groups"].items() if name in groups}
    # JSON is YAML, too.
    return json.dumps({**plain, "services": kept}, indent=2)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("running") / "checkout"
    shutil.copytree(ROOT, root, ignore=IGNORED)
    (root / "service_catalog.yaml").write_text(small_catalog(), encoding="utf-8")
    for name in (".venv", "node_modules"):
        (root / name).symlink_to(ROOT / name)
    fleet = Fleet(root)
    try:
        yield fleet
    finally:
        fleet.fleet("local", "down")


def left_over(root: Path) -> list[list[str]]:
    """Return the processes that work in a checkout."""
    return [
        process.info["cmdline"]
        for process in psutil.process_iter(["cwd", "cmdline", "status"])
        if process.info["cwd"] == str(root) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_make_deploy_ends_with_the_fleet_up_and_verified(fleet: Fleet, ran_from_readme: Callable[[str], None]) -> None:
    # But for the set-up: it would turn the shared environment to this checkout.
    done = fleet.run("make", "-o", "setup", "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == (
        "5 of 5 services deployed with two replicas each, 5 of them healthy; "
        "15 of 15 alarms wired to gaming-system-alerts-local"
    )
    ran_from_readme("make deploy")


def test_both_planes_are_verified_and_scored(fleet: Fleet, ran_from_readme: Callable[[str], None]) -> None:
    done = fleet.fleet("verify", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["tasks_claimed"], report["nodes_claimed"], report["cache_claimed"]) == (True, True, True)
    passed = {check["id"] for check in report["checks"] if check["status"] == "ok"}
    assert passed >= {
        "gateway.answers", "gateway.refuses", "wire.answers", "wire.served", "wire.stranger", "wire.refused",
        "certificate.served", "breaker.settings", "error.typed", "error.problem", "service.healthy-count", "cache.answers",
    }  # fmt: skip
    scores = {one["category"]: one["percent"] for one in report["scorecard"]["categories"]}
    assert {name: scores[name] for name in ("services operational", "TLS", "health checks")} == {
        "services operational": 100.0, "TLS": 100.0, "health checks": 100.0,
    }  # fmt: skip
    assert scores["load testing"] == 0.0
    ran_from_readme("fleet verify")


@pytest.mark.parametrize("command", ["local ps", "local call settings.list"])
def test_the_fleet_can_be_looked_at(fleet: Fleet, command: str, ran_from_readme: Callable[[str], None]) -> None:
    done = fleet.fleet(*command.split())
    assert done.returncode == 0, done.stdout + done.stderr
    ran_from_readme(f"fleet {command}")


# The checks over a wire that is not as they want it: other breakers, a node that shows another certificate, and a service that may do
# what is said to be forbidden.
BROKEN = """
import json
from catalog import load_catalog, load_environment
from fleet import project
from fleet.account import open_account
from fleet.verify import wire
from fleet.verify.scope import scope_of

environment = load_environment("local")
scope = scope_of(load_catalog(project.CATALOG), environment, open_account(environment))
wire.BREAKER["recovery_seconds"] = "30"
wire._forbidden_publications = lambda _, service: [*service.nats.calls][:1]
wire.names.NATS_NODES = wire.names.NATS_NODES[1:] + wire.names.NATS_NODES[:1]
print(json.dumps([[one.id, one.subject, one.found] for one in wire.check_wire(scope) if one.status != "ok"]))
"""


def test_what_is_not_so_on_the_wire_is_found(fleet: Fleet) -> None:
    done = fleet.run(sys.executable, "-c", BROKEN)
    assert done.returncode == 0, done.stderr
    found = {(check_id, subject): told for check_id, subject, told in json.loads(done.stdout)}
    assert {subject for check_id, subject in found if check_id == "breaker.settings"} == set(SERVICES)
    assert {subject for check_id, subject in found if check_id == "wire.served"} == {"nats-1", "nats-2", "nats-3"}
    assert found["wire.refused", "auth-nats"].startswith("it may event.publish")
    assert {check_id for check_id, _ in found} == {"breaker.settings", "wire.served", "wire.refused"}


def test_a_minute_may_be_short_for_drills(fleet: Fleet) -> None:
    done = fleet.fleet("local", "up", "--minute-seconds", MINUTE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cache_that_fails_over_costs_no_request(fleet: Fleet) -> None:
    seen = fleet.drill("cache-failover")
    assert seen["no request failed: without the cache a service reads its bucket"] == "0 failed"


def test_killed_tasks_ring_the_alarm_tell_the_topic_and_heal(fleet: Fleet) -> None:
    seen = fleet.drill("kill-task", "--service", "settings-nats")
    alarm = "settings-nats-tasks-low-local"
    assert {f"{alarm} goes off", f"{alarm} tells gaming-system-alerts-local", f"{alarm} ends"} <= set(seen)


def test_a_bad_deployment_is_taken_back_and_nobody_notices(fleet: Fleet) -> None:
    seen = fleet.drill("bad-deployment", "--service", "settings-nats")
    assert seen["no request failed: the former tasks served all the time"] == "0 failed"


def test_an_interrupted_drill_leaves_the_fleet_whole_and_no_lock(
    fleet: Fleet, ran_from_readme: Callable[[str], None]
) -> None:
    command = [sys.executable, "-m", "fleet", "drill", "partition"]
    process = subprocess.Popen(
        command, cwd=fleet.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting:" in line:
            break
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode != 0
    status = json.loads(fleet.fleet("local", "ps", "--format", "json").stdout)
    assert not [one for one in status["wanting"] if "cut off" in one]
    # The next one can begin: no lock is left. It kills a node, and no message is lost for it.
    seen = fleet.drill("kill-node")
    assert seen["clients find a node again"] == "they do"
    assert "no message that JetStream has acknowledged is lost" in seen
    ran_from_readme("fleet drill kill-node")


def test_nothing_is_left_when_the_fleet_has_ended(fleet: Fleet, ran_from_readme: Callable[[str], None]) -> None:
    done = fleet.fleet("local", "down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert marked(fleet.root / ".local" / "plane") == []
    assert left_over(fleet.root) == []
    ran_from_readme("fleet local down")
