"""Start, find, ask and stop the plane: one process of its own, which outlives the command that started it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import project
from fleet.children import end_child
from fleet.errors import InputError, WantingError
from fleet.local.plane.names import MINUTE_SECONDS, RECORD
from fleet.local.plane.processes import end_marked
from fleet.local.recorded import RecordedProcess
from fleet.local.server import LocalAws
from fleet.progress import Step

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 90
ASK_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_TOLD_LOG_LINES = 20
_LOG = "supervisor.log"


@dataclass(frozen=True, slots=True)
class RunningPlane:
    """A plane that runs."""

    pid: int
    control: str
    token: str
    minute_seconds: float
    has_cache: bool

    def ask(self, name: str, /, *, seconds: float = ASK_SECONDS, **arguments: Any) -> Any:
        """Ask the supervisor something, or have it do something.

        Raises:
            InputError: It cannot be done so.
            WantingError: It could not be done, or the plane does not answer.
        """
        request = urllib.request.Request(  # noqa: S310 - loopback, from the record
            f"{self.control}/{name}",
            data=json.dumps(arguments).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method="POST",
        )
        # No proxy of the user's gets what is meant for loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                told = json.load(error)
            kind = InputError if told.get("exit_code") == InputError.exit_code else WantingError
            raise kind(told["error"]) from error
        except OSError as error:
            raise WantingError(f"the local plane does not answer: {error}") from error


class LocalPlane:
    """The plane over one folder.

    Args:
        state: Its folder.
        aws: The local AWS that it follows.
        command: Program that supervises, without the options; the tests give another one.
        sources: Where that program's code stands.
    """

    def __init__(
        self,
        state: Path = project.LOCAL_PLANE_STATE,
        aws: LocalAws | None = None,
        command: Sequence[str] = (sys.executable, "-m", "fleet.local.plane"),
        sources: Sequence[Path] = (project.ROOT / "fleet" / "local",),
    ) -> None:
        self.state = state
        self.log = state / _LOG
        self._aws = aws or LocalAws()
        self._command = command
        self._sources = sources
        self._recorded = RecordedProcess(state / RECORD, ["--state", str(state)])

    def running(self) -> RunningPlane | None:
        """Return the plane that runs, if there is one."""
        record = self._recorded.record()
        if record is None or self._recorded.process() is None:
            return None
        try:
            return RunningPlane(**{key: record[key] for key in RunningPlane.__slots__})
        except KeyError:
            return None

    def asked(self) -> RunningPlane:
        """Return the plane that runs.

        Raises:
            InputError: None does.
        """
        plane = self.running()
        if plane is None:
            raise InputError("the local plane does not run\n  start it: fleet local up")
        return plane

    def start(
        self,
        step: Step,
        *,
        minute_seconds: float | None = None,
        has_cache: bool | None = None,
        holds_tasks: bool = False,
    ) -> RunningPlane:
        """Return the plane that runs, started where none does; what it is to run comes up afterwards.

        Args:
            step: Told of it.
            minute_seconds: How long a minute of metrics and alarms takes; as it is where a plane runs, or else a minute.
            has_cache: Whether a cache is run; as it is where a plane runs, or else there is one.
            holds_tasks: Whether one that is started starts no task until `release` is asked of it.

        Raises:
            InputError: One runs that was started otherwise.
            WantingError: It did not come up in time; with the end of its log.
        """
        plane = self.running()
        if plane and self._recorded.runs_older_code_than(*self._sources):
            step.note("its code has changed since it was started: it starts anew")
            plane = None
        if plane:
            if has_cache not in {None, plane.has_cache}:
                ran = "with" if plane.has_cache else "without"
                raise InputError(f"the local plane runs {ran} a cache\n  stop it first: fleet local down")
            if minute_seconds is not None:
                plane.ask("settings", minute_seconds=minute_seconds)
            step.outcome("runs already")
            return plane
        self.stop()
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        child = self._spawn(minute_seconds or MINUTE_SECONDS, has_cache=has_cache is not False, holds_tasks=holds_tasks)
        try:
            plane = self._wait_until_up(child)
        except BaseException:
            end_child(child)
            end_marked(self.state)
            raise
        # It is left running on purpose; Python would warn of a child that is merely forgotten.
        child.returncode = 0
        return plane

    def stop(self, *, forget: bool = False) -> bool:
        """End the plane and all that it runs, also what one that was killed has left; tell whether anything ran.

        Args:
            forget: Remove its folder, too.
        """
        ran = self._recorded.end(STOP_DEADLINE_SECONDS)
        left = end_marked(self.state)
        self._recorded.path.unlink(missing_ok=True)
        if forget:
            shutil.rmtree(self.state, ignore_errors=True)
        return ran or left > 0

    def _spawn(self, minute_seconds: float, *, has_cache: bool, holds_tasks: bool) -> subprocess.Popen[bytes]:
        options = ["--aws-state", str(self._aws.state), "--minute-seconds", str(minute_seconds)]
        if not has_cache:
            options.append("--no-cache")
        if holds_tasks:
            options.append("--hold-tasks")
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [*self._command, *options, "--state", str(self.state)],
                cwd=project.ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _wait_until_up(self, child: subprocess.Popen[bytes]) -> RunningPlane:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while time.monotonic() < deadline:
            # Another start may have won; whose plane it is does not matter.
            if plane := self.running():
                return plane
            if child.poll() is not None:
                raise WantingError(f"the local plane ended with {child.returncode} at its start\n{self._log_end()}")
            time.sleep(_LOOK_SECONDS)
        raise WantingError(f"the local plane did not come up within {START_DEADLINE_SECONDS} s\n{self._log_end()}")

    def _log_end(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join([*(f"  {line}" for line in lines[-_TOLD_LOG_LINES:]), f"  the whole log: {self.log}"])


def _environment() -> dict[str, str]:
    """Return the supervisor's environment: without the user's AWS, and with bytecode kept, since what it runs imports a lot."""
    dropped = {"PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in dropped}
