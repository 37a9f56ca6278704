"""The resources of an environment's templates as plain data, and the few references that a price depends on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.deploy.assembly import AssemblyStack

Template = Mapping[str, Any]


class UnreadableError(Exception):
    """A template does not say plainly what a price depends on, such as a size that only the deployment knows."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a template."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]

    @property
    def service(self) -> str | None:
        """The service that it is tagged with."""
        tags = self.properties.get("Tags", [])
        return next((tag["Value"] for tag in tags if isinstance(tag, Mapping) and tag.get("Key") == "service"), None)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a property that is a text.

        Raises:
            UnreadableError: It is none, or missing and without a default.
        """
        value = self.properties.get(name, default)
        if not isinstance(value, str):
            raise UnreadableError(f"{name} is {_told(value)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a property that is a number, or the text of one.

        Raises:
            UnreadableError: It is none, or missing and without a default.
        """
        return number(name, self.properties.get(name, default))


class Resources:
    """All resources of an environment.

    Args:
        templates: The templates by the names of their stacks.
    """

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._all = {
            (stack, logical_id): Resource(stack, logical_id, body["Type"], body.get("Properties", {}))
            for stack, template in templates.items()
            for logical_id, body in template["Resources"].items()
        }

    @classmethod
    def of_assembly(cls, stacks: Iterable[AssemblyStack]) -> Resources:
        """Read what a synthesis wrote."""
        return cls({stack.name: json.loads(stack.template.read_text(encoding="utf-8")) for stack in stacks})

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all.values())

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of some types."""
        return [resource for resource in self if resource.type in types]

    def referred(self, resource: Resource, value: Any) -> Resource:
        """Return what a reference inside of one template leads to.

        Raises:
            UnreadableError: It leads elsewhere.
        """
        match value:
            case {"Ref": str(target)} | {"Fn::GetAtt": [str(target), str()]}:
                if found := self._all.get((resource.stack, target)):
                    return found
        raise UnreadableError(f"{json.dumps(value)} leads to no resource of its stack")


def number(name: str, value: Any) -> float:
    """Return a value that is a number, or the text of one.

    Raises:
        UnreadableError: It is none.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise UnreadableError(f"{name} is {_told(value)}")


def _told(value: Any) -> str:
    return "missing" if value is None else f"not plain: {json.dumps(value)[:80]}"
