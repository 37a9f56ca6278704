"""Where things stand and who may import what, as far as `.importlinter` does not say it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.synthesis import ROOT

CODE = ("stacks", "constructs", "catalog")


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def imported(file: Path) -> set[str]:
    """Return the full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_the_folder_of_the_constructs_is_no_package() -> None:
    """With an `__init__.py` it would hide PyPI's package constructs, and CDK could not be imported."""
    assert not (ROOT / "constructs" / "__init__.py").exists()


def test_no_folder_of_tests_has_that_name_either() -> None:
    assert [path for path in (ROOT / "tests").rglob("constructs") if path.is_dir()] == []


def test_nats_pys_name_stays_its_own() -> None:
    assert not (ROOT / "nats").exists()


@pytest.mark.parametrize("file", [ROOT / "app.py", *(file for folder in CODE for file in modules(folder))], ids=str)
def test_our_constructs_are_imported_by_their_own_name(file: Path) -> None:
    """By way of `constructs.` a second copy of every class would be loaded."""
    assert [name for name in imported(file) if name.startswith("constructs.")] == []


@pytest.mark.parametrize("word", ["environ", "getenv", "yaml", "boto3"])
def test_constructs_read_neither_yaml_nor_the_process_environment(word: str) -> None:
    for file in [*modules("constructs"), *modules("stacks")]:
        names = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert word not in names | {name.partition(".")[0] for name in imported(file)}, file


def test_no_code_asks_for_an_environments_name() -> None:
    """What differs between environments stands in their files; production's names are the one exception, in catalog/names.py."""
    names = {"prod", "staging", "dev", "local"}
    for file in [ROOT / "app.py", *modules("constructs"), *modules("stacks")]:
        literals = {
            node.value
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant)
        }
        assert not names & {value for value in literals if isinstance(value, str)}, file


def test_cdk_json_says_each_key_once() -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys))
        return dict(pairs)

    json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"), object_pairs_hook=unique)


def test_cdk_json_holds_no_account() -> None:
    assert not [word for word in (ROOT / "cdk.json").read_text(encoding="utf-8").split('"') if word.isdigit()]
