"""A resource type as a row of a table: what makes it, how it is known, and what each of its properties calls."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from botocore.exceptions import ClientError

from local_aws.errors import LocalAwsError
from local_aws.resources.calls import Call, Expression, Properties, Task, is_gone, look_up
from local_aws.resources.coerce import PropertyNotCarriedError, argument_name, input_members
from local_aws.resources.contract import Context, Made

KEEP = "leave the resource as it is"  # the default of a property that is not reset when it is taken away


class NotMadeError(LocalAwsError):
    """A service answered a create operation without an error, and yet without the thing."""


class AlreadyExistsError(LocalAwsError):
    """What a template would create is there already, and is another's."""


class Step(Protocol):
    """Carries properties that neither the making nor the changing operation takes."""

    @property
    def carries(self) -> frozenset[str]:
        """The properties whose presence at creation, or change, makes the step run."""

    def run(self, task: Task) -> None:
        """Bring the resource from old to new as far as this step's properties go."""


class Tags(Protocol):
    """Keeps a resource's tags in step."""

    @property
    def property(self) -> str | None:
        """The property that holds a resource's own tags; none where the type has only the stack's."""

    def apply(self, task: Task) -> Mapping[str, str]:
        """Bring the tags from those that the resource carries to those that it should, and return these."""


@dataclass(frozen=True, slots=True)
class Put:
    """A step that is one operation, and another one when all the properties that it carries are taken away."""

    put: Call
    unset: Call | None = None

    @property
    def carries(self) -> frozenset[str]:
        """The properties that the operation takes."""
        return self.put.carries

    def run(self, task: Task) -> None:
        """Put what is there, or unset what is there no longer."""
        if any(name in task.new for name in self.carries):
            task.perform(self.put)
        elif self.unset:
            task.perform(self.unset)
        else:
            raise PropertyNotCarriedError(
                task.type_name, ", ".join(sorted(self.carries)), "it cannot be taken away in place"
            )


@dataclass(frozen=True, slots=True)
class Do:
    """A step that is a function; made by `do`."""

    function: Callable[[Task], None]
    carries: frozenset[str]

    def run(self, task: Task) -> None:
        """Call the function."""
        self.function(task)


def do(function: Callable[[Task], None], *carries: str) -> Do:
    """Return a step that calls a function for the properties named."""
    return Do(function, frozenset(carries))


