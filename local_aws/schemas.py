"""What a resource type's schema says: which properties there are, and which cannot be changed in place."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from local_aws.intrinsics import Unknown

_ITEM = "*"
_import_lock = threading.Lock()


@dataclass(frozen=True)
class Schema:
    """The provider schema of one resource type; an empty document says nothing and forbids nothing."""

    type: str
    document: Mapping[str, Any]

    @property
    def is_custom(self) -> bool:
        """Whether the properties are the business of a function of the user's, of any name."""
        return self.type.startswith("Custom::") or self.type == "AWS::CloudFormation::CustomResource"

    @cached_property
    def create_only(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the properties whose change replaces the resource."""
        return () if self.is_custom else _paths(self.document.get("createOnlyProperties", ()))

    @cached_property
    def read_only(self) -> frozenset[str]:
        """Names of the properties that only AWS sets."""
        return frozenset(path[0] for path in _paths(self.document.get("readOnlyProperties", ())) if len(path) == 1)

    @cached_property
    def primary_identifier(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the properties that tell one resource of this type from another."""
        return _paths(self.document.get("primaryIdentifier", ()))

    @property
    def takes_tags(self) -> bool:
        """Whether the stack's tags reach the resource."""
        tagging = self.document.get("tagging")
        return (
            bool(tagging["taggable"])
            if tagging
            else bool(self.document.get("taggable", "Tags" in self.document.get("properties", {})))
        )

    def faults(self, properties: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a resource's properties: unknown names, names that only AWS sets, missing ones."""
        if self.is_custom or not self.document:
            return []
        settable = self.primary_settable
        found = [
            f"Encountered unsupported property {name}: only AWS sets it"
            for name in sorted(properties.keys() & self.read_only - settable)
        ]
        return found + list(self._faults(self.document, properties, ""))

    @cached_property
    def primary_settable(self) -> frozenset[str]:
        """Names that are listed as read-only although a template may give them, since creation takes them."""
        return frozenset(path[0] for path in self.create_only)

    def _faults(self, shape: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        shape = self._follow(shape)
        if isinstance(value, Unknown):
            return
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._faults(shape.get("items", {}), item, f"{where}/{index}")
        elif isinstance(value, Mapping) and "properties" in shape:
            known = shape["properties"]
            if shape.get("additionalProperties") is False and not shape.get("patternProperties"):
                for name in sorted(map(str, value.keys() - known.keys())):
                    yield f"Encountered unsupported property {f'{where}/{name}'.lstrip('/')}"
            for name in shape.get("required", ()):
                if name not in value:
                    yield f"Property {f'{where}/{name}'.lstrip('/')} is required"
            for name, member in value.items():
                yield from self._faults(known.get(name, {}), member, f"{where}/{name}")

    def _follow(self, shape: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in shape:
            target: Any = self.document
            for part in shape["$ref"].removeprefix("#/").split("/"):
                target = target.get(part, {})
            shape = target
        return shape


def _paths(pointers: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(pointer.removeprefix("/properties/").split("/")) for pointer in pointers)


def at(value: Any, path: tuple[str, ...]) -> Any:
    """Return what a path of a schema leads to; where it passes a list, the list of what it leads to in each item."""
    if not path:
        return value
    if isinstance(value, list):
        return [at(item, path[1:] if path[0] == _ITEM else path) for item in value]
    if isinstance(value, Mapping):
        return at(value.get(path[0]), path[1:])
    return value if isinstance(value, Unknown) else None


def schema_for(resource_type: str, region: str) -> Schema:
    """Return the schema of a type; a type that has none gets an empty one."""
    # The import takes most of a second: only a server that deploys something pays for it, and not while it starts.
    with _import_lock:
        from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError  # noqa: PLC0415

        try:
            return Schema(resource_type, PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, resource_type).schema)
        except ResourceNotFoundError:
            return Schema(resource_type, {})
