"""The model itself: every key is explained, every pattern has words, and every limit has a bad case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, StringConstraints, ValidationError

from catalog import Catalog, CatalogError, Environment
from catalog.compose import composed
from catalog.faults import KeyPath
from catalog.load import with_defaults
from catalog.nodes import plain
from catalog.reflect import bare_type, descriptions, is_model, literal_values
from catalog.source import read_source
from catalog.words import PATTERN_WORDS

CASES = Path(__file__).parents[2] / "cases"
_ERRORS_BY_LIMIT = {
    "ge": "greater_than_equal",
    "gt": "greater_than",
    "le": "less_than_equal",
    "min_length": "too_short",
    "max_length": "too_long",
}

Limit = tuple[str, str]
"""A key of a part of the model, with `*` for a name or number that the user chooses, and the error of its limit."""


def parts(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        yield from parts_in(field.annotation)


def parts_in(annotation: Any) -> Iterator[type[BaseModel]]:
    bare = bare_type(annotation)
    if is_model(bare):
        yield from parts(bare)
    for argument in get_args(bare):
        yield from parts_in(argument)


def limits_of_model(model: type[BaseModel]) -> Iterator[Limit]:
    for name, field in model.model_fields.items():
        inside = f"{model.__name__}.{name}"
        yield from limits(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation, inside)


def limits(annotation: Any, path: str) -> Iterator[Limit]:
    if get_origin(annotation) is Annotated:
        bare, *constraints = get_args(annotation)
        for constraint in constraints:
            yield from ((path, error) for error in errors_of(constraint))
        yield from limits(bare, path)
        return
    bare = bare_type(annotation)
    if literal_values(bare):
        yield path, "literal_error"
    elif is_model(bare):
        yield from limits_of_model(bare)
    elif bare is not annotation:
        yield from limits(next(option for option in get_args(annotation) if option is not type(None)), path)
    elif issubclass(get_origin(bare) or bare, list):
        yield from limits(get_args(bare)[0], f"{path}.*")
    elif get_args(bare):
        key, value = get_args(bare)
        yield from limits(key, f"{path}.*[key]")
        yield from limits(value, f"{path}.*")


def errors_of(constraint: Any) -> Iterator[str]:
    if isinstance(constraint, StringConstraints):
        if constraint.pattern:
            yield "string_pattern_mismatch"
        if constraint.min_length:
            yield "string_too_short"
        if constraint.max_length:
            yield "string_too_long"
        return
    for attribute, error in _ERRORS_BY_LIMIT.items():
        if getattr(constraint, attribute, None) is not None:
            yield error


def generalised(model: type[BaseModel], path: KeyPath) -> str:
    """Return a path from the last part of the model on, with a star for each key that is not the model's own."""
    annotation: Any = model
    told = ""
    for part in path:
        bare = bare_type(annotation)
        if part == "[key]":
            told += "[key]"
        elif is_model(bare):
            told = f"{bare.__name__}.{part}"
            annotation = bare.model_fields[part].annotation if part in bare.model_fields else None
        else:
            told += ".*"
            annotation = get_args(bare)[-1] if get_args(bare) else None
    return told


def limits_with_a_case(model: type[BaseModel], files: list[Path]) -> set[Limit]:
    found: set[Limit] = set()
    for file in files:
        try:
            root, _ = composed(read_source(file))
        except CatalogError:
            continue
        tree = with_defaults(file, root, []) if model is Catalog else root
        try:
            model.model_validate(plain(tree or root))
        except ValidationError as error:
            found |= {(generalised(model, details["loc"]), details["type"]) for details in error.errors()}
    return found


@pytest.mark.parametrize("part", sorted({*parts(Catalog), *parts(Environment)}, key=str))
def test_every_key_is_explained(part: type[BaseModel]) -> None:
    explained = descriptions(part)

    assert list(explained) == list(part.model_fields)
    assert all(text.endswith(".") and text[0].isupper() for text in explained.values())


def test_every_pattern_has_words_and_no_words_are_left_over() -> None:
    patterns = {
        constraint.pattern
        for part in {*parts(Catalog), *parts(Environment)}
        for constraint in string_constraints(part)
        if constraint.pattern
    }

    assert patterns == set(PATTERN_WORDS)


def string_constraints(annotation: Any) -> Iterator[StringConstraints]:
    if is_model(annotation):
        for field in annotation.model_fields.values():
            yield from (constraint for constraint in field.metadata if isinstance(constraint, StringConstraints))
            yield from string_constraints(field.annotation)
    for argument in get_args(annotation):
        if isinstance(argument, StringConstraints):
            yield argument
        elif not is_model(argument):
            yield from string_constraints(argument)


@pytest.mark.parametrize(
    ("model", "files"),
    [
        (Catalog, sorted((CASES / "bad").rglob("*.yaml"))),
        (Environment, sorted((CASES / "bad_environments").glob("*.yaml"))),
    ],
    ids=["catalog", "environment"],
)
def test_every_limit_has_a_bad_case(model: type[BaseModel], files: list[Path]) -> None:
    wanted = set(limits_of_model(model))

    assert len(wanted) > 30
    assert wanted - limits_with_a_case(model, files) == set()
