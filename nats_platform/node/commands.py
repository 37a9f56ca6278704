"""The commands that need no connection to NATS."""

from __future__ import annotations

import argparse
import json

from nats_platform.node.boot import boot_at_last
from nats_platform.node.certificates import deliver_current
from nats_platform.node.configuration import Wanted
from nats_platform.node.configuration import configure as take_up
from nats_platform.node.leave import leave as leave_cluster
from nats_platform.node.metrics import send_metrics
from nats_platform.node.settings import Settings
from nats_platform.node.status import on_a_line
from nats_platform.node.status import status as look


def boot(settings: Settings, arguments: argparse.Namespace) -> str:
    """Make a node of a machine that has its address and its disk."""
    return boot_at_last(settings, attempts=arguments.attempts)


def certificates(settings: Settings, _: argparse.Namespace) -> str:
    """Take up the certificates that the bucket holds now."""
    return deliver_current(settings)


def configure(settings: Settings, arguments: argparse.Namespace) -> str:
    """Take up a configuration: key, version_id and sha256."""
    return take_up(settings, Wanted.from_plain(arguments.asked))


def leave(settings: Settings, _: argparse.Namespace) -> str:
    """Take this node out of the cluster by lame duck."""
    return json.dumps(leave_cluster(settings))


def status(settings: Settings, _: argparse.Namespace) -> str:
    """Tell what runs, serves and is connected."""
    return on_a_line(look(settings))


def metrics(settings: Settings, _: argparse.Namespace) -> str:
    """Send metrics and the server's log."""
    return json.dumps(send_metrics(settings))
