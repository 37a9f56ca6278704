"""The agent: `python3 agent.pyz COMMAND …`, as root. Exit 0 or 1; the last line says how it ended."""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import logging
import os
import sys
from typing import Any

from nats_platform.node.deliver_certificates import FAULTS, RefusedError
from nats_platform.node.settings import Settings

GATE_SECONDS = 240.0
ATTEMPTS = 10
COMMANDS = {
    "commands": ("boot", "certificates", "configure", "leave", "status", "metrics"),
    "jetstream_commands": ("gate", "streams", "backup", "restore"),
}
TAKING_AN_ARGUMENT = ("configure", "streams", "restore")


def main() -> int:
    """Run a command; say on one line how it ended."""
    os.umask(0o077)
    # What goes wrong on a connection comes as an exception, too, and asyncio grumbles about every TLS that ends.
    logging.disable(logging.CRITICAL)
    arguments = _parser().parse_args()
    try:
        if arguments.command in TAKING_AN_ARGUMENT:
            arguments.asked = decoded(arguments.argument)
        module = next(name for name, commands in COMMANDS.items() if arguments.command in commands)
        run = getattr(importlib.import_module(f"nats_platform.node.{module}"), arguments.command)
        outcome: str = run(Settings.told(os.environ), arguments)
    except FAULTS as error:
        told = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"FAILED: {told}\n")
        return 1
    sys.stdout.write(f"{outcome}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent.pyz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name) for names in COMMANDS.values() for name in names}
    for name in TAKING_AN_ARGUMENT:
        parsers[name].add_argument("argument", help="base64 of JSON")
    parsers["boot"].add_argument("--attempts", type=int, default=ATTEMPTS, help="how often it is tried before it fails")
    parsers["streams"].add_argument("--dry-run", action="store_true", help="tell what would be done")
    parsers["gate"].add_argument("--timeout-seconds", type=float, default=GATE_SECONDS)
    parsers["gate"].add_argument(
        "--span-seconds",
        type=float,
        help="how long all must have been well without a break (default: what the machine says)",
    )
    return parser


def decoded(text: str) -> dict[str, Any]:
    """Read base64 of a JSON object, as a command line carries it.

    Raises:
        RefusedError: It is something else.
    """
    try:
        asked = json.loads(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise RefusedError(f"the argument is no base64 of JSON: {error}") from error
    if not isinstance(asked, dict):
        raise RefusedError(f"the argument is no JSON object but {text!r}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
