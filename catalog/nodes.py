"""A YAML file as a tree in which every value knows its place.

Trees are merged and pruned by sharing nodes, never by changing them: a value that came from `defaults` therefore still
tells its place there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from catalog.faults import KeyPath, Position


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value of the file: a scalar, a `dict` of nodes or a `list` of nodes."""

    value: Any
    start: Position
    end: int
    """Offset after the value's last character."""
    path: KeyPath
    """Where the value was written, which for a default is not where it counts."""
    keys: Mapping[str, Position] = field(default_factory=dict)
    """Where a mapping's keys stand."""

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.value, dict)

    def __iter__(self) -> Iterator[tuple[str | int, Node]]:
        """Yield the children of a mapping or list; a scalar has none."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def get(self, *path: str | int) -> Node | None:
        """Return the node at a path below this one."""
        node = self
        for part in path:
            try:
                node = node.value[part]
            except (KeyError, IndexError, TypeError):
                return None
            if not isinstance(node, Node):  # a character of a scalar
                return None
        return node

    def nearest(self, path: KeyPath) -> tuple[Node, KeyPath]:
        """Return the deepest node on a path that exists, and what of the path is left."""
        node = self
        for depth, part in enumerate(path):
            below = node.get(part)
            if below is None:
                return node, path[depth:]
            node = below
        return node, ()

    def key_position(self, key: str) -> Position:
        """Return where a key of this mapping stands."""
        return self.keys.get(key, self.start)


def plain(node: Node) -> Any:
    """Return the tree as plain data."""
    match node.value:
        case dict() as members:
            return {key: plain(child) for key, child in members.items()}
        case list() as items:
            return [plain(child) for child in items]
        case scalar:
            return scalar


def merged(below: Node, above: Node) -> Node:
    """Return `above` laid over `below`: mappings merge at every depth, everything else replaces."""
    if not (below.is_mapping and above.is_mapping):
        return above
    members = dict(below.value)
    for key, child in above.value.items():
        members[key] = merged(members[key], child) if key in members else child
    return replace(above, value=members, keys={**below.keys, **above.keys})


def without(node: Node, paths: Iterable[KeyPath]) -> Node:
    """Return the tree without the nodes at these paths; an empty path is ignored."""
    here: set[str | int] = set()
    deeper: dict[str | int, list[KeyPath]] = {}
    for first, *rest in (path for path in paths if path):
        if rest:
            deeper.setdefault(first, []).append(tuple(rest))
        else:
            here.add(first)
    kept = [(key, without(child, deeper[key]) if key in deeper else child) for key, child in node if key not in here]
    value: Any = dict(kept) if node.is_mapping else [child for _, child in kept]
    return replace(node, value=value) if isinstance(node.value, dict | list) else node
