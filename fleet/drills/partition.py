"""Cut a NATS node off from the others, while its clients still reach it: a minority that must acknowledge nothing."""

from __future__ import annotations

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.drills.nodes import expect_little_harm, expect_whole, worst_node

_ALARM_MINUTES = 7  # three of five minutes, and the one that has begun
_CALM_MINUTES = 7


async def run(field: Field) -> None:
    """Break and watch."""
    node = field.target = await worst_node(field)
    alarm = names.nats_alarm("routes-missing", field.scope.name)
    await field.find_calm(alarm)
    field.after(lambda: field.ask("mend", name=node))
    await field.ask("cut", name=node)
    await field.expect_alarm(alarm, _ALARM_MINUTES)
    if field.load is not None:
        steady = await field.load.more()
        field.notes.expect("the majority goes on", "it does" if steady else "it does not", good=steady)
    await field.ask("mend", name=node)
    await expect_whole(field, node)
    expect_little_harm(field)
    await field.expect_calm(alarm, _CALM_MINUTES)


DRILL = Drill(
    name="partition",
    summary="Cut a NATS node off from the others until the alarm goes off, then let it back.",
    run=run,
    in_aws=False,
)
