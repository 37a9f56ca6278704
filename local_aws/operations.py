"""The operations of a stack, each in a thread of its own: from the status that is set before it begins to the one it ends in."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from local_aws import graph, rollback, steps
from local_aws.deployment import Deployment, clean_up
from local_aws.errors import LocalAwsError, RequestRefusedError
from local_aws.model import REVIEW, Resource, Settings, Stack, now
from local_aws.world import World

log = logging.getLogger(__name__)

DO_NOTHING = "DO_NOTHING"
_STOPPED = "The local AWS was stopped during the operation"
_PAUSED = frozenset({"CREATE_FAILED", "UPDATE_FAILED"})


@dataclass
class Operations:
    """Runs operations, one at a time for each stack."""

    world: World
    _ended: dict[str, threading.Event] = field(default_factory=dict)

    def wait(self, stack: Stack, seconds: float) -> None:
        """Wait until no operation of the stack runs, but not for ever."""
        ended = self._ended.get(stack.id)
        if ended is not None:
            ended.wait(seconds)

    def deploy(self, stack: Stack, settings: Settings, *, on_failure: str, token: str | None) -> None:
        """Begin to create or update a stack."""
        with self.world.lock:
            check_deployable(stack, on_failure)
            is_new = stack.status == REVIEW
            if stack.status not in _PAUSED:
                stack.stable, stack.stable_imports = stack.settings, stack.imports
            stack.settings = settings
            stack.on_failure = on_failure
            if not is_new:
                stack.updated = now()
            self._start(
                stack, token, "CREATE_IN_PROGRESS" if is_new else "UPDATE_IN_PROGRESS", lambda: self._deploy(stack)
            )

    def delete(
        self, stack: Stack, *, retain: frozenset[str] = frozenset(), force: bool = False, token: str | None = None
    ) -> None:
        """Begin to delete a stack."""
        with self.world.lock:
            if stack.status == "DELETE_IN_PROGRESS":
                return
            self._check_deletable(stack, retain)
            self._start(stack, token, "DELETE_IN_PROGRESS", lambda: self._delete(stack, retain, force=force))

    def roll_back(self, stack: Stack, *, skip: frozenset[str] = frozenset(), token: str | None = None) -> None:
        """Begin to bring a stack whose deployment failed back to what it was before."""
        with self.world.lock:
            if stack.status not in {*_PAUSED, "UPDATE_ROLLBACK_FAILED"}:
                raise RequestRefusedError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back")
            self._start(stack, token, _rollback_verb(stack) + "_IN_PROGRESS", lambda: self._roll_back(stack, skip))

    def resume(self) -> None:
        """Bring to an end what a stopped server left in the middle."""
        for stack in list(self.world.stacks.values()):
            if not stack.is_busy:
                continue
            if stack.status == "DELETE_IN_PROGRESS":
                stack.record("DELETE_FAILED", _STOPPED)
            elif stack.status == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS":
                self._start(stack, stack.token, stack.status, partial(self._succeeded, stack), _STOPPED)
            else:
                status = _rollback_verb(stack) + "_IN_PROGRESS"
                self._start(stack, stack.token, status, partial(self._roll_back, stack), _STOPPED)

    def _start(
        self, stack: Stack, token: str | None, status: str, work: Callable[[], None], reason: str = "User Initiated"
    ) -> None:
        ended = self._ended[stack.id] = threading.Event()
        stack.token = token
        stack.operation_id = str(uuid.uuid4())
        stack.record(status, reason)

        def run() -> None:
            try:
                work()
            except Exception:  # a fault of the engine's own must still end the operation
                log.exception("the operation on stack %s broke", stack.name)
                self._end(stack, _failure_of(stack), "Internal failure of the local AWS; its log tells more")
            finally:
                ended.set()

        threading.Thread(target=run, name=f"stack {stack.name}", daemon=True).start()

    def _end(self, stack: Stack, status: str, reason: str | None = None) -> None:
        self.world.commit(lambda: stack.record(status, reason))

    def _deploy(self, stack: Stack) -> None:
        is_new = stack.status == "CREATE_IN_PROGRESS"
        try:
            Deployment(self.world, stack).apply()
        except LocalAwsError as error:
            self._failed(stack, str(error), is_new=is_new)
            return
        if is_new:
            self._end(stack, "CREATE_COMPLETE")
        else:
            stack.record("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._succeeded(stack)

    def _succeeded(self, stack: Stack) -> None:
        clean_up(self.world, stack)
        self._end(stack, "UPDATE_COMPLETE")

    def _failed(self, stack: Stack, reason: str, *, is_new: bool) -> None:
        failed = [name for name, resource in stack.resources.items() if resource.status.endswith("_FAILED")]
        if failed:
            reason = f"The following resource(s) failed to {'create' if is_new else 'update'}: [{', '.join(failed)}]. "
        if stack.on_failure == DO_NOTHING:
            self._end(stack, "CREATE_FAILED" if stack.stable is None else "UPDATE_FAILED", reason)
            return
        stack.operation_id = str(uuid.uuid4())
        stack.record(
            _rollback_verb(stack) + "_IN_PROGRESS", f"{reason}Rollback requested by user." if failed else reason
        )
        self._roll_back(stack)

    def _roll_back(self, stack: Stack, skip: frozenset[str] = frozenset()) -> None:
        verb = _rollback_verb(stack)
        if stack.stable is not None:
            stack.settings = stack.stable
        failed = rollback.undo(self.world, stack, skip)
        stack.resources = {name: resource for name, resource in stack.resources.items() if resource.made is not None}
        for resource in stack.resources.values():
            if resource.status == "UPDATE_FAILED" and resource.logical_id not in failed:
                resource.status = "UPDATE_COMPLETE"
        if failed:
            self._end(
                stack, f"{verb}_FAILED", f"The following resource(s) failed to roll back: [{', '.join(failed)}]. "
            )
            return
        stack.imports = stack.stable_imports
        if stack.stable is not None:
            stack.record("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        elif stack.on_failure == "DELETE":
            stack.record("DELETE_IN_PROGRESS")
            self._delete(stack, frozenset(), force=False)
            return
        self._end(stack, f"{verb}_COMPLETE")

    def _delete(self, stack: Stack, retain: frozenset[str], *, force: bool) -> None:
        fresh = {step.after.logical_id for step in stack.journal if step.kind == "created"}
        replaced = [step.before for step in stack.journal if step.kind == "replaced" and step.before is not None]
        failed: list[str] = []
        blocked: set[str] = set()
        for resource in graph.removal_order([*stack.garbage, *replaced, *stack.resources.values()]):
            name = resource.logical_id
            policy = (
                "Delete"
                if resource.deletion_policy == "RetainExceptOnCreate" and name in fresh
                else resource.deletion_policy
            )
            # What a resource that would not go stands on is left in place: its removal could only fail, or break more.
            if name in blocked:
                blocked.update(resource.depends_on)
            elif not self._delete_one(stack, resource, keep=policy != "Delete" or name in retain):
                failed.append(name)
                blocked.update(resource.depends_on)
        if failed and not force:
            self._end(
                stack, "DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(sorted(failed))}]. "
            )
            return

        def vanish() -> None:
            stack.resources, stack.garbage, stack.journal = {}, [], []
            stack.outputs, stack.imports, stack.change_sets = {}, frozenset(), {}
            stack.deleted = now()
            stack.record("DELETE_COMPLETE")

        self.world.commit(vanish)

    def _delete_one(self, stack: Stack, resource: Resource, *, keep: bool) -> bool:
        with self.world.gate.step():
            is_gone = steps.delete(self.world, stack, resource, keep=keep)
            if is_gone and stack.resources.get(resource.logical_id) is resource:
                del stack.resources[resource.logical_id]
        return is_gone

    def _check_deletable(self, stack: Stack, retain: frozenset[str]) -> None:
        if stack.is_busy:
            raise RequestRefusedError(f"Stack:{stack.id} is in {stack.status} state and can not be deleted")
        if stack.termination_protection:
            raise RequestRefusedError(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        if retain and stack.status != "DELETE_FAILED":
            raise RequestRefusedError(
                "Invalid operation on stack: RetainResources can be used only in the DELETE_FAILED state"
            )
        for output in stack.outputs.values():
            if output.export and (users := self.world.importers(stack.region, output.export)):
                raise RequestRefusedError(
                    f"Delete canceled. Cannot delete export {output.export} as it is in use by {', '.join(users)}."
                )


def check_deployable(stack: Stack, on_failure: str) -> None:
    """Refuse a deployment that the stack's status does not allow."""
    if stack.status in _PAUSED and on_failure != DO_NOTHING:
        raise RequestRefusedError(
            f"This stack is currently in a non-terminal [{stack.status}] state. To update the stack from this state, please use the "
            "disable-rollback parameter with update-stack API. To rollback to the last known good state, use the rollback-stack API"
        )
    allowed = {REVIEW, *_PAUSED, "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
    if stack.status not in allowed:
        raise RequestRefusedError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")


def _rollback_verb(stack: Stack) -> str:
    return "ROLLBACK" if stack.stable is None else "UPDATE_ROLLBACK"


def _failure_of(stack: Stack) -> str:
    if stack.status == "DELETE_IN_PROGRESS":
        return "DELETE_FAILED"
    return f"{_rollback_verb(stack)}_FAILED"
