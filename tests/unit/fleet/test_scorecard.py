"""The scorecard: nine categories, each as passed checks of all checks, and what was not seen is not passed."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import load_catalog, names
from catalog.digest import catalog_digest
from fleet.cli.scorecard import scorecard_plain, scorecard_text
from fleet.verify import readme, scorecard
from fleet.verify.check import Check, Status
from fleet.verify.documentation import _check_pictures, check_documentation
from fleet.verify.load_test import check_load_test
from fleet.verify.readme import Checkout, Record
from fleet.verify.scope import Scope
from fleet.verify.scorecard import Category, category_of
from tests.unit.fleet.right_account import NATS_BUCKET, RightAccount, catalog, environment

ROOT = Path(__file__).parents[3]
TAKES_DOWN = {"holds", "equal", "lacks", "warn", "unproven", "proves", "Check"}


def check(check_id: str, status: Status = "ok", subject: str = "x") -> Check:
    return Check(check_id, subject, status, "", "found")


def check_ids() -> Iterator[tuple[str, str]]:
    """Yield the beginning of every check id that the code makes, with where."""
    for file in sorted((ROOT / "fleet" / "verify").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TAKES_DOWN and node.args and (text := _beginning(node.args[0])):
                yield f"{file.name}:{node.lineno}", text


def _beginning(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_check_that_the_code_makes_belongs_to_a_category() -> None:
    found = dict(check_ids())
    assert len(found) > 80
    lost = []
    for place, check_id in found.items():
        try:
            category_of(check_id)
        except KeyError:
            lost.append(f"{place}: {check_id}")
    assert lost == []


def test_a_check_without_a_category_is_refused() -> None:
    with pytest.raises(KeyError, match="weather"):
        scorecard.scorecard([check("weather.is-fine")])


def test_no_exception_repeats_its_family() -> None:
    families, exceptions = scorecard.FAMILIES, scorecard.EXCEPTIONS
    assert [one for one, category in exceptions.items() if families[one.partition(".")[0]] is category] == []


def test_the_categories_are_the_reports_in_its_order() -> None:
    assert list(Category) == [
        "infrastructure", "services operational", "monitoring", "circuit breakers", "error handling", "TLS",
        "health checks", "load testing", "documentation",
    ]  # fmt: skip


@pytest.mark.parametrize("status", ["wanting", "unknown", "warning", "unproven"])
def test_only_what_was_seen_to_be_right_has_passed(status: Status) -> None:
    card = scorecard.scorecard([check("alarm.exists"), check("alarm.exists", status)])
    score = {one.category: one for one in card.scores}[Category.MONITORING]
    assert (score.passed, score.total, score.percent) == (1, 2, 50.0)
    assert [one.status for one in score.lacking] == [status]


def test_a_category_without_a_check_is_zero_and_counts() -> None:
    card = scorecard.scorecard([check("alarm.exists")])
    assert [score.percent for score in card.scores] == [0, 0, 100, 0, 0, 0, 0, 0, 0]
    assert card.overall == 11.1


def test_a_score_is_never_rounded_up_to_the_whole() -> None:
    card = scorecard.scorecard([*[check("alarm.exists")] * 1999, check("alarm.exists", "wanting")])
    assert {score.percent for score in card.scores} == {0.0, 99.9}


def test_the_table_says_what_was_not_passed() -> None:
    card = scorecard.scorecard([check("alarm.exists"), check("alarm.exists", "wanting"), check("docs.schema")])
    lines = scorecard_text(card).splitlines()
    assert len(lines) == 11
    assert lines[3].split() == ["monitoring", "1/2", "50.0", "%", "alarm.exists:", "found"]
    assert lines[4].split(maxsplit=5)[2:] == ["0/0", "0.0", "%", "nothing proves it in this run"]
    assert lines[9].split() == ["documentation", "1/1", "100.0", "%"]
    assert lines[10].split()[:3] == ["overall", "16.6", "%"]


def test_json_has_what_was_not_passed_of_each_category() -> None:
    plain = scorecard_plain(scorecard.scorecard([check("alarm.exists", "unproven", "an-alarm")]))
    assert plain["overall_percent"] == 0
    found = {one["category"]: one for one in plain["categories"]}
    assert len(found) == 9
    assert found["monitoring"]["not_passed"] == [
        {"id": "alarm.exists", "subject": "an-alarm", "status": "unproven", "found": "found"}
    ]
    json.dumps(plain)


# ------------------------------------------------------------------------------------------------------- documentation


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the pages of this one, to be broken."""
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/architecture.md"):
        (tmp_path / page).write_bytes((ROOT / page).read_bytes())
    (tmp_path / "docs" / "runbooks").symlink_to(ROOT / "docs" / "runbooks")
    monkeypatch.setattr("fleet.project.ROOT", tmp_path)
    return tmp_path


