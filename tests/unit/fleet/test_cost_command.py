"""`fleet cost`: what it prints, how two reports are compared, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Done

from catalog import load_environment
from catalog.cost import Cost
from catalog.environment import Environment
from fleet.cli import cost_command
from fleet.cli.app import app
from fleet.cost.prices import PriceBook
from fleet.cost.report import Report, make_report
from fleet.cost.resources import Resources
from tests.unit.fleet.cost.templates import TODAY, Body, alarm, body, cache, machines, service, task

RUNNER = CliRunner()
SPOT = {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}


class Stand:
    """What stands in for a synthesis: a few resources, and whatever the test puts beside them."""

    def __init__(self) -> None:
        self.bodies: dict[str, Body] = {
            "Task": task(),
            "Service": service(2),
            **machines("m7g.medium"),
            "Alarm": alarm(),
            "Logs": body("AWS::Logs::LogGroup", RetentionInDays=30),
            "Topic": body("AWS::SNS::Topic"),
        }
        self.budget: float | None = 900.0

    def report(
        self, environment: Environment, catalog: Path, cost: Cost, book: PriceBook, today: Any, progress: Any
    ) -> Report:
        del catalog, today, progress
        resources = Resources({"stack": {"Resources": self.bodies}})
        cost = cost.model_copy(update={"max_base_usd": self.budget})
        return make_report(environment.name, environment.region, resources, cost, book, TODAY)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand()
    monkeypatch.setattr(cost_command, "cost_report", made.report)
    return made


def cost(*arguments: object) -> Done:
    return RUNNER.invoke(app, ["cost", *map(str, arguments)], prog_name="fleet")


def test_the_table_tells_each_thing_with_quantity_price_sum_and_share(stand: Stand) -> None:
    del stand
    done = cost("--env", "prod")

    assert done.exit_code == 0, done.output
    told = [line.split() for line in done.stdout.splitlines()]
    assert ["machines", "m7g.medium", "3", "machine", "29.784", "89.35", "76%"] in told
    assert ["logs", "taken", "in", "22", "GB", "0.500", "11.00", "9%", "log_gb"] in told
    assert "base 105.67 + by use 11.65 = total 117.32 USD a month" in done.stdout
    assert "left out: AWS::SNS::Topic (1): messages" in done.stdout
    assert done.stdout.splitlines()[-1] == "within budget: base 105.67 USD a month, at most 900.00 allowed"


def test_the_table_fits_into_a_hundred_columns(stand: Stand) -> None:
    stand.bodies |= {"Cache": cache("cache.r7g.xlarge"), "Function": body("AWS::Lambda::Function")}
    assert max(map(len, cost("--env", "prod").stdout.splitlines())) <= 100


def test_the_report_before_stands_beside_ours(stand: Stand) -> None:
    del stand
    told = [line.split() for line in cost("--env", "prod").stdout.splitlines()]

    assert ["NATS", "420", "89.35"] in told
    assert ["network", "left", "out", "0.00"] in told
    assert ["total", "(-95%)", "2,315", "117.32"] in told


def test_a_base_above_the_budget_is_told_with_its_largest_lines_and_exit_1(stand: Stand) -> None:
    stand.budget = 100

    done = cost("--env", "prod")

    assert done.exit_code == 1
    over, first, second, *_ = done.stdout[done.stdout.index("over budget") :].splitlines()
    assert over == "over budget: base 105.67 USD a month, at most 100.00 allowed"
    assert first.split() == ["89.35", "nats:", "machines", "m7g.medium"]
    assert second.split()[0] == "14.42"


def test_use_does_not_count_against_the_budget(stand: Stand) -> None:
    stand.budget = 110
    assert cost("--env", "prod", "--usage", "log_gb=10000").exit_code == 0


def test_without_a_budget_there_is_no_verdict_on_it(stand: Stand) -> None:
    stand.budget = None
    done = cost("--env", "prod")
    assert (done.exit_code, "no budget is set (environments/prod.yaml: cost.max_base_usd)" in done.stdout) == (0, True)


def test_what_has_no_price_is_told_and_ends_with_exit_1(stand: Stand) -> None:
    stand.bodies["Database"] = body("AWS::RDS::DBInstance")

    done = cost("--env", "prod")

    assert done.exit_code == 1
    assert "not priced: AWS::RDS::DBInstance (1): no price for this type" in done.stdout
    assert "not proven: base 105.67 USD a month" in done.stdout


def test_spot_is_told_as_a_range(stand: Stand) -> None:
    stand.bodies["Service"] = service(2, SPOT)
    told = cost("--env", "prod").stdout
    assert "Spot is taken to cost 60 % less; it floats: total 107.23 at 70 % less, 110.11 at 50 %" in told


def test_old_prices_and_those_of_another_region_are_warned_of_on_stderr(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stand
    load = load_environment
    monkeypatch.setattr(
        cost_command, "load_environment", lambda name: load(name).model_copy(update={"region": "eu-west-1"})
    )

    done = cost("--env", "prod")

    assert "warning: 4 of 7 prices were last looked up more than 180 days ago, the oldest on 2024-07-01" in done.stderr
    assert "warning: 7 prices are those of us-east-1, and the environment is in eu-west-1" in done.stderr
    assert "warning" not in done.stdout


def test_by_service_each_has_its_tasks_and_what_watches_them_and_the_rest_is_shared(stand: Stand) -> None:
    del stand
    told = [line.split() for line in cost("--env", "prod", "--by", "service").stdout.splitlines()]

    assert ["quest-system-nats", "14.42", "1.80", "0.00", "16.22", "14%"] in told
    assert ["shared:", "nats", "89.35", "76%"] in told


def test_as_json_it_is_all_there_and_adds_up(stand: Stand) -> None:
    del stand
    plain = json.loads(cost("--env", "prod", "--format", "json").stdout)

    assert plain["schema"] == 1
    assert plain["total_usd"] == pytest.approx(sum(line["usd"] for line in plain["lines"]), abs=0.03)
    assert plain["base_usd"] == pytest.approx(
        sum(line["usd"] for line in plain["lines"] if not line["is_usage"]), abs=0.03
    )
    assert {price["key"] for price in plain["prices"]} == {key for line in plain["lines"] for key in line["prices"]}
    assert plain["within_budget"] is True


def test_as_markdown_it_is_a_table_that_a_pull_request_shows(stand: Stand) -> None:
    del stand
    told = cost("--env", "prod", "--format", "markdown").stdout

    assert "| line | quantity | unit price | USD | share | note |\n| --- | ---: | ---: | ---: | ---: | --- |" in told
    assert "| machines m7g.medium | 3 machine | 29.784 | 89.35 | 76% |  |" in told


def test_what_a_change_costs_is_told_against_a_saved_report(stand: Stand, tmp_path: Path) -> None:
    saved = tmp_path / "before.json"
    saved.write_text(cost("--env", "prod", "--format", "json").stdout, encoding="utf-8")
    stand.bodies |= machines("m7g.large")

    done = cost("--env", "prod", "--compare", saved)

    told = [line.split() for line in done.stdout.splitlines()]
    assert told[0] == ["part", "line", "prod", "before", "prod", "difference"]
    assert ["nats", "machines", "m7g.large", "0.00", "178.70", "+178.70"] in told
    assert ["nats", "machines", "m7g.medium", "89.35", "0.00", "-89.35"] in told
    assert ["base", "105.67", "195.02", "+89.35"] in told
    assert "tasks" not in done.stdout
    assert done.exit_code == 0


def test_a_change_that_breaks_the_budget_ends_with_exit_1(stand: Stand, tmp_path: Path) -> None:
    saved = tmp_path / "before.json"
    saved.write_text(cost("--env", "prod", "--format", "json").stdout, encoding="utf-8")
    stand.bodies |= machines("m7g.large")
    stand.budget = 150

    done = cost("--env", "prod", "--compare", saved, "--format", "json")

    assert done.exit_code == 1
    plain = json.loads(done.stdout)
    assert [row["difference_usd"] for row in plain["differences"]] == [178.7, -89.35]
    assert plain["after"]["base_usd"] == pytest.approx(195.02)


def test_two_environments_are_compared(stand: Stand) -> None:
    del stand
    done = cost("--env", "prod", "--compare", "dev")

    assert done.stdout.splitlines()[0].split() == ["part", "line", "dev", "prod", "difference"]
    assert "logs taken in" in done.stdout  # dev assumes 1 GB
    assert "machines" not in done.stdout  # the same in both here


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--env", "prodd"), "there is no environment 'prodd'"),
        (("--usage", "log_gb"), "--usage log_gb: KEY=VALUE is wanted"),
        (("--usage", "log_gb=x"), "--usage log_gb=x: input should be a valid number"),
        (("--compare", "nowhere.json"), "--compare nowhere.json: neither an environment (dev, local, prod, staging) nor a file"),
        (("--compare", "README.md"), "README.md is no JSON"),
        (("--compare", "package.json"), "package.json is no report of `fleet cost --format json` (schema 1)"),
        (("--prices", "nowhere.yaml"), "nowhere.yaml: there is no such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_input_is_told_with_exit_2(stand: Stand, arguments: tuple[str, ...], told: str) -> None:
    del stand
    done = cost(*arguments)

    assert done.exit_code == 2
    assert told in done.stderr
