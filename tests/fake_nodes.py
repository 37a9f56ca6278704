"""Three NATS machines behind a Systems Manager in memory: each runs the commands of its agent as the agent says it would.

A machine keeps what it was given, fetches what it is told to from the store by version and checksum, and answers with the agent's
line of JSON. Nothing takes time: sleeping moves a clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from functions.nats_nodes import Nodes
from nats_platform.commander import SLOT_TAG, Commander
from tls import Store

NODES = ("nats-1", "nats-2", "nats-3")
PREFIX = "gaming-system-test-nats-"


class InvocationDoesNotExist(ClientError):  # noqa: N818  # boto3 calls it so
    """boto3's own error for a command that is not known yet."""


class Time:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, act: Callable[[], object]) -> None:
        """Let something happen at a time."""
        self._due.append((moment, act))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [entry for entry in self._due if entry[0] <= self.now]:
            self._due.remove(due)
            due[1]()

    def __call__(self) -> float:
        return self.now


@dataclass
class Machine:
    """A machine, and what its server runs on."""

    id: str
    configuration: str = ""
    """The text of it."""
    server: str = "server-1"
    healthy: bool = True
    answers: bool = True
    """Whether Systems Manager reaches it."""


@dataclass
class FakeNodes:
    """The cluster. What a command ends with where it does not end well stands in `refusals`, by node and command."""

    store: Store
    machines: dict[str, Machine] = field(default_factory=lambda: {node: Machine(f"i-{node}-1") for node in NODES})
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    commands: list[tuple[str, str]] = field(default_factory=list)
    """Node and command, in order."""
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    starts_anew: set[str] = field(default_factory=set)
    """Nodes whose server takes a configuration up only when it starts."""
    leader: str = "nats-1"
    time: Time = field(default_factory=Time)
    before: Callable[[str, str], None] = lambda _node, _command: None
    """Called before a command is carried out."""
    _ended: dict[str, dict[str, str]] = field(default_factory=dict)

    class exceptions:  # noqa: N801  # boto3 calls it so
        InvocationDoesNotExist = InvocationDoesNotExist

    @property
    def commander(self) -> Commander:
        return Commander(self, self, self.time.sleep, self.time)

    @property
    def nodes(self) -> Nodes:
        return Nodes("test", PREFIX, self.commander)

    # EC2

    def get_paginator(self, operation: str) -> FakeNodes:
        assert operation == "describe_instances"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        instances = [
            {"InstanceId": machine.id, "Tags": [{"Key": SLOT_TAG, "Value": node}]}
            for node, machine in self.machines.items()
        ]
        return [{"Reservations": [{"Instances": instances}]}]

    # Systems Manager

    def send_command(
        self,
        *,
        DocumentName: str,  # noqa: N803  # as boto3 takes it
        InstanceIds: Sequence[str],  # noqa: N803
        Parameters: Mapping[str, Sequence[str]],  # noqa: N803
        TimeoutSeconds: int,  # noqa: N803
    ) -> dict[str, Any]:
        assert DocumentName.startswith(PREFIX)
        assert TimeoutSeconds >= 30
        (machine_id,) = InstanceIds
        node = next(node for node, machine in self.machines.items() if machine.id == machine_id)
        command = DocumentName.removeprefix(PREFIX)
        request = json.loads(base64.b64decode(Parameters["Request"][0])) if Parameters else {}
        self.before(node, command)
        self.commands.append((node, command))
        self.requests.append(request)
        number = f"c-{len(self.commands)}"
        self._ended[number] = self._outcome(node, command, request)
        return {"Command": {"CommandId": number}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> dict[str, str]:  # noqa: N803
        del InstanceId
        return self._ended[CommandId]

    def _outcome(self, node: str, command: str, request: Mapping[str, Any]) -> dict[str, str]:
        if not self.machines[node].answers:
            return _ended("TimedOut", "DeliveryTimedOut")
        if refusal := self.refusals.get((node, command)):
            return _ended("Failed", "Failed", errors=f"FAILED: {refusal}\n")
        answer = getattr(self, f"_{command}")(node, request)
        last = answer if isinstance(answer, str) else json.dumps(answer)
        return _ended("Success", "Success", output=f"said before\n{last}\n")

    # The agent

    def _configure(self, node: str, request: Mapping[str, Any]) -> str:
        stored = self.store.read(request["key"], request["version_id"])
        assert stored is not None
        assert hashlib.sha256(stored.data).hexdigest() == request["sha256"]
        machine, text = self.machines[node], stored.data.decode()
        if machine.configuration != text and node in self.starts_anew:
            return "waits: sha256:5e; the server takes up sync_interval only when it starts"
        outcome = "unchanged" if machine.configuration == text else "configured"
        machine.configuration = text
        return f"{outcome}: sha256:5e"

    def _status(self, node: str, _: Mapping[str, Any]) -> dict[str, Any]:
        machine = self.machines[node]
        return {
            "node": node,
            "healthz": "ok" if machine.healthy else "JetStream has not established contact with a meta leader",
            "meta_leader": self.leader,
            "server_sha256": machine.server,
            "configuration_sha256": hashlib.sha256(machine.configuration.encode()).hexdigest(),
        }

    def _gate(self, node: str, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"good": True, "node": node}

    def _leave(self, _: str, __: Mapping[str, Any]) -> dict[str, Any]:
        return {"outcome": "left"}

    def _streams(self, _: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"changed": sorted(request["streams"]), "refused": [], "kept": []}

    def _backup(self, _: str, __: Mapping[str, Any]) -> dict[str, Any]:
        return {"backup": "20260729T100000Z", "streams": 2, "bytes": 10}

    def _restore(self, _: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"backup": "20260729T100000Z", "restored": sorted(request["streams"])}


def _ended(status: str, details: str, output: str = "", errors: str = "") -> dict[str, str]:
    return {
        "Status": status,
        "StatusDetails": details,
        "StandardOutputContent": output,
        "StandardErrorContent": errors,
    }
