"""The commands of the agent: `python3 agent.pyz COMMAND …`, as root. Exit 0 or 1; the last line says how it ended."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping

from nats_platform.node.backup import backup
from nats_platform.node.boot import boot
from nats_platform.node.certificates import deliver_current
from nats_platform.node.configuration import Wanted, configure, decoded
from nats_platform.node.deliver_certificates import FAULTS, RefusedError
from nats_platform.node.gate import SPAN_SECONDS, gate
from nats_platform.node.leave import leave
from nats_platform.node.metrics import send_metrics
from nats_platform.node.restore import restore
from nats_platform.node.settings import Settings
from nats_platform.node.status import on_a_line, status
from nats_platform.node.streams import apply_streams

Command = Callable[[argparse.Namespace], int]
GATE_SECONDS = 240.0


def _settings() -> Settings:
    return Settings.told(os.environ)


def _say(outcome: str) -> int:
    sys.stdout.write(f"{outcome}\n")
    return 0


def _boot(_: argparse.Namespace) -> int:
    return _say(boot(_settings()))


def _certificates(_: argparse.Namespace) -> int:
    return _say(deliver_current(_settings()))


def _configure(arguments: argparse.Namespace) -> int:
    return _say(configure(_settings(), Wanted.from_plain(decoded(arguments.argument))))


def _gate(arguments: argparse.Namespace) -> int:
    outcome = gate(_settings(), seconds=arguments.timeout_seconds, span_seconds=arguments.span_seconds)
    _say(json.dumps(outcome))
    if not outcome["good"]:
        raise RefusedError("; ".join(outcome["findings"]))
    return 0


def _leave(_: argparse.Namespace) -> int:
    return _say(json.dumps(leave(_settings())))


def _status(_: argparse.Namespace) -> int:
    return _say(on_a_line(status(_settings())))


def _streams(arguments: argparse.Namespace) -> int:
    asked = decoded(arguments.argument)
    dry_run = bool(arguments.dry_run or asked.get("dry_run"))
    changes = apply_streams(_settings(), asked, dry_run=dry_run)
    _say(json.dumps(changes.to_plain()))
    if changes.refused:
        raise RefusedError("; ".join(changes.refused))
    return 0


def _backup(_: argparse.Namespace) -> int:
    return _say(json.dumps(backup(_settings())))


def _restore(arguments: argparse.Namespace) -> int:
    return _say(json.dumps(restore(_settings(), decoded(arguments.argument))))


def _metrics(_: argparse.Namespace) -> int:
    return _say(json.dumps(send_metrics(_settings())))


COMMANDS: Mapping[str, tuple[Command, str]] = {
    "boot": (_boot, "make a node of a machine that has its address and its disk"),
    "certificates": (_certificates, "take up the certificates that the bucket holds now"),
    "configure": (_configure, "take up a configuration: key, version_id and sha256"),
    "gate": (_gate, "wait until the cluster is whole, and stays so"),
    "leave": (_leave, "take this node out of the cluster by lame duck"),
    "status": (_status, "tell what runs, serves and is connected"),
    "streams": (_streams, "apply streams, consumers and buckets"),
    "backup": (_backup, "back up every stream to the cluster's bucket"),
    "restore": (_restore, "restore streams: backup, streams, overwrite"),
    "metrics": (_metrics, "send metrics and the server's log"),
}
WITH_ARGUMENT = ("configure", "streams", "restore")


def main() -> int:
    """Run a command; say on one line how it ended."""
    os.umask(0o077)
    # What goes wrong on a connection comes as an exception, too, and asyncio grumbles about every TLS that ends.
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="agent.pyz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in WITH_ARGUMENT:
            command.add_argument("argument", help="base64 of JSON")
        if name == "streams":
            command.add_argument("--dry-run", action="store_true", help="tell what would be done")
        if name == "gate":
            command.add_argument("--timeout-seconds", type=float, default=GATE_SECONDS)
            command.add_argument(
                "--span-seconds",
                type=float,
                default=SPAN_SECONDS,
                help="how long all must have been well without a break",
            )
    arguments = parser.parse_args()
    try:
        return COMMANDS[arguments.command][0](arguments)
    except FAULTS as error:
        told = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"FAILED: {told}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
