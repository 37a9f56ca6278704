"""Stop the server of a NATS node without ending it: its connections stay open, and nothing answers on them."""

from __future__ import annotations

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.drills.nodes import expect_little_harm, expect_whole, signal, worst_node

# The alarm counts what three machines report in three minutes, twice in a row; then the minute that has begun.
_ALARM_MINUTES = 9
_CALM_MINUTES = 8


async def run(field: Field) -> None:
    """Break and watch."""
    node = field.target = await worst_node(field)
    alarm = names.nats_alarm("node-down", field.scope.name)
    await field.find_calm(alarm)
    field.after(lambda: signal(field, node, "resume", "CONT"))
    await signal(field, node, "pause", "STOP")
    await field.expect_alarm(alarm, _ALARM_MINUTES)
    if field.load is not None:
        steady = await field.load.more()
        field.notes.expect("the others go on without it", "they do" if steady else "they do not", good=steady)
    await signal(field, node, "resume", "CONT")
    await expect_whole(field, node)
    expect_little_harm(field)
    await field.expect_calm(alarm, _CALM_MINUTES)


DRILL = Drill(
    name="pause-node",
    summary="Stop a NATS server without ending it until the alarm goes off, then let it go on.",
    run=run,
    in_aws=True,
)
