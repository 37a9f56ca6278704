"""One machine of the cluster, on this one: a folder for the root of its disk, and what Systems Manager and user data run there.

Its user data are the instance's own. Of the slot's script, which takes address and disk, the plane does the part: the disk is a
folder by the volume's name, which outlives the machine, and the address a port. Everything from there on is the very script that
boots a machine in AWS, with the agent from the bucket. What is another here stands in `agent.env` after what user data wrote there,
and where scripts name `/usr/local/bin`, they find the machine's own, with what stands for AWS's command line and for systemd's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet import project
from fleet.local.plane.names import RECORD
from fleet.local.plane.places import Places
from fleet.local.plane.plane import Plane
from fleet.local.plane.processes import MARK
from fleet.local.plane.units import Units, variables_of

GATE_SPAN_SECONDS = 3
"""How long all must have been well here for a gate to open: a node that was killed is well for less, before it is so for good."""

_TOOLS = ("aws", "journalctl", "systemctl")
_LOCAL_BIN = "/usr/local/bin"
_AGENT_ENV = re.compile(r"cat >/etc/nats/agent\.env\.new <<'(\w+)'\n(.*?\n)\1\n", re.DOTALL)
_BOOT = re.compile(r"bash -s -- boot <<'(\w+)'\n.*?\n?\1(?=\n|$)", re.DOTALL)
_DISK = re.compile(r"\bDISK_ID=(vol-[0-9a-z]+)")
_LONGEST_OUTPUT = 24_000  # characters, of what Systems Manager gives back
_LONGEST_ERRORS = 8_000
_END_SECONDS = 5.0


class NoMachineError(Exception):
    """User data are not those of a NATS machine."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: str
    """Systems Manager's word for it: Success, Failed or TimedOut."""
    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class UserData:
    """What an instance is told at its first boot, as far as a local machine takes it."""

    agent_env: str
    """What is written there of who the machine is."""
    boot: str
    """The script that fetches the agent and has it boot."""
    disk: str
    """The volume with the slot's data."""

    @classmethod
    def read(cls, encoded: str) -> UserData:
        """Read it as EC2 gives it.

        Raises:
            NoMachineError: It is something else.
        """
        try:
            text = base64.b64decode(encoded).decode()
        except ValueError as error:
            raise NoMachineError(f"the user data are no text in base64: {error}") from error
        env, boot, disk = _AGENT_ENV.search(text), _BOOT.search(text), _DISK.search(text)
        if env is None or boot is None or disk is None:
            raise NoMachineError("the user data take no slot, write no agent.env or boot no agent")
        read = cls(env[2], boot[0], disk[1])
        if missing := {"BUCKET", "ENVIRONMENT"} - read.variables.keys():
            raise NoMachineError(f"agent.env does not say {', '.join(sorted(missing))}")
        return read

    @property
    def variables(self) -> Mapping[str, str]:
        """Who the machine is."""
        return variables_of(self.agent_env)


