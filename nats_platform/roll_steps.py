"""The steps of a roll: replace the machines of the cluster that are outdated, one at a time, the meta leader's last.

Systems Manager runs each function as a step of its Automation, with this module and `commander` as one script; so this one imports
nothing else of ours. `plan` says which machines and in which order; for each of them follow `replace`, `await_machine` and `gate`.
A step that fails raises, and the roll stops there: the other machines go on as they are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nats_platform.commander import Commander

NODES = 3
STEP_SECONDS = 570  # Systems Manager ends a script after 600
SECONDS = {"status": 100, "gate": 310, "leave": 220}
_PAUSE_SECONDS = 10.0


class RollStoppedError(Exception):
    """The roll ends here, and why."""


@dataclass(frozen=True)
class Roll:
    """What the steps know of the cluster, and how they reach it."""

    environment: str
    document_prefix: str
    bucket: str
    commander: Commander
    autoscaling: Any
    s3: Any
    sleep: Callable[[float], None] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)

    def plan(self, execution: str, *, every: bool) -> dict[str, Any]:
        """Return which nodes are to be replaced, in order.

        A cluster that is not whole is not rolled, with one exception: where the only node that is not well is one that is to be
        replaced anyway, replacing it costs nothing, and is the way back from a new version that does not start.

        Raises:
            RollStoppedError: Another roll is under way, or the cluster is not whole.
        """
        self._refuse_a_second(execution)
        machines = self.commander.machines(self.environment)
        status = {node: self.ask("status", machine) for node, machine in machines.items()}
        well = {
            node for node, told in status.items() if told and told.get("healthz") == "ok" and told.get("meta_leader")
        }
        groups = self._groups()
        every_node = sorted({*machines, *groups})
        wanted = self._wanted(every_node)
        outdated = [
            node
            for node in every_node
            if every or _is_outdated(groups[node], machines.get(node), status.get(node, {}), wanted[node])
        ]
        unwell = [node for node in every_node if node not in well]
        if not unwell:
            self._pass_gates(machines)
        elif len(unwell) > 1 or unwell[0] not in outdated:
            raise RollStoppedError(
                f"the cluster is not whole, so nothing was replaced: {', '.join(unwell)} not well or without a machine"
            )
        leader = next((told["meta_leader"] for told in status.values() if told and told.get("meta_leader")), None)
        order = sorted(outdated, key=lambda node: (node not in unwell, node == leader, node))
        return {"Nodes": order, "Count": len(order)}

    def replace(self, node: str) -> dict[str, Any]:
        """Have a node leave its cluster, and end its machine; its group starts another one.

        Raises:
            RollStoppedError: The node is well, and yet did not leave.
        """
        machine = self.commander.machines(self.environment).get(node)
        if machine is None:
            return {"Ended": ""}
        left = self.commander.run(f"{self.document_prefix}leave", machine, {}, at_most_seconds=SECONDS["leave"])
        if not left.succeeded:
            told = self.ask("status", machine)
            if told and told.get("healthz") == "ok":
                raise RollStoppedError(f"{node} did not leave its cluster: {left.detail}")
        self.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=machine, ShouldDecrementDesiredCapacity=False
        )
        return {"Ended": machine}

    def await_machine(self, node: str, ended: str) -> dict[str, Any]:
        """Wait for the machine in the place of one that was ended, until Systems Manager reaches it.

        Raises:
            RollStoppedError: It did not come.
        """
        for _ in self._rounds():
            machine = self.commander.machines(self.environment).get(node)
            if machine and machine != ended and self._is_online(machine):
                return {"Machine": machine}
        raise RollStoppedError(f"{node} got no new machine that Systems Manager reaches within {STEP_SECONDS} s")

    def gate(self, node: str) -> dict[str, Any]:
        """Wait until a node is a full member of its cluster again.

        Raises:
            RollStoppedError: It is not, and what it says stands in the way.
        """
        detail = "it has no machine"
        for left in self._rounds():
            machine = self.commander.machines(self.environment).get(node)
            if machine is None:
                continue
            passed = self.commander.run(
                f"{self.document_prefix}gate", machine, {}, at_most_seconds=min(SECONDS["gate"], left)
            )
            if passed.succeeded:
                return {"Passed": node}
            detail = passed.detail
        raise RollStoppedError(f"{node} does not pass the gate: {detail}")

    def ask(self, command: str, machine: str) -> Mapping[str, Any]:
        """Return what a machine answers; nothing where it does not answer well."""
        outcome = self.commander.run(f"{self.document_prefix}{command}", machine, {}, at_most_seconds=SECONDS[command])
        return outcome.answer if outcome.succeeded else {}

    def _refuse_a_second(self, execution: str) -> None:
        own = self.commander.ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]
        under_way = self.commander.ssm.describe_automation_executions(
            Filters=[
                {"Key": "DocumentNamePrefix", "Values": [own["DocumentName"]]},
                {"Key": "ExecutionStatus", "Values": ["InProgress"]},
            ]
        )["AutomationExecutionMetadataList"]
        others = [other["AutomationExecutionId"] for other in under_way if other["AutomationExecutionId"] != execution]
        if others:
            raise RollStoppedError(f"another roll is under way: {', '.join(others)}")

    def _groups(self) -> dict[str, Mapping[str, Any]]:
        """Return the group of each node."""
        pages = self.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
            Filters=[
                {"Name": "tag:environment", "Values": [self.environment]},
                {"Name": "tag-key", "Values": ["nats-slot"]},
            ]
        )
        return {
            tag["Value"]: group
            for page in pages
            for group in page["AutoScalingGroups"]
            for tag in group["Tags"]
            if tag["Key"] == "nats-slot"
        }

    def _wanted(self, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what each node's status says where it runs on what it is to run on."""
        current = json.loads(self.s3.get_object(Bucket=self.bucket, Key="current.json")["Body"].read())
        server, configuration = current["server"]["sha256"], current["configuration"]
        return {
            node: {"server_sha256": server, "configuration_sha256": configuration.get(node, {}).get("sha256")}
            for node in nodes
        }

    def _pass_gates(self, machines: Mapping[str, str]) -> None:
        for node, machine in machines.items():
            passed = self.commander.run(f"{self.document_prefix}gate", machine, {}, at_most_seconds=SECONDS["gate"])
            if not passed.succeeded:
                raise RollStoppedError(f"nothing was replaced: {node} does not pass the gate: {passed.detail}")

    def _is_online(self, machine: str) -> bool:
        known = self.commander.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [machine]}])[
            "InstanceInformationList"
        ]
        return any(instance["PingStatus"] == "Online" for instance in known)

    def _rounds(self) -> Iterator[float]:
        """Yield how many seconds are left, again and again, until the step has to end."""
        end = self.clock() + STEP_SECONDS
        while (left := end - self.clock()) > _PAUSE_SECONDS:
            yield left
            self.sleep(_PAUSE_SECONDS)


