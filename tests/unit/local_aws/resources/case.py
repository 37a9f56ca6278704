"""One resource type's life, as a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.world import World

Properties = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A type's creation, its change in place, and where each is seen.

    Args:
        type: the resource type.
        properties: what it is made with.
        look: finds the resource through boto3; nothing, or an error of the service, where there is none.
        seen: what is found after creation; a subset of it, and functions are asked whether a value is right.
        change: what other properties it is given later.
        then: what is found after that.
        tags: finds its tags through boto3; None where the type takes none.
        name: tells cases of one type apart.
        without: attributes that this one of the type's cases does not have.
        remains: what is found of it when it is gone, for services that remember.
    """

    type: str
    properties: Callable[[World], Properties]
    look: Callable[[World, Made], Any]
    seen: Any
    change: Callable[[World], Properties] | None = None
    then: Any = None
    tags: Callable[[World, Made], Any] | None = None
    name: str = ""
    without: frozenset[str] = frozenset()
    remains: Any = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.type.removeprefix('AWS::')}{f'-{self.name}' if self.name else ''}"


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return where what is found is not what is wanted; a list is wanted as it is, an object in part."""
    if callable(wanted):
        return [] if wanted(found) else [f"{path}: {found!r} is not right"]
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{path}: {found!r} is no object"]
        return [
            line for name, value in wanted.items() for line in differences(value, found.get(name), f"{path}.{name}")
        ]
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [f"{path}: {found!r} is not {wanted!r}"]
        return [
            line for index, value in enumerate(wanted) for line in differences(value, found[index], f"{path}[{index}]")
        ]
    return [] if wanted == found else [f"{path}: {found!r} is not {wanted!r}"]