def documentation(right: RightAccount) -> dict[tuple[str, str], Check]:
    found = check_documentation(Scope(catalog(), environment(), right.account))
    assert {one.status for one in found} <= {"ok", "unproven"}
    return {(one.id, one.subject): one for one in found}


def test_every_runbook_that_an_alarm_names_is_there(right: RightAccount, pages: Path) -> None:
    del pages
    found = documentation(right)
    runbooks = [one for (check_id, _), one in found.items() if check_id == "docs.runbook"]
    assert len(runbooks) == 22
    assert {one.status for one in runbooks} == {"ok"}
    assert found["docs.runbook-named", "32 alarms"].status == "ok"


def test_a_runbook_that_is_missing_is_not_passed(right: RightAccount, pages: Path) -> None:
    (pages / "docs" / "runbooks").unlink()
    found = documentation(right)
    assert found["docs.runbook", "docs/runbooks/cpu-high.md"].found == "missing"


def test_an_alarm_that_names_no_runbook_is_not_passed(right: RightAccount, pages: Path) -> None:
    del pages
    right.put_alarm("state-manager-nats", "cpu-high", AlarmDescription="It is hot.")
    assert documentation(right)["docs.runbook-named", "32 alarms"].found == "state-manager-nats-cpu-high-test"


def test_no_alarms_prove_nothing(right: RightAccount, pages: Path) -> None:
    del pages
    alarms = right.cloudwatch.describe_alarms()["MetricAlarms"]
    right.cloudwatch.delete_alarms(AlarmNames=[alarm["AlarmName"] for alarm in alarms])
    assert documentation(right)["docs.runbook-named", "0 alarms"].status == "unproven"


def test_the_schemas_in_the_checkout_are_those_of_the_model(right: RightAccount, pages: Path) -> None:
    del pages
    found = documentation(right)
    assert found["docs.schema", "environment.schema.json"].status == "ok"


