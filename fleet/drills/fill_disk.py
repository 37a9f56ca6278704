"""Leave the NATS node that leads no room on its disk: the others go on, an alarm tells, and with room it is healthy again.

In AWS a file takes what is left of the data disk. Here the disk is this machine's own, so the server alone is allowed to write no more:
its next write fails just as surely.
"""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Callable

import psutil

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.drills.nodes import expect_little_harm, expect_whole, shell, signal, worst_node

_FILE = "/var/lib/nats/drill.fill"
_FILL = f"fallocate -l $(( $(df --output=avail -B1 /var/lib/nats | tail -1) - 4194304 )) {_FILE}"
_ALARM_MINUTES = 8  # five minutes without a break at worst, the one that has begun, and time to notice
_CALM_MINUTES = 8


async def run(field: Field) -> None:
    """Break and watch."""
    node = field.target = await worst_node(field)
    # A disk that is full rings by its size; a server that cannot write, by what it says of its health.
    alarm = names.nats_alarm("unhealthy" if field.is_local else "disk", field.scope.name)
    await field.find_calm(alarm)
    make_room = await _fill(field, node)
    await field.expect_alarm(alarm, _ALARM_MINUTES)
    if field.load is not None:
        steady = await field.load.more()
        field.notes.expect("the others go on", "they do" if steady else "they do not", good=steady)
    await make_room()
    # What a server could not write it does not take up again by itself: the runbook has it started anew.
    await signal(field, node, "kill", "KILL")
    await expect_whole(field, node)
    expect_little_harm(field)
    await field.expect_calm(alarm, _CALM_MINUTES)


async def _fill(field: Field, node: str) -> Callable[[], Awaitable[None]]:
    """Leave no room; return what makes room again, which the end of the drill does in any case."""
    if not field.is_local:

        async def remove() -> None:
            await shell(field, node, f"rm -f {_FILE}")

        field.after(remove)
        await shell(field, node, _FILL)
        return remove
    rows = (await field.ask("status"))["nodes"]["rows"]
    server = psutil.Process(next(int(row["pid"]) for row in rows if row["name"] == node))
    allowed: tuple[int, int] = server.rlimit(psutil.RLIMIT_FSIZE)

    async def allow() -> None:
        if server.is_running():
            server.rlimit(psutil.RLIMIT_FSIZE, allowed)

    field.after(allow)
    server.rlimit(psutil.RLIMIT_FSIZE, (0, allowed[1] if allowed[1] != resource.RLIM_INFINITY else -1))
    return allow


DRILL = Drill(
    name="fill-disk",
    summary="Leave the NATS node that leads no room on its disk; the others go on, and an alarm tells.",
    run=run,
    in_aws=True,
)
