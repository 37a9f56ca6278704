"""`fleet loadtest`: what it asks before it begins, what it prints, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Done

from catalog.environment import Objectives
from fleet.account import Account
from fleet.cli import loadtest_command
from fleet.cli.app import app
from fleet.load_test.command import Prepared
from fleet.load_test.report import page
from fleet.load_test.result import Result, judged
from fleet.load_test.store import Store
from load_test.plan import Plan
from tests.unit.fleet.test_load_test_run import AccountWith
from tests.unit.fleet.test_load_test_verdict import BEGAN, ENOUGH, PLAN, SLOW_MAY, measurements

RUNNER = CliRunner()


class Stand:
    """What stands in for an environment: it takes any plan, and has measured what the test wants."""

    def __init__(self) -> None:
        self.planned: list[Plan] = []
        self.servers: list[Any] = []
        self.objectives = Objectives(**ENOUGH, services=SLOW_MAY)

    def open(self, environment: Any) -> Account:
        return cast("Account", AccountWith(is_local=environment.name == "local"))

    def prepare(self, account: Account, environment: Any, catalog: Any, plan: Plan, servers: Any) -> Prepared:
        del account, environment, catalog
        self.planned.append(plan)
        self.servers.append(servers)
        return Prepared(plan, cast("Store", AccountWith(bucket="a-bucket")), cast("Any", None))

    def run(self, prepared: Prepared, environment: Any, progress: Any) -> tuple[Result, str]:
        del environment, progress
        plan = replace(PLAN, run=prepared.plan.run)
        result = judged(plan, measurements(), self.objectives, BEGAN, BEGAN + timedelta(seconds=16))
        return result, page(result)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand()
    monkeypatch.setattr(loadtest_command, "open_account", made.open)
    monkeypatch.setattr(loadtest_command, "prepare", made.prepare)
    monkeypatch.setattr(loadtest_command, "run", made.run)
    return made


def loadtest(*arguments: object) -> Done:
    return RUNNER.invoke(app, ["loadtest", *map(str, arguments)], prog_name="fleet")


LOCAL = ("--server", "tls://localhost:4222")


def test_a_pass_is_a_table_a_verdict_a_page_and_exit_0(stand: Stand, tmp_path: Path) -> None:
    report = tmp_path / "deep" / "page.html"

    done = loadtest(*LOCAL, "--report", report)

    assert done.exit_code == 0, done.output
    assert "quest-system-nats" in done.stdout
    assert "passed: 10 of 10 objectives met" in done.stdout
    assert f"the page: {report}" in done.stderr
    assert f"kept: s3://a-bucket/load-tests/results/{stand.planned[0].run}.json" in done.stderr
    assert report.read_text().startswith("<!doctype html>")
    assert stand.servers == [["tls://localhost:4222"]]


def test_an_objective_that_is_missed_is_told_and_ends_with_exit_1(stand: Stand, tmp_path: Path) -> None:
    stand.objectives = Objectives(**ENOUGH)

    done = loadtest(*LOCAL, "--report", tmp_path / "page.html")

    assert done.exit_code == 1
    assert "missed: ai-router-nats: p50 100 ms, at most 50 ms wanted" in done.stdout
    assert "failed: 9 of 10 objectives met" in done.stdout


def test_as_json_the_result_is_all_but_what_it_was_made_of(stand: Stand, tmp_path: Path) -> None:
    del stand
    plain = json.loads(loadtest(*LOCAL, "--report", tmp_path / "page.html", "--format", "json").stdout)

    assert (plain["verdict"], plain["summary"]["due"]) == ("passed", 1000)
    assert not {"plan", "measurements"} & plain.keys()


def test_what_is_left_out_of_the_mix_is_told_with_the_reason(stand: Stand, tmp_path: Path) -> None:
    del stand
    told = loadtest(*LOCAL, "--report", tmp_path / "page.html").stderr

    assert "not asked: settings.put writes; --writes brings it in" in told
    assert "not asked: time.scale.set changes the world" in told


def test_options_become_the_plan(stand: Stand, tmp_path: Path) -> None:
    loadtest(*LOCAL, "--report", tmp_path / "p", "--rate", 7, "--duration", 3, "--ramp", 0, "--workers", 2, "--seed", 9)

    (plan,) = stand.planned
    assert (plan.workers, plan.seed, plan.seconds, plan.stages[0].end) == (2, 9, 3, 7)


def test_production_is_not_loaded_without_a_yes(stand: Stand, tmp_path: Path) -> None:
    done = loadtest("--env", "prod", "--report", tmp_path / "p")

    assert done.exit_code == 2
    assert "nobody has said yes beforehand" in done.stderr
    assert loadtest("--env", "prod", "--yes", "--report", tmp_path / "p").exit_code == 0
    assert stand.servers == [(), ()]


def test_nodes_are_named_for_the_local_environment_alone(stand: Stand) -> None:
    done = loadtest("--env", "dev", *LOCAL)

    assert done.exit_code == 2
    assert "--server is for the local environment" in done.stderr
    assert stand.planned == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--service", "quest-sistem-nats"), "no enabled service is called 'quest-sistem-nats'; did you mean"),
        (("--scenario", "nowhere.yaml"), "nowhere.yaml: there is no such file"),
        (("--env", "prodd"), "there is no environment 'prodd'"),
    ],
)
def test_what_is_wrong_with_the_input_is_told_with_exit_2(stand: Stand, arguments: tuple[str, ...], told: str) -> None:
    done = loadtest(*LOCAL, *arguments)

    assert done.exit_code == 2
    assert told in done.stderr
    assert stand.planned == []
