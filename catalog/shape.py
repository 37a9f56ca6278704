"""Faults of shape: what pydantic finds in one value, told in the words of someone who edits the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from catalog import reflect
from catalog.catalog import Catalog
from catalog.faults import Fault, KeyPath, did_you_mean, fault_at, listed, shown
from catalog.nodes import Node
from catalog.service import Service
from catalog.words import PATTERN_WORDS

# A mistyped password must not reappear in a log.
_NEVER_QUOTED = frozenset({"environment", "secrets"})

_WANTED_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}


def shape_faults(
    file: Path, model: type[BaseModel], node: Node, error: ValidationError, *, ignore_missing: bool = False
) -> list[Fault]:
    """Return the faults that a validation of `node` as `model` found.

    Args:
        file: File that the node is from.
        model: Model that the node was validated as.
        node: Tree of what was validated.
        error: What pydantic found.
        ignore_missing: Whether missing keys are fine, as in `defaults`.
    """
    return [
        _fault(file, model, node, details)
        for details in error.errors(include_url=False)
        if not (ignore_missing and details["type"] == "missing")
    ]


def bad_paths(error: ValidationError) -> list[KeyPath]:
    """Return what must be taken away from the data for the rest to be valid."""
    return [
        _path(details)[:-1] if details["type"] == "missing" else _path(details)
        for details in error.errors(include_url=False, include_context=False)
    ]


def file_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys that a mapping of the file may have: the model's fields, but for what the loader adds or takes away."""
    if model is Catalog:
        return ["groups", "defaults", "services"]
    return sorted(field for field in model.model_fields if model is not Service or field != "name")


def _path(details: Any) -> KeyPath:
    """Return pydantic's location without its mark for a mapping's key."""
    location: KeyPath = details["loc"]
    return location[:-1] if location and location[-1] == "[key]" else location


def _fault(file: Path, model: type[BaseModel], root: Node, details: Any) -> Fault:
    path = _path(details)
    node, rest = root.nearest(path)
    about_key = details["type"] == "extra_forbidden" or details["loc"] != path
    if rest:  # a missing key: told where its mapping stands
        return fault_at(file, _own_position(root, path[:-1]), (*node.path, *rest), _missing(model, path))
    position = root.nearest(path[:-1])[0].key_position(str(path[-1])) if about_key else node.start
    message = _unknown_key(model, path) if details["type"] == "extra_forbidden" else _told(model, path, details)
    return fault_at(file, position, node.path, message)


def _own_position(root: Node, path: KeyPath) -> Any:
    """Return where a mapping's own key stands, or the mapping itself where it has none."""
    node = root.nearest(path)[0]
    return root.nearest(path[:-1])[0].key_position(path[-1]) if path and isinstance(path[-1], str) else node.start


def _missing(model: type[BaseModel], path: KeyPath) -> str:
    description = reflect.description_at(model, path)
    return f"is required: {description}" if description else "is required"


def _unknown_key(model: type[BaseModel], path: KeyPath) -> str:
    given = str(path[-1])
    if given == "<<":
        return "merge keys are not supported; what entries share belongs in `defaults`"
    holder = reflect.model_at(model, path[:-1])
    allowed = file_keys(holder) if holder else []
    return f"unknown key {shown(given)}; allowed: {', '.join(allowed)}{did_you_mean(given, allowed)}"


def _told(model: type[BaseModel], path: KeyPath, details: Any) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    field = reflect.field_at(model, path)
    is_hidden = details["loc"] == path and not _NEVER_QUOTED.isdisjoint(map(str, path))
    given = "the value" if is_hidden else shown(value)
    if kind in _WANTED_TYPES:
        wanted = _WANTED_TYPES[kind]
        return f"is empty; {wanted} is wanted" if value is None else f"{given} is not {wanted}{_type_hint(kind, value)}"
    match kind:
        case "literal_error":
            told = _not_one_of(model, path, value)
        case "greater_than_equal" | "less_than_equal" | "greater_than":
            told = f"{given} is out of range; allowed: {_range(field)}"
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            told = f"{given} is not allowed; allowed: {PATTERN_WORDS[pattern]}{'' if is_hidden else _repaired(value, pattern)}"
        case "string_too_long":
            told = f"{given} has {len(value)} characters; at most {context['max_length']} are allowed"
        case "string_too_short":
            told = "is empty; write something"
        case "too_short":
            told = f"holds {_count(context['actual_length'])}; at least {context['min_length']} must be given"
        case "too_long":
            told = f"holds {_count(context['actual_length'])}; at most {context['max_length']} may be given"
        case _:
            told = f"{given} is not allowed: {details['msg']}"
    return told


def _not_one_of(model: type[BaseModel], path: KeyPath, value: Any) -> str:
    allowed = reflect.literal_values(reflect.annotation_at(model, path))
    return f"{shown(value)} is not allowed; allowed: {listed(allowed)}{_near(value, allowed)}"


def _near(value: Any, allowed: tuple[Any, ...]) -> str:
    words = [str(option) for option in allowed]
    if str(value) in words:
        return f"; write it {'without' if isinstance(value, str) else 'in'} quotes"
    if isinstance(value, str) or not isinstance(allowed[0], int):
        return did_you_mean(str(value), words)
    if isinstance(value, int) and value > 0:
        return f"; did you mean {min(allowed, key=lambda option: abs(option - value))}?"
    return ""


def _range(field: FieldInfo | None) -> str:
    least, most, above = reflect.limits(field) if field else (None, None, False)
    if least is None or most is None:
        return f"{least} or more" if most is None else f"{most} or less"
    return f"above {least}, up to {most}" if above else f"{least} to {most}"


def _type_hint(kind: str, value: Any) -> str:
    match kind, value:
        case "string_type", bool() | int() | float():
            return "; write it in quotes"
        case "int_type" | "float_type", str() if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
            return "; write it without quotes"
        case "int_type", float():
            return "; leave the fraction out"
        case "bool_type", str() if value.lower() in {"yes", "on", "y", "true", "no", "off", "n", "false"}:
            return f"; did you mean {'true' if value.lower() in {'yes', 'on', 'y', 'true'} else 'false'}?"
        case "list_type", str():
            return "; write it as [A, B]"
        case _:
            return ""


def _repaired(value: str, pattern: str) -> str:
    """Return `; did you mean …?` where the usual slips (capitals, underscores for hyphens) are all that is wrong."""
    for candidate in (value.strip(), value.lower(), re.sub(r"[\s_]+", "-", value.strip().lower()), value.upper()):
        if re.fullmatch(pattern.removeprefix("^").removesuffix("$"), candidate):
            return f"; did you mean {shown(candidate)}?"
    return ""


def _count(number: int) -> str:
    return "nothing" if number == 0 else str(number)
