"""The commands that ask JetStream; apart, since NATS's library takes longer to load than the others take to run."""

from __future__ import annotations

import argparse
import json
import sys

from nats_platform.node.backup import backup as take_backup
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.gate import gate as wait_for_cluster
from nats_platform.node.restore import restore as put_back
from nats_platform.node.settings import Settings
from nats_platform.node.streams import apply_streams


def gate(settings: Settings, arguments: argparse.Namespace) -> str:
    """Wait until the cluster is whole, and stays so."""
    span = arguments.span_seconds or settings.gate_span_seconds
    outcome = wait_for_cluster(settings, seconds=arguments.timeout_seconds, span_seconds=span)
    return _told(outcome, outcome["findings"])


def streams(settings: Settings, arguments: argparse.Namespace) -> str:
    """Apply streams, consumers and buckets."""
    dry_run = bool(arguments.dry_run or arguments.asked.get("dry_run"))
    changes = apply_streams(settings, arguments.asked, dry_run=dry_run)
    return _told(changes.to_plain(), changes.refused)


def backup(settings: Settings, _: argparse.Namespace) -> str:
    """Back up every stream to the cluster's bucket."""
    return json.dumps(take_backup(settings))


def restore(settings: Settings, arguments: argparse.Namespace) -> str:
    """Restore streams: backup, streams, overwrite."""
    return json.dumps(put_back(settings, arguments.asked))


def _told(outcome: dict[str, object], wrong: list[str]) -> str:
    """Return what is told; where something is wrong, tell it before that fails the command."""
    text = json.dumps(outcome)
    if wrong:
        sys.stdout.write(f"{text}\n")
        raise RefusedError("; ".join(wrong))
    return text