class Machine:
    """A machine that runs, from its instance's start to its end."""

    def __init__(self, node: str, instance: str, user_data: UserData, places: Places, plane: Plane) -> None:
        self.node = node
        self.instance = instance
        self.detail = "boots"
        """How its boot goes, or went."""
        self._user_data = user_data
        self._places = places
        self.root = places.root(node)
        self._environment = self._variables(plane)
        self.units = Units(node, self.root, self._environment, plane)
        self._children: set[asyncio.subprocess.Process] = set()
        self._booting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make it as it is before its first boot, and begin to boot it."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("usr/local/bin", "var/lib", "var/log", "etc/nats", "run", "tmp"):
            (self.root / folder).mkdir(parents=True, mode=0o700)
        disk = self._places.folder / "disks" / self._user_data.disk
        disk.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.root / "var/lib/nats").symlink_to(disk)
        self._write_tools()
        agent_env = self.root / "etc/nats/agent.env"
        own = "".join(f"{name}='{value}'\n" for name, value in self._own_settings().items())
        agent_env.write_text(
            f"{self._user_data.agent_env}# What is another on a local machine:\n{own}", encoding="utf-8"
        )
        self._booting = asyncio.create_task(self._boot(), name=f"boot {self.node}")

    async def run(self, script: str, *, at_most_seconds: float) -> Ended:
        """Run a shell script as the machine's Systems Manager agent does."""
        # Taken as it is, but for where a machine has its own programs.
        text = script.replace(_LOCAL_BIN, f"{self.root}{_LOCAL_BIN}")
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            env={**self._environment, MARK: str(self._places.folder)},
            cwd=self.root / "tmp",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._children.add(child)
        try:
            async with asyncio.timeout(at_most_seconds):
                output, errors = await child.communicate(text.encode())
        except TimeoutError:
            return Ended("TimedOut", -1, "", f"the command did not end within {at_most_seconds:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            self._children.discard(child)
        code = child.returncode or 0
        told = output.decode(errors="replace")[:_LONGEST_OUTPUT], errors.decode(errors="replace")[:_LONGEST_ERRORS]
        return Ended("Success" if code == 0 else "Failed", code, *told)

    async def end(self) -> None:
        """Switch it off: what runs ends, its disk stays."""
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        if self._booting:
            self._booting.cancel()
            await asyncio.gather(self._booting, return_exceptions=True)
        await self.units.end(_END_SECONDS)

    async def _boot(self) -> None:
        ended = await self.run(self._user_data.boot, at_most_seconds=3600)
        (self.root / "var/log/cloud-init-output.log").write_text(ended.errors + ended.output, encoding="utf-8")
        said = [line for line in (ended.output if ended.code == 0 else ended.errors).splitlines() if line.strip()]
        self.detail = said[-1] if said else f"boot ended with {ended.code}"

    def _variables(self, plane: Plane) -> dict[str, str]:
        """Return what each process of the machine has in its environment; a delivery of certificates brings no `agent.env`."""
        root, ports = self.root, self._places.nodes[self.node]
        return {
            "PATH": f"{root}{_LOCAL_BIN}:/usr/bin:/bin",
            "HOME": str(root / "tmp"),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            "AGENT_ENV": f"{root}/etc/nats/agent.env",
            "AGENTS": f"{root}/opt/nats/agent",
            "NATS_TLS": f"{root}/etc/nats/tls",
            "NATS_CONFIG": f"{root}/etc/nats/nats.conf",
            "NATS_PID_FILE": f"{root}/run/nats/nats.pid",
            "NATS_MONITOR": f"http://127.0.0.1:{ports.monitor}",
            "NATS_OWNER": pwd.getpwuid(os.getuid()).pw_name,
            "MACHINE_NODE": self.node,
            "MACHINE_ROOT": str(root),
            "MACHINE_CONTROL": str(plane.folder / RECORD),
            "MACHINE_AWS": str(plane.aws.state / "server.json"),
        }

    def _own_settings(self) -> Mapping[str, str]:
        """Return what the agent takes for another value here, whoever calls it."""
        ports = self._places.nodes[self.node]
        own = {
            "ROOT": str(self.root),
            "NATS_CLIENT_PORT": str(ports.client),
            "GATE_SPAN_SECONDS": str(GATE_SPAN_SECONDS),
        }
        return {**own, **{name: self._environment[name] for name in ("NATS_MONITOR", "NATS_OWNER")}}

    def _write_tools(self) -> None:
        """Put what a machine's image has where its scripts look first."""
        folder, python = self.root / _LOCAL_BIN[1:], shlex.quote(sys.executable)
        for tool in _TOOLS:
            load = (
                f"import sys; sys.path.insert(0, {str(project.ROOT)!r}); "
                f"from fleet.local.plane.tools.{tool} import main; sys.exit(main(sys.argv[1:]))"
            )
            _write(folder / tool, f'exec {python} -IS -c {shlex.quote(load)} "$@"')
        # The slot's disk is there from the start, or the machine would not have been started.
        _write(folder / "mountpoint", f"test -d {shlex.quote(str(self.root))}/var/lib/nats")
        _write(folder / "python3", f'exec {python} "$@"')


def _write(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o700)
