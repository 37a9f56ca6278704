"""What the model says of a key: its type, limits, default and description.

A key's description is the docstring below its field. It is read from the source only when somebody asks, since pydantic's
own way (`use_attribute_docstrings`) reads it at every import.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from catalog.faults import KeyPath


def field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """Return the field that a path leads to; none where it leads into a mapping or list, or nowhere."""
    if not path or not isinstance(path[-1], str):
        return None
    holder = model_at(model, path[:-1])
    return holder.model_fields.get(path[-1]) if holder else None


def description_at(model: type[BaseModel], path: KeyPath) -> str:
    """Return what the model says of the key that a path leads to; nothing where the key is free."""
    holder = model_at(model, path[:-1]) if path else None
    return descriptions(holder).get(str(path[-1]), "") if holder else ""


@cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return what a model says of each of its keys."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        statement.target.id: inspect.cleandoc(text)
        for statement, below in pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(text := below.value.value, str)
    }


def model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the model of the mapping at a path; none where the mapping's keys are free."""
    bare = bare_type(annotation_at(model, path))
    return bare if is_model(bare) else None


def annotation_at(model: type[BaseModel], path: KeyPath) -> Any:
    """Return the type of the value at a path; none where the path leads nowhere."""
    annotation: Any = model
    for part in path:
        annotation = _below(annotation, part)
    return annotation


def is_model(annotation: Any) -> bool:
    """Tell whether a type is a part of the model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def bare_type(annotation: Any) -> Any:
    """Return a type without `Annotated` and without `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            annotation = next(option for option in get_args(annotation) if option is not NoneType)
        else:
            return annotation


def literal_values(annotation: Any) -> tuple[Any, ...]:
    """Return the values that a `Literal` allows; none for another type."""
    bare = bare_type(annotation)
    return get_args(bare) if get_origin(bare) is Literal else ()


def limits(field: FieldInfo) -> tuple[float | None, float | None, bool]:
    """Return the least and the most that a number may be, and whether it must be above the least."""
    least = most = None
    above = False
    for constraint in [*field.metadata, *_optional_constraints(field.annotation)]:
        least = getattr(constraint, "ge", getattr(constraint, "gt", least))
        most = getattr(constraint, "le", most)
        above = above or hasattr(constraint, "gt")
    return least, most, above


def _optional_constraints(annotation: Any) -> list[Any]:
    """Return the constraints of what may be missing, which stand inside `Annotated[…] | None`."""
    options = [option for option in get_args(annotation) if get_origin(option) is Annotated]
    return [
        each for option in options for field in get_args(option)[1:] for each in getattr(field, "metadata", [field])
    ]


def _below(annotation: Any, part: str | int) -> Any:
    bare = bare_type(annotation)
    if is_model(bare):
        field = bare.model_fields.get(part)
        return field.annotation if field else None
    origin = get_origin(bare)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return get_args(bare)[1]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return get_args(bare)[0]
    return None
