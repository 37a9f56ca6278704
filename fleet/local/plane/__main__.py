"""`python -m fleet.local.plane`: the supervisor, started by `fleet local up`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from fleet.errors import FleetError
from fleet.local.plane.names import MINUTE_SECONDS
from fleet.local.plane.parts import PARTS
from fleet.local.plane.supervisor import Supervisor
from fleet.local.server import LocalAws


def main() -> int:
    """Run until SIGTERM; 2 where another plane runs over the folder."""
    parser = argparse.ArgumentParser(prog="python -m fleet.local.plane", description=__doc__)
    parser.add_argument("--aws-state", type=Path, required=True, help="state directory of the local AWS")
    parser.add_argument("--minute-seconds", type=float, default=MINUTE_SECONDS)
    parser.add_argument("--no-cache", action="store_true")
    parser.add_argument("--hold-tasks", action="store_true", help="start no task until told to")
    parser.add_argument("--state", type=Path, required=True, help="folder of the plane")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)

    async def run() -> None:
        await Supervisor(
            options.state,
            LocalAws(options.aws_state),
            PARTS,
            minute_seconds=options.minute_seconds,
            has_cache=not options.no_cache,
            holds_tasks=options.hold_tasks,
        ).run()

    try:
        asyncio.run(run())
    except FleetError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
