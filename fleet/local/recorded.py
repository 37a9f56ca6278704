"""A process that tells of itself in a file, and is known again by it: never somebody else's that has its number by now."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

_CLOCK_TOLERANCE_SECONDS = 5


class RecordedProcess:
    """The process of a record.

    Args:
        path: The file, a JSON object with the process's `pid`.
        arguments: What its command line ends with.
    """

    def __init__(self, path: Path, arguments: Sequence[str]) -> None:
        self.path = path
        self._arguments = list(arguments)

    def record(self) -> Mapping[str, Any] | None:
        """Return what it tells of itself, whether it runs or not."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def process(self) -> psutil.Process | None:
        """Return the process, unless its number belongs to somebody else by now.

        A machine that was restarted hands out the same numbers again, so neither the number nor the command line alone is
        proof: the process must have the arguments and be no younger than the file that it wrote.
        """
        record = self.record()
        if record is None:
            return None
        try:
            process = psutil.Process(record["pid"])
            younger = process.create_time() > self.path.stat().st_mtime + _CLOCK_TOLERANCE_SECONDS
            arguments = process.cmdline()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError, KeyError, TypeError, ValueError):
            return None
        ours = arguments[-len(self._arguments) :] == self._arguments
        return process if alive and ours and not younger else None

    def runs_older_code_than(self, *sources: Path) -> bool:
        """Tell whether it runs and was started before its code changed: an update of the checkout would not count otherwise."""
        process = self.process()
        if process is None:
            return False
        started = process.create_time()
        return any(path.stat().st_mtime > started for folder in sources for path in folder.rglob("*.py"))

    def end(self, deadline_seconds: float) -> bool:
        """End it, asked first and then forced, and tell whether it ran."""
        process = self.process()
        if process is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(deadline_seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(deadline_seconds)
        self.path.unlink(missing_ok=True)
        return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, so that a reader finds it whole or not at all."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)
