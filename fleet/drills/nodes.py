"""What the drills on NATS nodes share: which node to break, what a node's server is told, and when the cluster is whole."""

from __future__ import annotations

from typing import Any

from catalog import names
from fleet.drills.field import Field
from fleet.drills.load import STREAM
from fleet.errors import WantingError
from fleet.nats import cluster_findings, task

_SCRIPT = "AWS-RunShellScript"
_COMMAND_SECONDS = 60.0
WHOLE_MINUTES = 4
MOST_GAP_SECONDS = 30.0
"""How long JetStream may need to elect another leader, on a machine with too much to do."""


async def worst_node(field: Field) -> str:
    """Return the node whose loss hurts most: the one that leads the stream of the load, or else the meta leader."""
    if field.wire is not None:
        client = await field.wire.connect("provisioner")
        try:
            cluster = (await client.jetstream(timeout=10).stream_info(STREAM)).cluster
        finally:
            await client.close()
        if cluster and cluster.leader:
            return str(cluster.leader)
    told = await field.call(task, field.scope.account, field.scope.environment, "status")
    leaders = [node for node, entry in told["nodes"].items() if (entry["status"] or {}).get("meta_leader") == node]
    return leaders[0] if leaders else names.NATS_NODES[0]


async def signal(field: Field, node: str, name: str, systemd_signal: str) -> None:
    """Send the server of a node a signal: here by the plane, in AWS by systemd on its machine."""
    if field.is_local:
        await field.ask(name, name=node)
    else:
        await shell(field, node, f"systemctl kill --signal={systemd_signal} nats-server")


async def shell(field: Field, node: str, script: str) -> None:
    """Run a script on a node's machine by Systems Manager, and wait for its end.

    Raises:
        WantingError: It failed, or did not end in time.
    """
    ssm = field.scope.account.ssm
    filters: Any = [
        {"Name": "tag:environment", "Values": [field.scope.name]},
        {"Name": "tag:nats-slot", "Values": [node]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = await field.call(field.scope.account.ec2.describe_instances, Filters=filters)
    machines = [str(one["InstanceId"]) for each in found["Reservations"] for one in each["Instances"]]
    if not machines:
        raise WantingError(f"{node} has no machine that runs")
    sent = await field.call(
        ssm.send_command, InstanceIds=machines, DocumentName=_SCRIPT, Parameters={"commands": [script]}
    )
    command = str(sent["Command"]["CommandId"])
    ended: dict[str, str] = {}

    async def is_over() -> bool:
        told = await field.call(ssm.list_command_invocations, CommandId=command)
        ended.update({one["InstanceId"]: one["Status"] for one in told["CommandInvocations"]})
        return bool(ended) and not {"Pending", "InProgress", "Delayed"} & set(ended.values())

    if await field.until(is_over, _COMMAND_SECONDS) is None or set(ended.values()) != {"Success"}:
        raise WantingError(f"{node}: {script!r} ended with {', '.join(ended.values()) or 'nothing'}")


async def is_whole(field: Field) -> bool:
    """Tell whether every node is well and sees the others."""
    if field.is_local:
        rows = (await field.ask("status"))["nodes"]["rows"]
        return all(row["health"] == "healthy" for row in rows)
    return not cluster_findings(await field.call(task, field.scope.account, field.scope.environment, "status"))


async def expect_whole(field: Field, node: str) -> None:
    """Wait until the cluster is whole again."""
    await field.expect_within(f"{node} is healthy again", lambda: is_whole(field), field.within(WHOLE_MINUTES))


def expect_little_harm(field: Field) -> None:
    """Take down how long nothing was acknowledged, and how long a request went without an answer."""
    expected = f"the other two go on: no {MOST_GAP_SECONDS:.0f} s without an acknowledgement"
    if field.load is None:
        field.notes.not_seen(expected, "nobody here reaches NATS")
        return
    gap = field.load.stored.gap_seconds()
    field.notes.expect(expected, f"longest {gap:.1f} s", good=gap < MOST_GAP_SECONDS)
    longest = max(timeline.gap_seconds() for timeline in field.load.answers.values())
    failures = sum(counter.total() for counter in field.load.failures.values())
    field.notes.expect(
        f"services go on answering: no {MOST_GAP_SECONDS:.0f} s without an answer",
        f"longest {longest:.1f} s, {failures} requests failed", good=longest < MOST_GAP_SECONDS,
    )  # fmt: skip
