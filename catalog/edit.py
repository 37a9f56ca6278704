"""Edit a catalog's text: add, disable and enable an entry, and change no other byte.

The text is cut at the places that the parser tells, not written anew, so that comments, order, quoting, indentation and line
ends stay as they are. What comes out is loaded before it is written: unless it is the old catalog with exactly the wanted
change, the file stays untouched.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.catalog import MAX_SERVICES_IN_STACK, Catalog
from catalog.compose import composed
from catalog.faults import CatalogError, Fault, KeyPath, Position, did_you_mean, fault_at, listed, shown
from catalog.load import check_source
from catalog.nodes import Node
from catalog.scalars import resolved
from catalog.service import Service
from catalog.source import Source, read_source
from catalog.text import TextFile
from catalog.words import PATTERN_WORDS

_USUAL_STEP = 2
_TRUTHS_OF_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
(_NAME_PATTERN,) = (rule.pattern for rule in Service.model_fields["name"].metadata)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.;()_/'-]*[A-Za-z0-9.)]")


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit has done."""

    service: Service
    """The service as it is now."""
    changed: bool
    """Whether the file was written; not, where everything was as wanted."""
    warnings: tuple[Fault, ...]
    """Warnings about the catalog as it is now."""


def add_service(
    file: Path,
    name: str,
    *,
    group: str,
    description: str | None = None,
    owner: str | None = None,
    tag: str | None = None,
) -> Edited:
    """Add an entry after the last one of its group, in the first of the group's stacks that has room.

    Args:
        file: The catalog.
        name: Name of the service.
        group: Group of the service.
        description: What it does; something to be replaced where none is given.
        owner: Team that owns it; where none is given, the defaults', or who owns most of the group.
        tag: Tag of its image; the defaults' where none is given.

    Raises:
        CatalogError: The catalog is not valid, or would not be; it stays untouched.
    """
    edit = _Edit(file)
    if not re.fullmatch(_NAME_PATTERN, name):
        edit.refuse(("services",), f"{shown(name)} is not allowed; allowed: {PATTERN_WORDS[_NAME_PATTERN]}", None)
    if name in edit.before.services:
        edit.refuse(("services", name), f"there is a service {shown(name)} already", edit.services.keys[name])
    if group not in edit.before.groups:
        groups = edit.before.groups
        told = f"there is no group {shown(group)}; allowed: {listed(groups)}{did_you_mean(group, groups)}"
        edit.refuse(("groups",), told, edit.root.keys["groups"])
    defaults = edit.root.get("defaults")
    fields: dict[str, Any] = {"group": group, "stack": _first_stack_with_room(edit.before, group)}
    fields["description"] = description or f"{name} is not described yet."
    if owner is not None or defaults is None or defaults.get("owner") is None:
        fields["owner"] = owner or _usual_owner(edit.before, group)
    if tag is not None:
        fields["image"] = {"tag": tag}
    edit.insert_entry(name, fields, after=_last_of_group(edit.before, group))
    return edit.finish(name)


def disable_service(file: Path, name: str, *, reason: str) -> Edited:
    """Switch a service off and say why.

    Raises:
        CatalogError: There is no such service, or the catalog is or would not be valid; it stays untouched.
    """
    edit = _Edit(file)
    service = edit.service(name)
    if service.enabled or service.reason != reason:
        edit.set_keys(name, {"enabled": False, "reason": reason}, after=("stack", "group"))
    return edit.finish(name, enabled=False, reason=reason)


def enable_service(file: Path, name: str) -> Edited:
    """Switch a service on; its entry loses `enabled` and `reason`.

    Raises:
        CatalogError: There is no such service, or the catalog is or would not be valid; it stays untouched.
    """
    edit = _Edit(file)
    if not edit.service(name).enabled:
        edit.remove_keys(name, ("enabled", "reason"))
    return edit.finish(name, enabled=True, reason=None)


