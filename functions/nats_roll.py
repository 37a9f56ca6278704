"""Waits until the cluster runs on what a deployment made: at first until its nodes are there, later while they are rolled.

A roll takes longer than a function may run. So a run that comes to its end hands what it waits for to the next one, which it calls
itself, and the last one answers; all of them end before CloudFormation loses patience.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from functions.nats_nodes import NodeError, Nodes

SERVICE_TIMEOUT_SECONDS = 3600  # CloudFormation waits no longer for an answer
PATIENCE_SECONDS = 3200
HAND_OVER_SECONDS = 330.0  # what a run keeps: for one gate, and to call the next run
_PAUSE_SECONDS = 15.0
_UNDER_WAY = {"Pending", "InProgress", "Waiting", "Cancelling", "RunbookInProgress", "PendingApproval", "Scheduled"}

Kind = Literal["first", "roll"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is waited for, as one run hands it to the next."""

    kind: Kind
    since: float
    """Time of the request, in seconds since the epoch."""
    execution: str = ""
    """The roll's, once it is under way."""

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind, "since": self.since, "execution": self.execution}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Waiting:
        """Read it from plain data."""
        return cls(plain["kind"], float(plain["since"]), plain["execution"])


@dataclass(frozen=True)
class RollWatch:
    """Starts what is to be waited for, and waits as long as this run may."""

    nodes: Nodes
    expected: frozenset[str]
    """The nodes that the cluster has."""
    document: str
    """The Automation that rolls."""
    ssm: Any
    seconds_left: Callable[[], float]
    """Of this run."""
    sleep: Callable[[float], None] = field(default=time.sleep)
    now: Callable[[], float] = field(default=time.time)

    def begin(self, kind: Kind, request_id: str) -> Waiting:
        """Start a roll, unless it is the first deployment; the same request starts one only once."""
        if kind == "first":
            return Waiting(kind, self.now())
        token = str(uuid.uuid5(uuid.NAMESPACE_URL, request_id))
        started = self.ssm.start_automation_execution(DocumentName=self.document, ClientToken=token)
        return Waiting(kind, self.now(), started["AutomationExecutionId"])

    def go_on(self, waiting: Waiting) -> bool:
        """Wait; tell whether it came to a good end, and not only this run to its own.

        Raises:
            NodeError: It came to a bad end, or to none in time.
        """
        look = self._nodes_stand if waiting.kind == "first" else self._has_rolled
        while True:
            missing = look(waiting)
            if not missing:
                return True
            if self.now() - waiting.since > PATIENCE_SECONDS:
                raise NodeError(f"after {PATIENCE_SECONDS} s: {missing}")
            if self.seconds_left() < HAND_OVER_SECONDS + _PAUSE_SECONDS:
                return False
            self.sleep(_PAUSE_SECONDS)

    def _nodes_stand(self, _: Waiting) -> str:
        """Return what the cluster still lacks to be whole; one answer for all, since a gate looks at the whole cluster."""
        machines = self.nodes.machines()
        if absent := sorted(self.expected - set(machines)):
            return f"no machine runs for {', '.join(absent)}"
        for node, machine in machines.items():
            passed = self.nodes.run("gate", machine)
            if not passed.succeeded:
                return f"{node} does not pass the gate: {passed.detail}"
            if self.seconds_left() < HAND_OVER_SECONDS:
                return "the other nodes were not asked yet"
        return ""

    def _has_rolled(self, waiting: Waiting) -> str:
        """Return that the roll is under way; nothing once it has ended well.

        Raises:
            NodeError: It has not.
        """
        found = self.ssm.get_automation_execution(AutomationExecutionId=waiting.execution)["AutomationExecution"]
        status = found["AutomationExecutionStatus"]
        if status in _UNDER_WAY:
            return f"the roll {waiting.execution} has not ended"
        if status != "Success":
            raise NodeError(f"the roll {waiting.execution} ended with {status}: {found.get('FailureMessage', '')}")
        return ""
