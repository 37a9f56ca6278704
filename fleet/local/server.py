"""Start, find and stop the local AWS: one process of its own, which outlives the command that started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleet import project
from fleet.children import end_child
from fleet.errors import WantingError
from fleet.local.recorded import RecordedProcess
from fleet.progress import Step

ENVIRONMENT = "local"
"""Name of the environment that lives in the local AWS; every other one lives in AWS."""

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 60
_LOOK_SECONDS = 0.1
_TOLD_LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A local AWS that answers."""

    endpoint: str
    region: str
    account: str
    pid: int


class LocalAws:
    """The local AWS over one state directory.

    Args:
        state: Directory that keeps what is deployed, the server's address and its log.
        command: Program that serves, without the options; the tests give another one.
        sources: Where that program's code stands.
    """

    def __init__(
        self,
        state: Path = project.LOCAL_AWS_STATE,
        command: Sequence[str] = (sys.executable, "-m", "local_aws"),
        sources: Path = project.ROOT / "local_aws",
    ) -> None:
        self.state = state
        self._sources = sources
        self.log = state / "server.log"
        self._command = [*command, "serve", "--state", str(state)]
        self._recorded = RecordedProcess(state / "server.json", self._command[-3:])

    def running(self) -> RunningServer | None:
        """Return the server that answers, if there is one."""
        server = self._server()
        return server if server and _answers(server.endpoint) else None

    def start(self, step: Step) -> RunningServer:
        """Return the server that runs, started where none does.

        Raises:
            WantingError: it did not come up in time; with the end of its log.
        """
        server = self.running()
        if server and self._recorded.runs_older_code_than(self._sources):
            step.note("its code has changed since it was started: it starts anew, with what is deployed there")
            server = None
        if server:
            step.outcome(f"runs already on {server.endpoint}")
            return server
        self.stop()  # one that is outdated, or alive and silent: it holds the state directory, and no other could start
        self._recorded.path.unlink(missing_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                self._command,
                cwd=project.ROOT,
                env=_server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            server = self._wait_until_up(child, step)
        except BaseException:
            end_child(child)
            raise
        # It is left running on purpose; Python would warn of a child that is merely forgotten.
        child.returncode = 0
        step.outcome(f"on {server.endpoint}")
        return server

    def stop(self, *, forget: bool = False) -> bool:
        """End the server, which saves its state first; tell whether one ran.

        Args:
            forget: Remove everything that is deployed there, too.
        """
        ran = self._recorded.end(STOP_DEADLINE_SECONDS)
        if forget:
            shutil.rmtree(self.state, ignore_errors=True)
        return ran

    def _wait_until_up(self, child: subprocess.Popen[bytes], step: Step) -> RunningServer:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        told = False
        while time.monotonic() < deadline:
            # Another start may have won; whose server it is does not matter, so the address is looked at first.
            if server := self.running():
                return server
            if child.poll() is not None:
                raise WantingError(f"the local AWS ended with {child.returncode} at its start\n{self._log_end()}")
            if not told and deadline - time.monotonic() < START_DEADLINE_SECONDS / 2:
                step.note(f"still waiting; its log is {self.log}")
                told = True
            time.sleep(_LOOK_SECONDS)
        raise WantingError(f"the local AWS did not answer within {START_DEADLINE_SECONDS} s\n{self._log_end()}")

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join([*(f"  {line}" for line in lines[-_TOLD_LOG_LINES:]), f"  the whole log: {self.log}"])
        return f"  its log: {self.log}"

    def _server(self) -> RunningServer | None:
        """Return the server of the address file if its process is alive and really is that server."""
        record = self._recorded.record()
        if record is None or self._recorded.process() is None:
            return None
        try:
            return RunningServer(**{key: record[key] for key in RunningServer.__slots__})
        except KeyError:
            return None


def environment_for(server: RunningServer) -> dict[str, str]:
    """Return the process environment that points every AWS SDK at the local AWS, and at no account of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    loopback = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1", "localhost"]))
    return {
        **kept,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        # No file of the user's is read: a profile there could name another endpoint or a role to assume.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": loopback,
        "no_proxy": loopback,
    }


def as_record(server: RunningServer) -> dict[str, Any]:
    """Return a server as what `fleet local status --format json` prints."""
    return asdict(server)


def _server_environment() -> dict[str, str]:
    """Return the server's environment: without the user's AWS, and with bytecode kept, since it imports a lot."""
    dropped = {"PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in dropped}


def _answers(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2):
            return True
    except OSError:
        return False
