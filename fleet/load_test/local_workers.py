"""Workers as processes on this machine, told what the task definition in the local AWS tells them but for where things are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog import names
from fleet import project
from fleet.children import end_child
from load_test.plan import Plan

_TOLD_LINES = 3


class LocalWorkers:
    """Workers of one run.

    Args:
        variables: What every worker is told.
        logs: Folder for their logs.
        command: What a worker is, for the tests.
    """

    ready_seconds = 60.0
    lead_seconds = 2.5

    def __init__(
        self,
        variables: Mapping[str, str],
        logs: Path,
        command: Sequence[str] = (sys.executable, "-m", "load_test"),
    ) -> None:
        self.variables = variables
        self._logs = logs
        self._command = command
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, plan: Plan) -> None:
        """Start them all."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for number in range(plan.workers):
            own = {"LOAD_TEST_PREFIX": names.load_test_run(plan.run), "LOAD_TEST_WORKER": str(number)}
            with self._log(number).open("wb") as log:
                child = subprocess.Popen(
                    self._command,
                    cwd=project.ROOT,
                    env={"PATH": os.environ.get("PATH", ""), **self.variables, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._children.append(child)

    def ended(self) -> dict[int, str]:
        """Return those that have ended, and what they said last."""
        return {
            number: f"exit code {child.returncode}: {self._last_words(number)}"
            for number, child in enumerate(self._children)
            if child.poll() is not None
        }

    def stop(self) -> None:
        """End those that have not ended."""
        for child in self._children:
            if child.poll() is None:
                end_child(child)

    def _log(self, number: int) -> Path:
        return self._logs / f"worker-{number:03}.log"

    def _last_words(self, number: int) -> str:
        lines = self._log(number).read_text("utf-8", errors="replace").splitlines()
        return " / ".join(lines[-_TOLD_LINES:]) or "nothing was said"
