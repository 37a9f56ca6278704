"""Kill the server of the NATS node whose loss hurts most."""

from __future__ import annotations

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.drills.nodes import expect_little_harm, expect_whole, signal, worst_node


async def run(field: Field) -> None:
    """Break and watch."""
    node = field.target = await worst_node(field)
    alarm = names.nats_alarm("node-down", field.scope.name)
    await field.find_calm(alarm)
    before = await _restarts(field, node)
    await signal(field, node, "kill", "KILL")
    if before is not None:

        async def started_again() -> bool:
            return (await _restarts(field, node) or 0) > before

        await field.expect_within(f"systemd starts the server of {node} again", started_again, field.within(1))
    await expect_whole(field, node)
    if field.load is not None:
        steady = await field.load.more()
        field.notes.expect("clients find a node again", "they do" if steady else "they do not", good=steady)
    expect_little_harm(field)
    await field.expect_silence(alarm, "it was back within minutes")


async def _restarts(field: Field, node: str) -> int | None:
    if not field.is_local:
        return None
    rows = (await field.ask("status"))["nodes"]["rows"]
    return next(int(row["restarts"]) for row in rows if row["name"] == node)


DRILL = Drill(
    name="kill-node",
    summary="Kill the NATS server that leads; another takes over, and it comes back.",
    run=run,
    in_aws=True,
)
