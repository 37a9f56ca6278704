"""A file on its way from tree to model: its faults, and as much of it as can be typed.

A value of the wrong shape is taken away and the rest typed without it, so that the rules still look at everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from catalog.faults import Fault, KeyPath, Position, Severity, fault_at
from catalog.model import Model
from catalog.nodes import Node, plain, without
from catalog.shape import bad_paths, shape_faults

ModelT = TypeVar("ModelT", bound=Model)

# Each round takes at least one value away; what is still wrong after these has no part worth looking at.
_ROUNDS = 8


@dataclass(slots=True)
class Draft(Generic[ModelT]):
    """A typed file, the tree that it was typed from, and what is wrong with it."""

    file: Path
    model: ModelT
    tree: Node
    """What was typed: the file with its defaults filled in, without the values of the wrong shape."""
    whole: Node
    """The same with those values."""
    faults: list[Fault]

    def given(self, *path: str | int) -> bool:
        """Tell whether the file gives a value, itself or by a default, and all of it has the right shape."""
        node = self.tree.get(*path)
        return node is not None and node is self.whole.get(*path)

    def is_sound(self, path: KeyPath, *keys: str) -> bool:
        """Tell that none of some keys of a mapping was taken away for its shape: what stands in for it is no fault's ground."""
        return not any(self.is_misshapen(*path, key) for key in keys)

    def is_misshapen(self, *path: str | int) -> bool:
        """Tell whether a value, or part of it, or what it stands in, has the wrong shape."""
        for depth in range(1, len(path) + 1):
            if self.whole.get(*path[:depth]) is None:
                return False
            if self.tree.get(*path[:depth]) is None:
                return True
        return self.tree.get(*path) is not self.whole.get(*path)

    def is_default(self, *path: str | int) -> bool:
        """Tell whether a value comes from the file's defaults."""
        node = self.tree.get(*path)
        return node is not None and node.path[:1] == ("defaults",)

    def most_own(self, path: KeyPath, *keys: str) -> KeyPath:
        """Return the path of the first of some keys that the entry itself gives, or else the defaults, or else nobody."""
        given = [key for key in keys if self.tree.get(*path, key) is not None]
        own = [key for key in given if not self.is_default(*path, key)]
        return (*path, (own or given or list(keys))[0])

    def position(self, path: KeyPath) -> Position:
        """Return where a value stands, or the key of what it is missing from."""
        node, rest = self.tree.nearest(path)
        if not rest:
            return node.start
        reached = path[: len(path) - len(rest)]
        return self.key_position(reached) if reached and isinstance(reached[-1], str) else node.start

    def key_position(self, path: KeyPath) -> Position:
        """Return where a key stands."""
        return self.tree.nearest(path[:-1])[0].key_position(str(path[-1]))

    def report(self, path: KeyPath, message: str, severity: Severity = "error") -> None:
        """Note a fault of a value, at the place where the value was written."""
        node, rest = self.tree.nearest(path)
        self.faults.append(fault_at(self.file, self.position(path), (*node.path, *rest), message, severity))

    def report_key(self, path: KeyPath, message: str, severity: Severity = "error") -> None:
        """Note a fault of a key, at the place where the key was written."""
        node, rest = self.tree.nearest(path)
        self.faults.append(fault_at(self.file, self.key_position(path), (*node.path, *rest), message, severity))


def drafted(
    file: Path,
    model: type[ModelT],
    tree: Node,
    faults: list[Fault],
    completed: Callable[[Any], Any] = lambda data: data,
) -> Draft[ModelT] | None:
    """Type a tree and note its faults of shape; none where too little is left to be typed.

    Args:
        file: File that the tree is from.
        model: Model of the file.
        tree: The file.
        faults: Faults so far; those that are found are added.
        completed: Gives plain data the stand-ins for required keys that are missing.
    """
    typed, error = _validated(model, plain(tree))
    if error is not None:
        faults.extend(shape_faults(file, model, tree, error))
    if not tree.is_mapping:
        return None
    sound = tree
    for _ in range(_ROUNDS):
        if error is None:
            break
        typed, error = _validated(model, completed(plain(sound)))
        sound = without(sound, bad_paths(error)) if error else sound
    return None if typed is None else Draft(file, typed, sound, tree, faults)


def _validated(model: type[ModelT], data: Any) -> tuple[ModelT | None, ValidationError | None]:
    try:
        return model.model_validate(data), None
    except ValidationError as error:
        return None, error
