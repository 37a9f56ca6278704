"""The single steps of a stack operation: one resource made, changed or removed, with its events."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws import dynamic_references
from local_aws.errors import LocalAwsError, ResourceFailedError, TemplateError
from local_aws.model import Resource, Stack
from local_aws.resources.contract import Made
from local_aws.template import Definition
from local_aws.world import Settled, World

_LOOK_SECONDS = 0.2


def applied(world: World, stack: Stack, properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return properties with the dynamic references in them resolved, as a handler wants them."""
    resolved: Mapping[str, Any] = dynamic_references.resolve(
        properties, lambda service: world.clients.client(service, stack.region)
    )
    return resolved


def blank(definition: Definition, properties: Mapping[str, Any], depends_on: tuple[str, ...]) -> Resource:
    """Return the resource that a definition asks for, before it is made."""
    return Resource(
        logical_id=definition.logical_id,
        type=definition.type,
        properties=properties,
        applied=properties,
        made=None,
        depends_on=depends_on,
        deletion_policy=definition.deletion_policy,
        update_replace_policy=definition.update_replace_policy,
        metadata=definition.metadata,
    )


def create(
    world: World, stack: Stack, resource: Resource, verb: str = "CREATE", reason: str | None = None
) -> Settled | None:
    """Make a resource, and return what is to be waited for before it is complete (see `settle`), if anything is.

    Args:
        world: the surroundings.
        stack: the resource's stack.
        resource: filled in with what the handler made.
        verb: `UPDATE` where the resource replaces another.
        reason: why it is made, for the event.

    Raises:
        ResourceFailedError: it could not be made; the event tells why.
    """
    stack.tell(resource, f"{verb}_IN_PROGRESS", reason, properties=_shown(resource.properties))
    try:
        handler = world.handler_for(resource.type)
        context = world.context(stack, resource.logical_id)
        resource.applied = applied(world, stack, resource.properties)
        resource.made = world.step(
            resource.logical_id,
            lambda: handler.create(context, resource.applied),
            undo=lambda made: handler.delete(context, made, resource.applied),
        )
    except (ResourceFailedError, TemplateError) as error:
        stack.tell(resource, f"{verb}_FAILED", str(error))
        raise ResourceFailedError(str(error)) from error
    return _complete_or_settling(world, stack, resource, verb)


def change(world: World, stack: Stack, before: Resource, after: Resource) -> Settled | None:
    """Change a resource in place, and return what is to be waited for before it is complete, if anything is.

    Raises:
        ResourceFailedError: it could not be changed; the event tells why.
    """
    made = _standing(before)
    after.made = made
    stack.tell(after, "UPDATE_IN_PROGRESS", properties=_shown(after.properties))
    try:
        handler = world.handler_for(after.type)
        context = world.context(stack, after.logical_id)
        after.applied = applied(world, stack, after.properties)
        after.made = world.step(after.logical_id, lambda: handler.update(context, made, before.applied, after.applied))
    except (ResourceFailedError, TemplateError) as error:
        stack.tell(after, "UPDATE_FAILED", str(error))
        raise ResourceFailedError(str(error)) from error
    return _complete_or_settling(world, stack, after, "UPDATE")


def _complete_or_settling(world: World, stack: Stack, resource: Resource, verb: str) -> Settled | None:
    settled = world.settling(resource.type, _standing(resource))
    if settled is None:
        stack.tell(resource, f"{verb}_COMPLETE")
    return settled


@dataclass(frozen=True, slots=True)
class Settling:
    """A resource that was made or changed, and is not complete yet."""

    resource: Resource
    verb: str
    has_settled: Settled


def settle(world: World, stack: Stack, waiting: Sequence[Settling]) -> None:
    """Wait until resources are complete, all at once; nothing is held up meanwhile, since no gate is held.

    Raises:
        ResourceFailedError: one of them has failed, or took too long; the others are told of as cancelled.
    """
    deadline = time.monotonic() + world.step_seconds
    left = list(waiting)
    while left:
        for one in list(left):
            try:
                if not one.has_settled():
                    if time.monotonic() > deadline:
                        raise ResourceFailedError(
                            f"Resource timed out: not stable after {world.step_seconds:.0f} seconds"
                        )
                    continue
            except LocalAwsError as error:
                _tell(world, stack, one, "FAILED", str(error))
                for other in left:
                    if other is not one:
                        verb = "creation" if other.verb == "CREATE" else "update"
                        _tell(world, stack, other, "FAILED", f"Resource {verb} cancelled")
                raise ResourceFailedError(str(error)) from error
            _tell(world, stack, one, "COMPLETE")
            left.remove(one)
        if left:
            time.sleep(_LOOK_SECONDS)


def _tell(world: World, stack: Stack, one: Settling, outcome: str, reason: str | None = None) -> None:
    with world.gate.step():
        stack.tell(one.resource, f"{one.verb}_{outcome}", reason)


def delete(world: World, stack: Stack, resource: Resource, *, keep: bool = False) -> bool:
    """Remove a resource, and say whether it is gone or left on purpose.

    Args:
        world: the surroundings.
        stack: the resource's stack.
        resource: what is to be removed.
        keep: whether its policy asks for it to stay.
    """
    if resource.made is None:
        return True
    if keep:
        stack.tell(resource, "DELETE_SKIPPED")
        return True
    stack.tell(resource, "DELETE_IN_PROGRESS")
    made = _standing(resource)
    try:
        handler = world.handler_for(resource.type)
        context = world.context(stack, resource.logical_id)
        world.step(resource.logical_id, lambda: handler.delete(context, made, resource.applied))
    except (ResourceFailedError, TemplateError) as error:
        stack.tell(resource, "DELETE_FAILED", str(error))
        return False
    stack.tell(resource, "DELETE_COMPLETE")
    return True


def _standing(resource: Resource) -> Made:
    if resource.made is None:
        raise ResourceFailedError(f"{resource.logical_id} was never made")
    return resource.made


def _shown(properties: Mapping[str, Any]) -> str:
    return json.dumps(properties, default=str)
