from __future__ import annotations

from pathlib import Path

import pytest

from fleet import project
from fleet.deploy.freshness import input_digest, is_fresh, mark_fresh, mark_stale


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (
        "app.py",
        "stacks/network.py",
        "environments/local.yaml",
        ".build/functions/wheel",
        ".venv/.stamps/packages",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    return tmp_path


def digest(checkout: Path) -> str:
    return input_digest("local", checkout / "catalog.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "app.py", "stacks/network.py", "stacks/new.py", "environments/local.yaml", ".build/functions/wheel",
        ".venv/.stamps/packages", "catalog.yaml", "home/.cdk.json",
    ],
)  # fmt: skip
def test_a_change_of_anything_that_templates_are_made_of_counts(checkout: Path, name: str) -> None:
    before = digest(checkout)
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("two")
    assert digest(checkout) != before


@pytest.mark.parametrize(
    "name", ["tests/test_app.py", "docs/page.md", ".local/log/x", "cdk.out/manifest.json", ".build/assets/x"]
)
def test_a_change_of_anything_else_does_not(checkout: Path, name: str) -> None:
    before = digest(checkout)
    (checkout / name).parent.mkdir(parents=True)
    (checkout / name).write_text("two")
    assert digest(checkout) == before


def test_an_assembly_is_fresh_for_its_own_input_and_stale_while_it_is_written(tmp_path: Path) -> None:
    assert not is_fresh(tmp_path, "one")
    mark_fresh(tmp_path, "one")
    assert is_fresh(tmp_path, "one")
    assert not is_fresh(tmp_path, "two")
    mark_stale(tmp_path)
    assert not is_fresh(tmp_path, "one")
