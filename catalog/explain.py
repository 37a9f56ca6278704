"""An entry with the defaults filled in: what each key is, where that comes from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from catalog.compose import composed
from catalog.faults import CatalogError, KeyPath, key_text
from catalog.load import check_source, with_defaults
from catalog.nodes import Node
from catalog.reflect import description_at
from catalog.service import Service
from catalog.source import read_source

Origin = Literal["entry", "defaults", "built in"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an entry."""

    key: str
    """The key, such as `health_check.interval_seconds`."""
    value: Any
    """What counts."""
    origin: Origin
    """Who says so: the entry, the catalog's defaults, or nobody."""
    line: int | None
    """The line of the file that says so."""
    description: str
    """What the key means."""


def explained(file: Path, name: str) -> tuple[Service, list[Key]] | None:
    """Return a service and all its keys; none where the catalog has no such entry.

    Raises:
        CatalogError: The catalog is not valid.
    """
    source = read_source(file)
    checked = check_source(source)
    if checked.catalog is None:
        raise CatalogError(checked.faults)
    service = checked.catalog.services.get(name)
    tree = with_defaults(file, composed(source)[0], [])
    entry = tree.get("services", name) if tree else None
    if service is None or entry is None:
        return None
    return service, [key for key in _keys((), service, entry) if key.key != "name"]


def _keys(path: KeyPath, value: Any, entry: Node) -> Iterator[Key]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, BaseModel):
        children = [(field, getattr(value, field)) for field in type(value).model_fields]
    elif isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        children = list(enumerate(value))
    if children:
        for part, child in children:
            yield from _keys((*path, part), child, entry)
        return
    node = entry.get(*path)
    origin: Origin = "built in" if node is None else "defaults" if node.path[:1] == ("defaults",) else "entry"
    yield Key(key_text(path), value, origin, node.start.line if node else None, description_at(Service, path))
