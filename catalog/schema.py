"""The JSON Schemas of the files, for editors: `python -m catalog.schema` writes them, `--check` finds drift.

Draft 7, since that is what the YAML language server knows best. They say what a single value may be; what the rules find,
`fleet catalog check` tells.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.reflect import bare_type, descriptions, is_model
from catalog.service import Service
from catalog.words import PATTERN_WORDS

FOLDER = Path(__file__).parent / "schema"
DRAFT = "http://json-schema.org/draft-07/schema#"

_DEFAULTS_DESCRIPTION = "What every entry has unless it says otherwise. Mappings merge, everything else is replaced."


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by the names of their files."""
    return {
        "service_catalog.schema.json": catalog_schema(),
        "environment.schema.json": _finished(Environment.model_json_schema(), Environment, "An environment"),
    }


def drifted() -> list[str]:
    """Return the files that are missing, or not what the model says."""
    return [name for name, schema in schemas().items() if not _is_written(name, schema)]


def catalog_schema() -> dict[str, Any]:
    """Return the schema of a service catalog, in which no key of an entry is required that the defaults may give."""
    schema = _finished(Catalog.model_json_schema(), Catalog, "A service catalog")
    parts = schema["definitions"]
    for part in ("Service", *_merged_into(Service)):
        parts[part].pop("required", None)
    del parts["Service"]["properties"]["name"]
    defaults = {"allOf": [{"$ref": "#/definitions/Service"}], "description": _DEFAULTS_DESCRIPTION}
    properties = schema["properties"]
    schema["properties"] = {"groups": properties["groups"], "defaults": defaults, "services": properties["services"]}
    return schema


def _merged_into(model: type[BaseModel]) -> list[str]:
    """Return the parts of a model that defaults merge into, all the way down; a list is replaced as a whole."""
    parts = [bare_type(field.annotation) for field in model.model_fields.values()]
    return [name for part in parts if is_model(part) for name in (part.__name__, *_merged_into(part))]


def _finished(schema: dict[str, Any], model: type[BaseModel], title: str) -> dict[str, Any]:
    """Return pydantic's schema in draft 7, with the model's descriptions and the patterns in words."""
    definitions = schema.pop("$defs", {})
    described = {part.__name__: part for part in _parts_of(model)}
    for name, definition in definitions.items():
        definition["description"] = described[name].__doc__ or ""
        _describe(definition, described[name])
    _describe(schema, model)
    finished = _in_draft_7({**schema, "definitions": definitions})
    return {"$schema": DRAFT, **finished, "title": title, "description": model.__doc__}


def _parts_of(model: type[BaseModel]) -> set[type[BaseModel]]:
    return {model}.union(*(_parts_in(field.annotation) for field in model.model_fields.values()))


def _parts_in(annotation: Any) -> set[type[BaseModel]]:
    bare = bare_type(annotation)
    if is_model(bare):
        return _parts_of(bare)
    return set().union(*(_parts_in(argument) for argument in getattr(bare, "__args__", ())))


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    for key, text in descriptions(model).items():
        definition["properties"][key]["description"] = text


def _in_draft_7(value: Any) -> Any:
    """Return a part of the schema in draft 7: other names, nothing beside a `$ref`, and no titles made of keys."""
    if isinstance(value, list):
        return [_in_draft_7(item) for item in value]
    if not isinstance(value, dict):
        return value
    part = {key: _in_draft_7(item) for key, item in value.items() if key != "title" or not isinstance(item, str)}
    if "patternProperties" in part:
        part["additionalProperties"] = False
    if "pattern" in part:
        part["patternErrorMessage"] = f"Allowed: {PATTERN_WORDS[part['pattern']]}."
    if reference := part.pop("$ref", None):
        target = {"$ref": reference.replace("#/$defs/", "#/definitions/")}
        return {"allOf": [target], **part} if part else target
    return part


def _is_written(name: str, schema: dict[str, Any]) -> bool:
    file = FOLDER / name
    return file.is_file() and file.read_text(encoding="utf-8") == _text(schema)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the schemas, or with `--check` tell which of them are not what the model says."""
    parser = argparse.ArgumentParser(prog="python -m catalog.schema", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a schema has drifted")
    check = parser.parse_args(arguments).check
    stale = drifted()
    for name in stale:
        if not check:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_text(_text(schemas()[name]), encoding="utf-8")
        told = "differs from the model; run `python -m catalog.schema`" if check else "written"
        sys.stderr.write(f"catalog/schema/{name}: {told}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