class _Edit:
    """One edit: the catalog before it, and the text that changes."""

    def __init__(self, file: Path) -> None:
        self.source: Source = read_source(file)
        before = check_source(self.source)
        if before.catalog is None:
            raise CatalogError(before.faults)
        self.before: Catalog = before.catalog
        self.root: Node = composed(self.source)[0]
        self.services: Node = self.root.value["services"]
        self.text = TextFile(self.source)

    def refuse(self, path: KeyPath, message: str, position: Position | None) -> None:
        raise CatalogError([fault_at(self.source.file, position, path, message)])

    def service(self, name: str) -> Service:
        services = self.before.services
        if name not in services:
            told = f"there is no service {shown(name)}{did_you_mean(name, services)}"
            self.refuse(("services",), told, self.root.keys["services"])
        return services[name]

    def _column(self, mapping: Node) -> int:
        """Return how far a mapping's keys are indented; 0 where it has none of its own lines."""
        return next(iter(mapping.keys.values())).column - 1 if mapping.keys else 0

    def _step(self) -> int:
        """Return by how much the file indents."""
        for entry in self.services.value.values():
            if entry.keys and not self.text.is_flow(entry):
                return max(self._column(entry) - self._column(self.services), 1)
        return self._column(self.services) or _USUAL_STEP

    def _has_blank_lines(self) -> bool:
        """Tell whether the file parts its entries by blank lines."""
        _, *later = (key.line - 1 for key in self.services.keys.values())
        return all(self.text.has_blank_line_before(line) for line in later)

    def insert_entry(self, name: str, fields: dict[str, Any], *, after: str | None) -> None:
        """Insert an entry after another's; without one it is the first."""
        width = self._step()
        indent = " " * (self._column(self.services) or width)
        lines = [f"{indent}{name}:", *_block(fields, indent + " " * width, width)]
        if after is None:
            self.text.replace(
                self.services.start.offset, self.services.end, "".join(f"{self.text.eol}{line}" for line in lines)
            )
            return
        if self.text.is_flow(self.services):
            told = "the services stand in braces; add the entry by hand"
            self.refuse(("services",), told, self.services.start)
        end = self.text.block_end(self.services, after, self.root)
        blank = [""] if self._has_blank_lines() else []
        self.text.insert_lines(end, [*blank, *lines])

    def set_keys(self, name: str, values: dict[str, Any], *, after: Iterable[str]) -> None:
        """Give keys of an entry a value: in the place of the old one, or in a line of their own below the first of `after`."""
        entry = self._own_entry(name, tuple(values))
        missing = []
        for key, value in values.items():
            if (node := entry.get(key)) is not None:
                self.text.replace_value(node, _scalar(value))
            else:
                missing.append(f"{key}: {_scalar(value)}")
        if not missing:
            return
        if self.text.is_flow(entry):
            separator = ", " if entry.value else ""
            self.text.replace(entry.start.offset + 1, entry.start.offset + 1, ", ".join(missing) + separator)
            return
        anchor = next((entry.value[key] for key in (*values, *after) if entry.get(key) is not None), None)
        line = self.text.last_line(anchor) + 1 if anchor is not None else self.services.keys[name].line
        indent = " " * self._column(entry)
        self.text.insert_lines(line, [f"{indent}{told}" for told in missing])

    def remove_keys(self, name: str, keys: Collection[str]) -> None:
        """Remove keys of an entry with their values."""
        entry = self._own_entry(name, keys)
        if self.text.is_flow(entry):
            self.text.remove_flow_members(entry, keys)
            return
        for key in keys:
            if (node := entry.get(key)) is not None:
                self.text.remove_lines(entry.keys[key].line - 1, self.text.last_line(node) + 1)

    def _own_entry(self, name: str, keys: Collection[str]) -> Node:
        """Return an entry whose text is nobody else's: neither it nor one of the keys is an alias."""
        path: KeyPath = ("services", name)
        entry: Node = self.services.value[name]
        if entry.path != path or any(node.path != (*path, key) for key in keys if (node := entry.get(key)) is not None):
            self.refuse(path, "stands in an anchor that others share; edit the file by hand", self.services.keys[name])
        return entry

    def finish(self, name: str, **expected: Any) -> Edited:
        """Load the new text, and write it where it is the old catalog with nothing but the wanted change."""
        text = self.text.result()
        after = check_source(Source(self.source.file, text))
        if after.catalog is None:
            raise CatalogError(after.faults)
        service = after.catalog.services[name]
        others = {key: value for key, value in after.catalog.services.items() if key != name}
        before = {key: value for key, value in self.before.services.items() if key != name}
        wanted = self.before.services.get(name, service).model_copy(update=expected)
        if (after.catalog.groups, others, service) != (self.before.groups, before, wanted):
            told = "cannot be changed without changing something else; edit the file by hand"
            self.refuse(("services", name), told, self.services.keys.get(name))
        changed = text != self.source.text
        if changed:
            self.text.write(text)
        return Edited(service, changed, after.faults)


def _first_stack_with_room(catalog: Catalog, group: str) -> int:
    counts = Counter(service.stack for service in catalog.services.values() if service.group == group)
    return next(stack for stack in range(1, len(counts) + 2) if counts[stack] < MAX_SERVICES_IN_STACK)


def _last_of_group(catalog: Catalog, group: str) -> str | None:
    """Return the entry that a new one of the group goes below; none where there is no entry at all."""
    of_group = [name for name, service in catalog.services.items() if service.group == group]
    return next(reversed(of_group or list(catalog.services)), None)


def _usual_owner(catalog: Catalog, group: str) -> str:
    owners = Counter(service.owner for service in catalog.services.values() if service.group == group)
    return owners.most_common(1)[0][0] if owners else group


def _block(fields: dict[str, Any], indent: str, width: int) -> list[str]:
    lines = []
    for key, value in fields.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_block(value, indent + " " * width, width)]
        else:
            lines.append(f"{indent}{key}: {_scalar(value)}")
    return lines


def _scalar(value: str | float) -> str:
    """Return a value as YAML, without quotes where it reads the same without."""
    if isinstance(value, str):
        reads_as_text = resolved(value) == value and value.lower() not in _TRUTHS_OF_YAML_1_1
        return value if _PLAIN.fullmatch(value) and reads_as_text else json.dumps(value, ensure_ascii=False)
    return str(value).lower()
