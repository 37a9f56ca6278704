"""The JSON Schemas: as committed, as the model has them, and of use in an editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from catalog import schema
from catalog.compose import composed
from catalog.nodes import plain
from catalog.reflect import descriptions
from catalog.service import Service
from catalog.source import read_source

ROOT = Path(__file__).parents[3]
CATALOGS = [ROOT / "service_catalog.yaml", *sorted((ROOT / "tests" / "cases" / "good").glob("*.yaml"))]
ENVIRONMENTS = sorted((ROOT / "environments").glob("*.yaml"))


def complaints(name: str, file: Path) -> list[str]:
    document = plain(composed(read_source(file))[0])
    return [error.message for error in Draft7Validator(schema.schemas()[name]).iter_errors(document)]


def parts(value: Any) -> list[dict[str, Any]]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    below = [part for child in children for part in parts(child)]
    return [value, *below] if isinstance(value, dict) else below


def test_committed_schemas_are_the_models() -> None:
    assert schema.main(["--check"]) == 0


def test_drift_is_told_and_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schema, "FOLDER", tmp_path / "schema")

    assert schema.main(["--check"]) == 1
    assert not (tmp_path / "schema").exists()
    assert "environment.schema.json: differs from the model; run `python -m catalog.schema`" in capsys.readouterr().err
    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0


@pytest.mark.parametrize("name", schema.schemas())
def test_schema_is_draft_7_and_nothing_stands_beside_a_reference(name: str) -> None:
    document = schema.schemas()[name]

    Draft7Validator.check_schema(document)
    assert json.loads((schema.FOLDER / name).read_text(encoding="utf-8")) == document
    assert all(len(part) == 1 for part in parts(document) if "$ref" in part)
    assert "$defs" not in json.dumps(document)


@pytest.mark.parametrize("file", CATALOGS, ids=lambda file: file.stem)
def test_good_catalog_fits(file: Path) -> None:
    assert complaints("service_catalog.schema.json", file) == []


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_environment_fits(file: Path) -> None:
    assert complaints("environment.schema.json", file) == []


@pytest.mark.parametrize(
    "case", ["unknown_key", "unknown_key_deep", "cpu_size", "range_replicas", "pattern_subject", "pattern_service_name"]
)
def test_bad_catalog_does_not_fit(case: str) -> None:
    assert complaints("service_catalog.schema.json", ROOT / "tests" / "cases" / "bad" / f"{case}.yaml")


def test_no_key_of_an_entry_is_required_that_defaults_may_give() -> None:
    definitions = schema.catalog_schema()["definitions"]

    assert "required" not in definitions["Service"]
    assert "required" not in definitions["Autoscaling"]
    assert "name" not in definitions["Service"]["properties"]
    assert definitions["Route"]["required"] == ["method", "path", "allow"]


def test_every_key_is_explained() -> None:
    properties = schema.catalog_schema()["definitions"]["Service"]["properties"]

    assert {key: part["description"] for key, part in properties.items()} == {
        key: text for key, text in descriptions(Service).items() if key != "name"
    }


@pytest.mark.parametrize("file", [*CATALOGS[:1], *ENVIRONMENTS], ids=lambda file: file.stem)
def test_first_line_names_the_schema_for_the_editor(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    kind, _, path = first.partition("$schema=")

    assert kind == "# yaml-language-server: "
    assert (file.parent / path).resolve().parent == schema.FOLDER
    assert (file.parent / path).is_file()