@dataclass(frozen=True, slots=True)
class Name:
    """The property that holds a resource's name, which CloudFormation makes up where a template has none."""

    property: str
    longest: int = 255
    lower: bool = False

    def fill(self, context: Context, properties: Properties) -> Properties:
        """Return the properties with a name among them."""
        if self.property in properties:
            return properties
        suffix = secrets.token_hex(6).upper()
        stem = f"{context.stack_name}-{context.logical_id}"[: self.longest - len(suffix) - 1]
        name = f"{stem}-{suffix}"
        return {**properties, self.property: name.lower() if self.lower else name}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One resource type, as the table has it; it is the engine's handler for that type.

    Args:
        type_name: the type's name in templates.
        service: boto3's name of the service.
        make: creates the resource; takes, besides what its expressions say, every property that no step carries.
        id: the physical id, from the scope with the answer of `make` on top.
        absent: looks for the resource, and where it would be found, for a `make` that takes what is there for its own.
        follow: waits for what became of `make`, where its answer is only a ticket, and returns the answer proper.
        name: the property whose value is made up where it is missing.
        translate: brings the properties into the operations' terms, before anything else looks at them.
        reads: describe the resource; each with the expression that finds it in the answer.
        attributes: what `Fn::GetAtt` gives, from the scope with what `reads` found and the answer of `make` on top.
        change: updates the resource; takes every property that its operation knows.
        whole: `change`, or `make` where there is none, states the whole resource: what it does not name falls away.
        defaults: what a property falls back to when it is taken away; without one, taking it away is refused.
        replaced_by: properties that need another resource although the schema does not say so.
        only_changes: properties that say nothing to `make`, only to `change`.
        ignored: properties that say nothing about the resource itself, only about how it is to be handled.
        steps: carry what `make` and `change` do not; run in order after these.
        changes: carry in an update what `make` takes and `change` does not.
        tags: how tags are put, for types that take any.
        before_remove: what has to go first.
        remove: deletes the resource; none where it goes with another.
        renames: members inside of properties that the operations call otherwise, by dotted path.
    """

    type_name: str
    service: str
    make: Call
    id: Expression
    absent: tuple[Call, str] | None = None
    follow: Callable[[Task, Mapping[str, Any]], Mapping[str, Any]] | None = None
    name: Name | None = None
    translate: Callable[[Properties], Properties] | None = None
    reads: tuple[tuple[Call, str], ...] = ()
    attributes: Mapping[str, Expression] = field(default_factory=dict)
    change: Call | None = None
    whole: bool = False
    defaults: Properties = field(default_factory=dict)
    replaced_by: tuple[str, ...] = ()
    only_changes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    changes: tuple[Step, ...] = ()
    tags: Tags | None = None
    before_remove: Callable[[Task], None] | None = None
    remove: Call | None = None
    renames: Mapping[str, str] = field(default_factory=dict)

    def create(self, context: Context, properties: Properties) -> Made:
        """Make the resource, and remove it again if a later step of its making fails."""
        task = self._task(context, Made(""), {}, self.name.fill(context, properties) if self.name else properties)
        if self.absent and _is_there(task, *self.absent):
            raise AlreadyExistsError(
                f"{self.type_name}: {task.new[self.name.property] if self.name else ''} already exists"
            )
        first = {name: value for name, value in task.new.items() if name not in self.only_changes}
        answer: Mapping[str, Any] = task.perform(self.make, **self._rest(self.make, first))
        if self.follow:
            answer = self.follow(task, answer)
        physical_id = look_up(self.id, {**task.scope, **answer})
        if not physical_id:
            raise NotMadeError(f"{self.type_name}: {self.make.operation} answered {answer}")
        task = task.with_made(Made(str(physical_id)))
        try:
            return self._finish(task, answer, self.steps)
        except Exception as error:
            try:
                self.delete(context, task.made, properties)
            except Exception as second:  # noqa: BLE001 - the first error is the one to report
                error.add_note(f"{task.id} could not be removed again: {second}")
            raise

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Call what the changed properties need; refuse a change that nothing carries."""
        task = self._task(context, made, old, new)
        if task.changed & set(self.replaced_by):
            return self.create(context, new)
        left = task.changed - self.carried_by_steps - _carried(self.changes)
        if left:
            self._change(task, left)
        return self._finish(task, made.attributes, (*self.changes, *self.steps))

    def delete(self, context: Context, made: Made, properties: Properties) -> None:
        """Remove the resource; one that is gone already is as good."""
        task = self._task(context, made, properties, properties)
        try:
            if self.before_remove:
                self.before_remove(task)
            if self.remove:
                task.perform(self.remove)
        except ClientError as error:
            if not is_gone(error):
                raise

    @property
    def carried_by_steps(self) -> frozenset[str]:
        """The properties that neither `make` nor `change` is asked to take."""
        tags = {self.tags.property} if self.tags and self.tags.property else set()
        return _carried(self.steps).union(self.ignored, tags)

    def _task(self, context: Context, made: Made, old: Properties, new: Properties) -> Task:
        if self.name and made.physical_id and self.id == self.name.property:
            known = {self.name.property: made.physical_id}
            old, new = {**known, **old}, {**known, **new}
        if self.translate:
            old, new = self.translate(old), self.translate(new)
        return Task(self.type_name, self.service, context, made, old, new, self.renames)

    def _rest(self, taken: Call, properties: Properties) -> dict[str, Any]:
        skip = taken.carries | self.carried_by_steps
        return {name: value for name, value in properties.items() if name not in skip}

    def _finish(self, task: Task, answer: Mapping[str, Any], steps: tuple[Step, ...]) -> Made:
        task = task.with_made(Made(task.id, self._attributes(task, answer), task.made.tags))
        for step in steps:
            if step.carries & task.changed:
                step.run(task)
        return Made(task.id, task.made.attributes, self.tags.apply(task)) if self.tags else task.made

    def _attributes(self, task: Task, answer: Mapping[str, Any]) -> dict[str, Any]:
        seen = {**task.scope, **answer, "id": task.id}
        for reading, where in self.reads:
            seen |= look_up(where, task.perform(reading)) or {}
        found = {name: look_up(text, seen) for name, text in self.attributes.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _change(self, task: Task, left: frozenset[str]) -> None:
        operation = self.change or (self.make if self.whole else None)
        if operation is None:
            raise PropertyNotCarriedError(self.type_name, ", ".join(sorted(left)), "it cannot be changed in place")
        members = input_members(task.client, operation.operation)
        for name in left - operation.carries:
            if name in task.new and argument_name(members, name) is None:
                raise PropertyNotCarriedError(self.type_name, name, f"{operation.operation} has no such argument")
        for name in left - set(task.new) - set(self.defaults):
            if not self.whole:
                raise PropertyNotCarriedError(self.type_name, name, "it cannot be taken away in place")
        fallen = {name: self.defaults[name] for name in left & set(self.defaults) if self.defaults[name] is not KEEP}
        wanted = {**fallen, **task.new}
        rest = self._rest(operation, wanted)
        fitting = {name: value for name, value in rest.items() if argument_name(members, name)}
        replace(task, new=wanted).perform(operation, **fitting)


def _is_there(task: Task, looking: Call, where: str) -> bool:
    try:
        return bool(look_up(where, task.perform(looking)))
    except ClientError as error:
        if is_gone(error) or error.response["Error"]["Code"] == "404":
            return False
        raise


def _carried(steps: tuple[Step, ...]) -> frozenset[str]:
    return frozenset[str]().union(*(step.carries for step in steps))
