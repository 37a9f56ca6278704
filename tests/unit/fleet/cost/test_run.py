"""The report is made of templates that are synthesised for it, and that a deployment never sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from catalog import load_environment
from catalog.cost import Cost
from fleet import project
from fleet.children import Ended
from fleet.cost.report import Report
from fleet.cost.run import cost_report
from fleet.deploy import cdk
from fleet.errors import WantingError
from tests.unit.fleet.cost.templates import BOOK, TODAY, body
from tests.unit.fleet.quiet import Quiet


class Synthesis:
    """Stands for the CDK CLI: writes an assembly with as many keys as the input says."""

    def __init__(self) -> None:
        self.input = 1
        self.code = 0
        self.written: list[Path] = []

    def digest(self, environment: str, catalog: Path) -> str:
        return f"{environment} {catalog} {self.input}"

    def run(self, command: Sequence[str], **_: Any) -> Ended:
        folder = Path(command[command.index("--output") + 1])
        self.written.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        artifact = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "stack.json"}}
        (folder / "manifest.json").write_text(json.dumps({"artifacts": {"stack": artifact}}), encoding="utf-8")
        keys = {f"Key{number}": body("AWS::KMS::Key") for number in range(self.input)}
        (folder / "stack.json").write_text(json.dumps({"Resources": keys}), encoding="utf-8")
        return Ended(self.code, ("Error: no such thing",))


@pytest.fixture
def synthesis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Synthesis:
    made = Synthesis()
    monkeypatch.setattr(project, "STATE", tmp_path)
    monkeypatch.setattr(cdk, "input_digest", made.digest)
    monkeypatch.setattr(cdk, "run_child", made.run)
    return made


def reckon() -> Report:
    return cost_report(load_environment("prod"), Path("catalog.yaml"), Cost(), BOOK, TODAY, Quiet())


def test_what_a_deployment_has_shown_and_asks_about_stays_as_it_is(synthesis: Synthesis) -> None:
    assert reckon().base_usd == pytest.approx(1.0)
    assert synthesis.written == [project.STATE / "assembly" / "prod-cost"]
    assert not project.assembly("prod").exists()


def test_templates_are_written_anew_only_where_their_input_has_changed(synthesis: Synthesis) -> None:
    reckon()
    reckon()
    assert len(synthesis.written) == 1

    synthesis.input = 3

    assert reckon().base_usd == pytest.approx(3.0)
    assert len(synthesis.written) == 2


def test_a_synthesis_that_fails_is_told_and_its_templates_are_not_taken_for_whole(synthesis: Synthesis) -> None:
    synthesis.code = 1
    with pytest.raises(WantingError, match="no such thing"):
        reckon()

    synthesis.code = 0
    reckon()

    assert len(synthesis.written) == 2
