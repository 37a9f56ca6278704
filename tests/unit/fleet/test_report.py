"""`fleet report`: the page says what the verification saw, all of it, and needs nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleet import project
from fleet.cli import report_command
from fleet.load_test.store import StoredResult
from fleet.report.page import page
from fleet.verify.check import Check, Status
from fleet.verify.run import Report, ServiceRow
from fleet.verify.scope import Scope
from fleet.verify.services import ServiceCounts
from tests.unit.fleet.cost.templates import report as cost_report
from tests.unit.fleet.cost.templates import service, task
from tests.unit.fleet.right_account import ACCOUNT, RightAccount, WithoutTasks, catalog, environment

WHEN = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
GAME = ServiceRow(
    "game", "state-manager-nats", enabled=True, reason=None, counts=ServiceCounts(2, 2, 2), alarms_wired=3, good=True
)
LATER = ServiceRow(
    "game", "quest-system-nats", enabled=False, reason="not <yet>", counts=None, alarms_wired=0, good=True
)
LOADED = StoredResult(
    "r-1", "test", WHEN, WHEN, "0" * 64, "passed",
    {"summary": {"due": 12_000, "error_percent": 0.0, "p50_milliseconds": 6.21, "p99_milliseconds": 86.4}},
)  # fmt: skip


COST = cost_report({"Task": task(), "Service": service(2)}, budget=10.0)


class Shown(HTMLParser):
    """What a page shows: its texts, and what its tags would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def check(
    check_id: str,
    status: Status = "ok",
    *,
    subject: str = "state-manager-nats",
    found: str = "one",
    fix: str = "make deploy",
) -> Check:
    return Check(check_id, subject, status, "two", found, fix)


def seen(*checks: Check, rows: Sequence[ServiceRow] = (GAME, LATER)) -> Report:
    return Report(
        "test",
        ACCOUNT,
        "us-east-1",
        claims_tasks=True,
        claims_nodes=True,
        claims_cache=True,
        checks=checks,
        services=tuple(rows),
    )


def shown(report: Report, load: StoredResult | None = LOADED) -> Shown:
    return Shown(page(report, load, COST, WHEN))


def test_every_check_stands_in_the_evidence() -> None:
    ids = ["service.desired-count", "alarm.threshold", "docs.schema", "wire.answers", "breaker.settings"]
    assert set(ids) <= set(shown(seen(*map(check, ids))).texts)


def test_what_is_wanting_is_told_with_what_to_do() -> None:
    texts = shown(seen(check("service.desired-count", "wanting", fix="make deploy ENV=test"))).texts
    assert {"Wanting", "1 found wanting", "make deploy ENV=test"} <= set(texts)


def test_a_good_environment_has_nothing_wanting() -> None:
    texts = shown(seen(check("service.desired-count"))).texts
    assert "as the catalog says" in texts
    assert "Wanting" not in texts


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("ok", "passed"),
        ("wanting", "wanting"),
        ("unknown", "not to be seen"),
        ("warning", "warning"),
        ("unproven", "not proven"),
    ],
)
def test_the_evidence_tells_proof_from_silence(status: Status, word: str) -> None:
    texts = shown(seen(check("docs.schema", status))).texts
    assert word in texts[texts.index("Evidence") :]


def test_a_disabled_service_is_there_with_its_reason() -> None:
    assert "disabled: not <yet>" in shown(seen()).texts


def test_an_environment_without_a_load_test_says_so() -> None:
    assert any("no load test is stored" in text for text in shown(seen(), load=None).texts)


def test_the_newest_load_test_is_told() -> None:
    told = " ".join(shown(seen()).texts)
    assert "12,000 requests, 0 % failed; p50 6.2 ms, p99 86.4 ms" in told


def test_what_it_costs_is_told_by_part_and_line_with_its_verdict() -> None:
    texts = shown(seen()).texts
    assert "over budget: base 16.22 USD a month, at most 10.00 allowed" in texts
    assert {"services", "0.25 vCPU 0.5 GB arm64, on demand", "2 task", "14.42"} <= set(texts)


def test_what_aws_says_is_text_and_never_markup() -> None:
    evil = check("service.desired-count", "wanting", found="<script>alert(1)</script>", subject="<img src=x>")
    found = shown(seen(evil))
    assert not {"script", "img"} & set(found.tags)
    assert "<script>alert(1)</script>" in found.texts


def test_the_page_loads_nothing() -> None:
    assert shown(seen(check("docs.schema"))).loads == []


# ------------------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def runner(right: RightAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """The command on the right account, whose checkout is a temporary folder."""
    scope = Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT))

    def same(*_: Any, **__: Any) -> Scope:
        return scope

    monkeypatch.setattr(report_command, "scope_of", same)
    monkeypatch.setattr(report_command, "open_account", same)
    monkeypatch.setattr(report_command, "cost_report", lambda *_: COST)
    monkeypatch.setattr(project, "STATE", tmp_path / "state")
    return CliRunner()


def test_the_page_lies_beside_what_else_the_command_keeps(runner: CliRunner, tmp_path: Path) -> None:
    done = runner.invoke(report_command.app, ["--env", "local"])
    assert done.exit_code == 0, done.output
    assert "2 of 2 services deployed" in done.stdout
    assert "Readiness of test" in (tmp_path / "state" / "reports" / "local.html").read_text("utf-8")


def test_json_goes_to_stdout_alone(runner: CliRunner, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "page.html"
    done = runner.invoke(report_command.app, ["--env", "local", "--format", "json", "--out", str(place)])
    plain = json.loads(done.stdout)
    assert plain["page"] == str(place)
    assert plain["scorecard"]["overall_percent"] > 0
    assert plain["cost"]["base_usd"] == 16.22
    assert place.is_file()


def test_what_is_wanting_ends_the_command_with_1(runner: CliRunner, right: RightAccount) -> None:
    right.ecs.update_service(cluster="gaming-system-test", service="state-manager-nats", desiredCount=1)
    assert runner.invoke(report_command.app, ["--env", "local"]).exit_code == 1
