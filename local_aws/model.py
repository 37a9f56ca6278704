"""What the engine keeps of a stack. Everything here is written to disk: see `state.FORMAT` before changing a field."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from local_aws.parameters import Parameter
from local_aws.resources.contract import Made

STACK_TYPE = "AWS::CloudFormation::Stack"
IN_PROGRESS = "_IN_PROGRESS"
REVIEW = "REVIEW_IN_PROGRESS"
_KEPT_EVENTS = 5000


def now() -> datetime:
    """Return the time, as the API gives it."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Resource:
    """A resource of a stack.

    Args:
        properties: resolved, but for dynamic references, so that two versions can be compared.
        applied: what the handler was given, dynamic references resolved too.
        made: what the handler answered; nothing, where the create went wrong.
        depends_on: the resources that stand below this one.
    """

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    applied: Mapping[str, Any]
    made: Made | None
    depends_on: tuple[str, ...]
    deletion_policy: str
    update_replace_policy: str
    metadata: Any = None
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    changed: datetime = field(default_factory=now)

    @property
    def physical_id(self) -> str | None:
        """What `Ref` gives, once the resource stands."""
        return self.made.physical_id if self.made else None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an operation did, so that it can be undone.

    Args:
        kind: what was done; a replacement keeps `before` in place until the operation has succeeded, and `noted` touched
            nothing but the record.
    """

    kind: Literal["created", "noted", "updated", "replaced"]
    before: Resource | None
    after: Resource


@dataclass(frozen=True, slots=True)
class Settings:
    """What one deployment asks for."""

    template_body: str
    description: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a stack."""

    key: str
    value: str
    description: str | None = None
    export: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line in a stack's history."""

    stack_id: str
    stack_name: str
    operation_id: str
    logical_id: str
    physical_id: str | None
    type: str
    status: str
    reason: str | None = None
    properties: str | None = None
    token: str | None = None
    timestamp: datetime = field(default_factory=now)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class ChangeSet:
    """A deployment that waits to be executed."""

    name: str
    id: str
    kind: str
    settings: Settings
    changes: list[dict[str, Any]]
    description: str | None
    on_failure: str | None
    status: str
    reason: str | None
    execution: str
    created: datetime = field(default_factory=now)


@dataclass(slots=True)
class Stack:
    """A stack.

    Args:
        settings: what is deployed, or being deployed; nothing before the first deployment.
        stable: what was deployed before, to which a roll-back returns.
        journal: what has been done since `stable`, oldest first.
        garbage: what the last success left to be removed.
        imports: the exports of other stacks that this one uses, those of a running operation among them.
    """

    name: str
    id: str
    region: str
    account_id: str
    status: str = REVIEW
    reason: str | None = None
    settings: Settings | None = None
    stable: Settings | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    imports: frozenset[str] = frozenset()
    stable_imports: frozenset[str] = frozenset()
    journal: list[Step] = field(default_factory=list)
    garbage: list[Resource] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    last_change_set: str | None = None
    on_failure: str = "ROLLBACK"
    termination_protection: bool = False
    operation_id: str = ""
    token: str | None = None
    created: datetime = field(default_factory=now)
    updated: datetime | None = None
    deleted: datetime | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an operation runs."""
        return self.status.endswith(IN_PROGRESS) and self.status != REVIEW

    @property
    def is_gone(self) -> bool:
        """Whether the stack has been deleted, and is known by its id alone."""
        return self.status == "DELETE_COMPLETE"

    def record(self, status: str, reason: str | None = None) -> None:
        """Enter a status, and tell of it."""
        self.status, self.reason = status, reason
        self._add(self.name, self.id, STACK_TYPE, status, reason)

    def tell(
        self, resource: Resource, status: str, reason: str | None = None, *, properties: str | None = None
    ) -> None:
        """Tell what becomes of a resource."""
        resource.status, resource.reason, resource.changed = status, reason, now()
        self._add(resource.logical_id, resource.physical_id, resource.type, status, reason, properties)

    def _add(
        self,
        logical_id: str,
        physical_id: str | None,
        kind: str,
        status: str,
        reason: str | None,
        properties: str | None = None,
    ) -> None:
        # The CDK CLI sorts by the millisecond: two events must not share one, or they change places.
        last = self.events[-1].timestamp if self.events else None
        timestamp = now() if last is None else max(now(), last + timedelta(milliseconds=1))
        event = Event(
            stack_id=self.id,
            stack_name=self.name,
            operation_id=self.operation_id,
            logical_id=logical_id,
            physical_id=physical_id,
            type=kind,
            status=status,
            reason=reason,
            properties=properties,
            token=self.token,
            timestamp=timestamp,
        )
        self.events.append(event)
        del self.events[:-_KEPT_EVENTS]
