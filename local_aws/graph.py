"""The order in which resources are made: each after those that it refers to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from local_aws.errors import TemplateError
from local_aws.intrinsics import placeholders
from local_aws.model import Resource
from local_aws.template import Definition


def references(written: Any) -> set[str]:
    """Return every name that an expression refers to, at any depth, be it a resource or a parameter."""
    return set(_names(written))


def _names(written: Any) -> Iterator[str]:
    if isinstance(written, list):
        for item in written:
            yield from _names(item)
    elif isinstance(written, dict):
        for key, value in written.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            elif key == "Fn::GetAtt" and len(written) == 1:
                yield value.partition(".")[0] if isinstance(value, str) else value[0]
                yield from _names(value)
            elif key == "Fn::Sub" and len(written) == 1:
                yield from _sub_names(value)
            else:
                yield from _names(value)


def _sub_names(argument: Any) -> Iterator[str]:
    template, extra = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
    for name in placeholders(template):
        if name not in extra:
            yield name.partition(".")[0]
    yield from _names(extra)


def dependencies(definition: Definition, among: Collection[str]) -> tuple[str, ...]:
    """Return the resources that must stand before this one, in the order of their names."""
    named = references(definition.properties) | set(definition.depends_on)
    return tuple(sorted(name for name in named if name in among and name != definition.logical_id))


def in_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names so that each comes after what it needs, and otherwise as they were given.

    Raises:
        TemplateError: some names need each other; the message names them.
    """
    ordered: list[str] = []
    done: set[str] = set()
    for start in needs:
        if start not in done:
            _visit(start, needs, ordered, done)
    return ordered


def _visit(start: str, needs: Mapping[str, Collection[str]], ordered: list[str], done: set[str]) -> None:
    path: list[str] = [start]
    waiting: list[Iterator[str]] = [iter(sorted(needs[start]))]
    while path:
        for name in waiting[-1]:
            if name in path:
                cycle = sorted(path[path.index(name) :])
                raise TemplateError(f"Circular dependency between resources: [{', '.join(cycle)}]")
            if name in needs and name not in done:
                path.append(name)
                waiting.append(iter(sorted(needs[name])))
                break
        else:
            waiting.pop()
            name = path.pop()
            done.add(name)
            ordered.append(name)


def removal_order(resources: Collection[Resource]) -> list[Resource]:
    """Return resources so that each comes before those that it stands on.

    A failed deployment may leave two generations of a resource, and with them circles: those are broken anywhere.
    """
    left = list(resources)
    ordered: list[Resource] = []
    while left:
        needed = {name for resource in left for name in resource.depends_on if name != resource.logical_id}
        free = next((resource for resource in reversed(left) if resource.logical_id not in needed), left[-1])
        left.remove(free)
        ordered.append(free)
    return ordered
