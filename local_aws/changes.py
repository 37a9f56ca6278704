"""What a deployment would change: resolved properties compared, and replacement passed on to those that refer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local_aws.errors import TemplateError
from local_aws.intrinsics import Unknown, contains_unknown, resolve
from local_aws.model import Resource, Settings, Stack
from local_aws.resources.contract import Made
from local_aws.schemas import Schema, at, schema_for
from local_aws.template import Definition, Template
from local_aws.values import TemplateValues
from local_aws.world import World

Replacement = Literal["True", "False", "Conditional"]

# Attributes that change when the resource is changed in place. All others live as long as the resource.
_MOVING_ATTRIBUTES = {"AWS::EC2::LaunchTemplate": {"LatestVersionNumber", "DefaultVersionNumber"}}


@dataclass(frozen=True, slots=True)
class Difference:
    """One property that differs.

    Args:
        certain: whether it is sure to differ; before execution an attribute of another resource may not be known.
        replaces: whether the schema says that it cannot be changed in place.
    """

    name: str
    certain: bool
    replaces: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one resource."""

    action: Literal["Add", "Modify", "Remove"]
    logical_id: str
    type: str
    before: Resource | None = None
    definition: Definition | None = None
    properties: Mapping[str, Any] | None = None
    differences: tuple[Difference, ...] = ()
    scope: tuple[str, ...] = ()

    @property
    def replacement(self) -> Replacement:
        """Whether the resource is replaced."""
        replacing = [difference for difference in self.differences if difference.replaces]
        if any(difference.certain for difference in replacing):
            return "True"
        return "Conditional" if replacing else "False"


def plain(value: Any) -> Any:
    """Return a value with its scalars as text, since a template may write 80 or "80", true or "true"."""
    if isinstance(value, Mapping):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def differences(schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Compare two versions of a resource's properties, both resolved."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = plain(old.get(name)), plain(new.get(name))
        if before == after:
            continue
        paths = [path for path in schema.create_only if path[0] == name]
        unknown = contains_unknown(after)
        replaces = any(plain(at(old, path)) != plain(at(new, path)) for path in paths)
        found.append(Difference(name, certain=unknown is None or unknown.certain, replaces=replaces))
    return tuple(found)


def scope_of(
    before: Resource, wanted: Resource | Definition, changed: tuple[Difference, ...], *, tags_changed: bool
) -> tuple[str, ...]:
    """Return what a change touches, in the API's words."""
    names = {difference.name for difference in changed}
    touched = {
        "Properties": bool(names - {"Tags"}),
        "Tags": "Tags" in names or tags_changed,
        "Metadata": before.metadata != wanted.metadata,
        "DeletionPolicy": before.deletion_policy != wanted.deletion_policy,
        "UpdateReplacePolicy": before.update_replace_policy != wanted.update_replace_policy,
    }
    return tuple(name for name, is_touched in touched.items() if is_touched)


def check_same_type(before: Resource, definition: Definition) -> None:
    """Refuse a resource that keeps its logical id and changes its type."""
    if before.type != definition.type:
        raise TemplateError(
            f"Update of resource type is not permitted. The new template modifies resource type of the following resources: [{before.logical_id}]"
        )


def blocked_by_name(schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return the name that a replacement would have to share with what it replaces, if the template gives one."""
    names = [name for path in schema.primary_identifier if (name := at(new, path)) is not None]
    given = names and len(names) == len(schema.primary_identifier)
    if not given or any(isinstance(name, Unknown) for name in names):
        return None
    same = all(plain(at(old, path)) == plain(at(new, path)) for path in schema.primary_identifier)
    return "|".join(map(str, names)) if same else None


class Plan:
    """The changes that a deployment would make, found without making them."""

    def __init__(self, world: World, stack: Stack, template: Template, settings: Settings) -> None:
        self._stack = stack
        self._template = template
        self._previous_tags = stack.settings.tags if stack.settings else {}
        self._tags = settings.tags
        self._fate: dict[str, Change] = {}
        self._current = ""
        self.values = TemplateValues(world, stack, template, settings, self._standing)
        self.values.check_rules()
        self.values.check_names()
        self.faults: list[str] = []
        active = self.values.active()
        for logical_id, definition in active.items():
            self._decide(logical_id, definition, world)
        self.changes = [change for change in self._fate.values() if change.action == "Add" or change.scope]
        for logical_id, resource in stack.resources.items():
            if logical_id not in active and resource.made is not None:
                self.changes.append(Change("Remove", logical_id, resource.type, before=resource))

    def _decide(self, logical_id: str, definition: Definition, world: World) -> None:
        world.handler_for(definition.type)
        schema = schema_for(definition.type, self._stack.region)
        properties: Mapping[str, Any] = resolve(dict(definition.properties), self.values)
        self.faults += [f"{logical_id} ({definition.type}): {fault}" for fault in schema.faults(properties)]
        before = self._stack.resources.get(logical_id)
        if before is None or before.made is None:
            self._fate[logical_id] = Change("Add", logical_id, definition.type, None, definition, properties)
            return
        check_same_type(before, definition)
        found = differences(schema, before.properties, properties)
        scope = scope_of(
            before, definition, found, tags_changed=self._tags != self._previous_tags and schema.takes_tags
        )
        self._fate[logical_id] = Change(
            "Modify", logical_id, definition.type, before, definition, properties, found, scope
        )

    def _standing(self, logical_id: str) -> Made | Unknown | None:
        change = self._fate.get(logical_id)
        if change is None:
            return None
        if change.before is None or change.before.made is None or change.replacement == "True":
            return Unknown(certain=True)
        if change.replacement == "Conditional":
            return Unknown(certain=False)
        made = change.before.made
        if not change.scope:
            return made
        is_custom = schema_for(change.type, self._stack.region).is_custom
        moving = set(made.attributes) if is_custom else _MOVING_ATTRIBUTES.get(change.type, set())
        attributes = {
            name: Unknown(certain=False) if name in moving else value for name, value in made.attributes.items()
        }
        return Made(made.physical_id, attributes, made.tags)

    @property
    def outputs_change(self) -> bool:
        """Whether an output would have another value, or another export."""
        current = {
            key: (output.value, output.export, output.description) for key, output in self._stack.outputs.items()
        }
        planned = {}
        for key, output in self.values.outputs():
            export = resolve(output["Export"]["Name"], self.values) if output.get("Export") else None
            planned[key] = (plain(resolve(output["Value"], self.values)), export, output.get("Description"))
        return planned != current
