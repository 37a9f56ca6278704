"""Progress on stderr: a line a step, with what came of it and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.cli.output import say, styled


class PrintedStep:
    """A step whose line stays open for its outcome, unless notes come in between."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._outcome = "done"
        self._open = True
        self._started = time.monotonic()
        sys.stderr.write(f"{title} … ")
        sys.stderr.flush()

    def outcome(self, text: str) -> None:
        """Say how it ended."""
        self._outcome = text

    def note(self, text: str) -> None:
        """Tell something while it goes on, below the step's line."""
        self._break_line()
        say("\n".join(f"  {line}" for line in text.splitlines()))

    def end(self, *, failed: bool) -> None:
        """Print outcome and time."""
        outcome = styled("failed", "red", sys.stderr) if failed else self._outcome
        line = f"{outcome} ({time.monotonic() - self._started:.1f} s)"
        say(line if self._open else f"{self._title}: {line}")

    def _break_line(self) -> None:
        if self._open:
            say("")
            self._open = False


class PrintedProgress:
    """Prints steps."""

    @contextmanager
    def step(self, title: str) -> Iterator[PrintedStep]:
        """Begin a step, which ends with the `with` block."""
        step = PrintedStep(title)
        try:
            yield step
        except BaseException:
            step.end(failed=True)
            raise
        step.end(failed=False)

    def note(self, text: str) -> None:
        """Tell something between steps."""
        say(text)
