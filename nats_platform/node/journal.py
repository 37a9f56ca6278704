"""The server's log from the journal of this machine to CloudWatch: the reason why a client was refused stands nowhere else."""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from nats_platform.node.aws import Aws
from nats_platform.node.deliver_certificates import RefusedError, last_line
from nats_platform.node.server import UNIT

LINES = 5000
BATCH_LINES = 1000
BATCH_MILLISECONDS = 20 * 3600 * 1000  # of the 24 hours that one call takes
BATCH_BYTES = 900_000  # of the 1,048,576 that one call takes, with 26 for each line
LINE_BYTES = 8000
_LINE_COST = 26


def ship(aws: Aws, group: str, stream: str, cursor: str) -> str:
    """Send what was logged after a cursor, at most some lines a run; return the cursor of the last line that was taken.

    Raises:
        RefusedError: The journal cannot be read, or CloudWatch did not take it.
    """
    for batch, last in batches(_lines(cursor)):
        aws.put_events(group, stream, batch)
        cursor = last
    return cursor


def _lines(cursor: str) -> list[dict[str, Any]]:
    where = [f"--after-cursor={cursor}"] if cursor else ["--since=-1h"]
    command = ["journalctl", f"--unit={UNIT}", "--output=json", "--output-fields=MESSAGE", "--no-pager", *where]
    with tempfile.TemporaryFile() as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as child:
        assert child.stdout is not None  # noqa: S101 - asked for above
        # No more is read than is sent: after a flood the rest would take longer each minute than a minute has.
        lines = [json.loads(line) for line in itertools.islice(child.stdout, LINES)]
        if len(lines) == LINES:
            child.kill()
        elif child.wait() != 0:
            errors.seek(0)
            raise RefusedError(f"journalctl: {last_line(errors.read().decode(errors='replace'))}")
    return lines


def batches(lines: Sequence[dict[str, Any]]) -> Iterator[tuple[list[tuple[int, str]], str]]:
    """Yield events in the order of their time, as many as one call takes, with the cursor of the last."""
    batch: list[tuple[int, str]] = []
    size, cursor = 0, ""
    for line in lines:
        message = line.get("MESSAGE")
        text = (message if isinstance(message, str) and message else "(no text)")[:LINE_BYTES]
        cost = len(text.encode()) + _LINE_COST
        at = int(line["__REALTIME_TIMESTAMP"]) // 1000
        apart = batch and abs(at - batch[0][0]) > BATCH_MILLISECONDS
        if batch and (apart or len(batch) == BATCH_LINES or size + cost > BATCH_BYTES):
            yield sorted(batch, key=lambda event: event[0]), cursor
            batch, size = [], 0
        batch.append((at, text))
        size, cursor = size + cost, line["__CURSOR"]
    if batch:
        yield sorted(batch, key=lambda event: event[0]), cursor
