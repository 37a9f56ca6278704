"""State on disk: one file, written whole, so that a restart, also one after a kill, finds the deployment."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict

from local_aws import model, pickling
from local_aws.errors import StateError
from local_aws.model import Stack
from local_aws.resources.contract import Made

log = logging.getLogger(__name__)

_TRIES = 20


def _format() -> str:
    """Return a name for the shape of what is kept, so that a state of another shape is refused and not half understood."""
    kept = [*vars(model).values(), Made]
    shapes = {
        kind.__name__: [field.name for field in fields(kind)]
        for kind in kept
        if isinstance(kind, type) and is_dataclass(kind)
    }
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()[:12]


FORMAT = _format()


def _versions() -> dict[str, Any]:
    """Return what must be the same for a state to be read again."""
    return {
        "format": FORMAT,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "moto": importlib.metadata.version("moto"),
    }


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a state file held, beside moto's back ends, which are in their places already."""

    stacks: dict[str, Stack]
    port: int | None


class StateDirectory:
    """The directory of one server: its state, its address for others, and the lock that keeps a second server out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / "state.bin"
        self._address = path / "server.json"
        self._lock_file: int | None = None

    def lock(self) -> None:
        """Take the directory for this process; the kernel gives it back when the process ends, however that is.

        Raises:
            StateError: another server has it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{self.path} cannot be used for the state of the local AWS: {error.strerror}") from error
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_file)
            self._lock_file = None
            raise StateError(
                f"a local AWS runs on {self.path} already{self._who()}; stop it first, or give another directory"
            ) from error
        # A server that was killed could not take its address back, and whoever waits for this one must not find that.
        self.retract()

    def _who(self) -> str:
        try:
            address = json.loads(self._address.read_text(encoding="utf-8"))
            return f" (pid {address['pid']}, {address['endpoint']})"
        except (OSError, ValueError, KeyError):
            return ""

    def unlock(self) -> None:
        """Give the directory back."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def publish(self, address: Mapping[str, Any]) -> None:
        """Tell others where the server is."""
        self._write(self._address, json.dumps(address, indent=2).encode() + b"\n")

    def retract(self) -> None:
        """Tell others that there is no server any more."""
        self._address.unlink(missing_ok=True)

    def save(self, stacks: Mapping[str, Stack], port: int) -> None:
        """Write everything.

        Other threads may change what is being written, if the gate could not be closed: then it is tried again.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                payload = pickling.dumps({"backends": _backends(), "stacks": dict(stacks)})
            except RuntimeError:  # a dictionary changed its size while it was written
                if attempt == _TRIES:
                    raise
                continue
            break
        header = {**_versions(), "port": port, "sha256": hashlib.sha256(payload).hexdigest()}
        self._write(self._state, json.dumps(header).encode() + b"\n" + payload)

    def load(self) -> Loaded:
        """Read everything, and put moto's back ends in their places; without a state file there is nothing to read.

        Raises:
            StateError: the file is damaged, or another version wrote it.
        """
        try:
            content = self._state.read_bytes()
        except FileNotFoundError:
            return Loaded({}, None)
        except OSError as error:
            raise StateError(f"{self._state} cannot be read: {error.strerror}") from error
        head, _, payload = content.partition(b"\n")
        header = self._header(head)
        if header.get("sha256") != hashlib.sha256(payload).hexdigest():
            raise self._unusable("it is damaged")
        try:
            held = pickling.loads(payload)
            for module, service, account, region, backend in held["backends"]:
                dict.__setitem__(pickling.service_backends(module, service)[account], region, backend)
        except Exception as error:
            log.debug("reading %s", self._state, exc_info=True)
            raise self._unusable(f"it cannot be read back ({type(error).__name__}: {error})") from error
        return Loaded(held["stacks"], header.get("port"))

    def _header(self, head: bytes) -> dict[str, Any]:
        try:
            header = json.loads(head)
            if not isinstance(header, dict):
                raise ValueError("no object")  # noqa: TRY301, TRY004 - a damaged file, whatever stands in it
        except ValueError as error:
            raise self._unusable("it is damaged") from error
        for name, ours in _versions().items():
            if header.get(name) != ours:
                raise self._unusable(f"it was written with {name} {header.get(name)}, and this is {name} {ours}")
        return header

    def _unusable(self, why: str) -> StateError:
        return StateError(
            f"the state of the local AWS in {self._state} cannot be used: {why}; remove the file to begin anew"
        )

    def _write(self, target: Path, content: bytes) -> None:
        scratch = target.with_name(f"{target.name}.new")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)


def _backends() -> list[tuple[str, str, str, str, Any]]:
    return [
        (type(backend).__module__, service.service_name, account, region, backend)
        for service in list(BackendDict._instances)  # type: ignore[misc]  # noqa: SLF001 - the one list of the services in use
        for account, region, backend in list(service.iter_backends())
    ]