def _is_outdated(
    group: Mapping[str, Any], machine: str | None, told: Mapping[str, Any], wanted: Mapping[str, Any]
) -> bool:
    """Tell whether a machine is of an older template than its group's, or runs on another server or configuration than is wanted."""
    template = next(
        (
            instance.get("LaunchTemplate", {}).get("Version")
            for instance in group["Instances"]
            if instance["InstanceId"] == machine
        ),
        None,
    )
    return bool(
        template != group["LaunchTemplate"]["Version"] or any(told.get(key) != value for key, value in wanted.items())
    )


def plan(events: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Say which nodes are to be replaced, in order."""
    del context
    return _roll(events).plan(events["Execution"], every=events["Every"] == "true")


def replace(events: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Have a node leave, and end its machine."""
    del context
    return _roll(events).replace(events["Node"])


def await_machine(events: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Wait for the machine in its place."""
    del context
    return _roll(events).await_machine(events["Node"], events["Ended"])


def gate(events: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Wait until the node is a full member again."""
    del context
    return _roll(events).gate(events["Node"])


def _roll(events: Mapping[str, Any]) -> Roll:
    import boto3  # noqa: PLC0415  # slow, and a test brings its own clients

    return Roll(
        environment=events["Environment"],
        document_prefix=events["DocumentPrefix"],
        bucket=events["Bucket"],
        commander=Commander(boto3.client("ec2"), boto3.client("ssm")),
        autoscaling=boto3.client("autoscaling"),
        s3=boto3.client("s3"),
    )
