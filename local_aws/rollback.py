"""The way back: what an operation did, undone step by step, the last one first."""

from __future__ import annotations

from dataclasses import replace

from local_aws import steps
from local_aws.errors import ResourceFailedError
from local_aws.model import Resource, Stack, Step
from local_aws.steps import Settling
from local_aws.world import World


def undo(world: World, stack: Stack, skip: frozenset[str] = frozenset()) -> list[str]:
    """Walk the stack's journal backwards, and return the resources for which that failed.

    What failed stays in the journal, so that it can be tried again.

    Args:
        world: the surroundings.
        stack: the stack, whose settings are those to return to already, so that its tags are.
        skip: resources that are to be taken as they are.
    """
    failed: list[str] = []
    settling: list[Settling] = []
    for step in reversed(list(stack.journal)):
        name = step.after.logical_id
        with world.gate.step():
            if name in skip:
                stack.tell(step.before or step.after, "UPDATE_COMPLETE", "Resource skipped during UpdateRollback")
            # An earlier step of a resource builds on the later one: it cannot be undone before that.
            elif name in failed or not _undo(world, stack, step, settling):
                failed.append(name)
                continue
            stack.journal = [other for other in stack.journal if other is not step]
    for one in settling:
        try:
            steps.settle(world, stack, [one])
        except ResourceFailedError:
            failed.append(one.resource.logical_id)
    return sorted(set(failed))


def _undo(world: World, stack: Stack, step: Step, settling: list[Settling]) -> bool:
    if step.kind == "created":
        return _forget(world, stack, step.after)
    if step.before is None:
        raise AssertionError(f"a step of kind {step.kind} has a resource before it")
    if step.kind == "noted":
        stack.resources[step.after.logical_id] = step.before
        return True
    if step.kind == "replaced":
        stack.resources[step.after.logical_id] = step.before
        stack.tell(step.before, "UPDATE_COMPLETE")
        return steps.delete(world, stack, step.after)
    return _change_back(world, stack, step, settling)


def _forget(world: World, stack: Stack, resource: Resource) -> bool:
    if not steps.delete(world, stack, resource, keep=resource.deletion_policy == "Retain"):
        return False
    stack.resources.pop(resource.logical_id, None)
    return True


def _change_back(world: World, stack: Stack, step: Step, settling: list[Settling]) -> bool:
    if step.before is None:
        raise AssertionError("what is changed back was something before")
    current = stack.resources.get(step.after.logical_id, step.after)
    target = replace(step.before)
    changing = replace(step.after, made=current.made)
    try:
        settled = steps.change(world, stack, changing, target)
    except ResourceFailedError:
        return False
    stack.resources[target.logical_id] = target
    if settled is not None:
        settling.append(Settling(target, "UPDATE", settled))
    if changing.made is not None and changing.physical_id != target.physical_id:
        # The way back made yet another one: what the way forth had made goes.
        return steps.delete(world, stack, changing)
    return True
