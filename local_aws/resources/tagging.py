"""Tags: the stack's below the resource's own, put on after creation and kept in step afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.resources.calls import Call, Task
from local_aws.resources.coerce import input_members


@dataclass(frozen=True, slots=True)
class Tagging:
    """How a service tags what it made.

    Args:
        add: the operation that puts tags on.
        tags: its argument that takes them, as a list or as a map.
        remove: the operation that takes tags off.
        keys: its argument that takes their keys.
        property: the property that holds a resource's own tags; none where the type has only the stack's.
    """

    add: Call
    tags: str
    remove: Call
    keys: str
    property: str | None = "Tags"

    def apply(self, task: Task) -> Mapping[str, str]:
        """Bring the tags from those that the resource carries to those that it should, and return these."""
        own = task.new.get(self.property, ()) if self.property else ()
        wanted = {**task.context.tags, **as_map(own)}
        stale = [key for key in task.made.tags if key not in wanted]
        if stale:
            task.perform(self.remove, **{self.keys: self._in_form(task, stale)})
        if wanted and wanted != dict(task.made.tags):
            task.perform(self.add, **{self.tags: [{"Key": key, "Value": value} for key, value in wanted.items()]})
        return wanted

    def _in_form(self, task: Task, keys: list[str]) -> list[Any]:
        shape = input_members(task.client, self.remove.operation)[self.keys]
        return [{"Key": key} for key in keys] if shape.member.type_name == "structure" else list(keys)


def as_map(tags: Any) -> dict[str, str]:
    """Return tags as a map, from a map or from CloudFormation's list of keys and values."""
    pairs = tags.items() if isinstance(tags, Mapping) else ((tag["Key"], tag["Value"]) for tag in tags)
    return {str(key): str(value) for key, value in pairs}
