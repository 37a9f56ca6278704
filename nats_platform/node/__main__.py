"""The commands of the agent: `python3 agent.pyz COMMAND …`, as root. Exit 0 or 1; the last line says how it ended."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping

from nats_platform.node.boot import boot
from nats_platform.node.certificates import deliver_current
from nats_platform.node.configuration import Wanted, configure, decoded
from nats_platform.node.deliver_certificates import FAULTS, RefusedError
from nats_platform.node.settings import Settings

Command = Callable[[argparse.Namespace], str]


def _boot(_: argparse.Namespace) -> str:
    return boot(Settings.told(os.environ))


def _configure(arguments: argparse.Namespace) -> str:
    return configure(Settings.told(os.environ), Wanted.from_plain(decoded(arguments.argument)))


def _certificates(_: argparse.Namespace) -> str:
    return deliver_current(Settings.told(os.environ))


COMMANDS: Mapping[str, tuple[Command, str]] = {
    "boot": (_boot, "make a node of a machine that has its address and its disk"),
    "certificates": (_certificates, "take up the certificates that the bucket holds now"),
    "configure": (_configure, "take up a configuration: base64 of JSON of key, version_id and sha256"),
}
WITH_ARGUMENT = ("configure",)


def main() -> int:
    """Run a command; say on one line how it ended."""
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="agent.pyz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in WITH_ARGUMENT:
            command.add_argument("argument")
    arguments = parser.parse_args()
    try:
        outcome = COMMANDS[arguments.command][0](arguments)
    except FAULTS as error:
        told = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"FAILED: {told}\n")
        return 1
    sys.stdout.write(f"{outcome}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