def test_a_schema_that_has_drifted_is_not_passed(
    right: RightAccount, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del pages
    monkeypatch.setattr("catalog.schema.FOLDER", tmp_path)
    assert documentation(right)["docs.schema", "environment.schema.json"].status == "unproven"


def test_the_pictures_count_what_the_catalog_has(right: RightAccount, pages: Path) -> None:
    """The small catalog has one service, so the product's picture of 21 is not its own."""
    del pages
    found = documentation(right)
    assert found["docs.picture", "README.md: NATS \N{MULTIPLICATION SIGN}3"].status == "ok"
    assert found["docs.picture", "README.md: 1 services \N{MULTIPLICATION SIGN}2"].status == "unproven"
    assert found["docs.picture", "docs/architecture.md: certificates"].status == "ok"


def test_the_products_pictures_have_not_drifted(right: RightAccount) -> None:
    product = Scope(load_catalog(ROOT / "service_catalog.yaml"), environment(), right.account)
    checks = product.checks()
    _check_pictures(product, checks)
    assert len(checks.made) == 11
    assert [one.subject for one in checks.made if one.status != "ok"] == []


def test_a_stack_that_the_picture_lacks_is_not_passed(right: RightAccount, pages: Path) -> None:
    page = pages / "docs" / "architecture.md"
    page.write_text(page.read_text("utf-8").replace("certificates -->", "papers -->").replace("--> certificates", ""))
    assert documentation(right)["docs.picture", "docs/architecture.md: certificates"].status == "unproven"


README = """
# A page

Run `.venv/bin/fleet verify`, or `make`; `fleet` is the command, and `cat x` is not ours.

```bash
make deploy   # does it all
make deploy ENV=prod
```

```yaml
make: false
```
"""


def test_the_commands_of_a_page_are_those_of_its_blocks_and_sentences() -> None:
    assert readme.commands(README) == ["make deploy", "make deploy ENV=prod", "fleet verify"]


def test_the_readme_has_commands() -> None:
    found = readme.commands((ROOT / "README.md").read_text("utf-8"))
    assert {"make deploy", "make test", "fleet verify"} <= set(found)


RECORD = Record("a" * 40, is_clean=True, readme_sha256=readme.digest(README), ran={"make deploy": "test_deploy"})
HERE = Checkout("a" * 40, is_clean=True)


@pytest.mark.parametrize(
    ("record", "state", "text", "why"),
    [
        (RECORD, HERE, README, ""),
        (None, HERE, README, "no record of a run of the tests"),
        (RECORD, None, README, "this is no checkout of git, so no record belongs to it"),
        (RECORD, Checkout("b" * 40, is_clean=True), README, "ran for commit aaaaaaaaa, and this is bbbbbbbbb"),
        (RECORD, Checkout("a" * 40, is_clean=False), README, "files of commit aaaaaaaaa were changed"),
        (RECORD, HERE, f"{README}more", "files of commit aaaaaaaaa were changed"),
    ],
    ids=["it does", "no record", "no checkout", "another commit", "changed files", "changed page"],
)
def test_a_record_counts_for_its_commit_alone(
    record: Record | None, state: Checkout | None, text: str, why: str
) -> None:
    assert readme.why_not(record, state, text) == why


def test_a_record_keeps_what_an_earlier_run_of_the_same_commit_has_seen(tmp_path: Path) -> None:
    path = tmp_path / "ci" / "readme.json"
    RECORD.write(path)
    Record("a" * 40, is_clean=True, readme_sha256=readme.digest(README), ran={"fleet verify": "test_verify"}).write(
        path
    )
    kept = readme.read_record(path)
    assert kept is not None
    assert kept.ran == {"make deploy": "test_deploy", "fleet verify": "test_verify"}


def test_a_record_forgets_what_was_seen_of_another_commit(tmp_path: Path) -> None:
    path = tmp_path / "readme.json"
    RECORD.write(path)
    Record("b" * 40, is_clean=True, readme_sha256=readme.digest(README), ran={}).write(path)
    kept = readme.read_record(path)
    assert kept is not None
    assert kept.ran == {}


def test_commands_that_a_test_has_run_are_passed(
    right: RightAccount, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (pages / "README.md").read_text("utf-8")
    record = Record("a" * 40, is_clean=True, readme_sha256=readme.digest(text), ran={"make deploy": "test_deploy"})
    record.write(tmp_path / "readme.json")
    monkeypatch.setattr("fleet.verify.readme.RECORD", tmp_path / "readme.json")
    monkeypatch.setattr("fleet.verify.readme.checkout", lambda: HERE)
    found = documentation(right)
    assert found["docs.command", "make deploy"].found == "by test_deploy"
    assert found["docs.command", "make test"].found == "no test has run it"


# -------------------------------------------------------------------------------------------------------- load testing


def stored(right: RightAccount, *, days: float = 1, digest: str | None = None, verdict: str = "passed") -> None:
    """Keep a result as `fleet loadtest` does."""
    ended = datetime.now(UTC) - timedelta(days=days)
    plain = {
        "run": "20261126T031500Z-1a2b3c",
        "environment": "test",
        "started_at": ended.isoformat(),
        "finished_at": ended.isoformat(),
        "catalog_digest": digest or catalog_digest(catalog()),
        "verdict": verdict,
        "judgements": [{"objective": "p99_ms", "good": verdict == "passed"}],
    }
    key = names.load_test_result(str(plain["run"]))
    right.s3.put_object(Bucket=NATS_BUCKET, Key=key, Body=json.dumps(plain).encode())


def load(right: RightAccount) -> dict[str, tuple[str, str]]:
    checks = check_load_test(Scope(catalog(), environment(), right.account))
    return {one.id: (one.status, one.found) for one in checks}


def test_without_a_stored_run_load_is_not_passed_and_no_fault(right: RightAccount) -> None:
    found = load(right)
    assert set(found) == {"load-test.recent", "load-test.passed", "load-test.catalog"}
    assert set(found.values()) == {("unproven", "none is stored")}


def test_a_stored_run_that_is_recent_and_passed_counts(right: RightAccount) -> None:
    stored(right)
    assert {status for status, _ in load(right).values()} == {"ok"}


@pytest.mark.parametrize(
    ("change", "check_id", "told"),
    [
        ({"days": 8.0}, "load-test.recent", "20261126T031500Z-1a2b3c, 8 days old"),
        ({"verdict": "failed"}, "load-test.passed", "failed: p99_ms"),
        ({"digest": "of before"}, "load-test.catalog", "the catalog has changed since"),
    ],
    ids=["old", "failed", "other catalog"],
)
def test_a_stored_run_counts_for_what_it_shows_alone(
    right: RightAccount, change: dict[str, Any], check_id: str, told: str
) -> None:
    stored(right, **change)
    found = load(right)
    assert found.pop(check_id) == ("unproven", told)
    assert {status for status, _ in found.values()} == {"ok"}
