"""The server's configuration on this machine: tried, switched by a rename, taken up without a restart, proved by its digest.

    etc/nats/configurations/SHA256.conf    what was fetched and tried; never changed again
    etc/nats/nats.conf                     a link to the one that holds
    etc/nats/unproven                      there from before the switch until the proof: the one to go back to

A reload that the server refuses looks like one that it took, so its digest is asked for, before and after. What it takes up only
when it starts waits for that, which a roll brings about.
"""  # fmt: skip

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats_platform.node import at_start
from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import (
    FAULTS,
    RefusedError,
    checksum,
    last_line,
    reload,
    remove,
    sync,
    write,
)
from nats_platform.node.server import UNIT, Monitor, tried, wait_until
from nats_platform.node.settings import Settings
from nats_platform.node.turn import turn

KEPT = 3


@dataclass(frozen=True)
class Wanted:
    """A configuration in the bucket, by what cannot change of it."""

    key: str
    version_id: str | None
    sha256: str

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Wanted:
        """Read it.

        Raises:
            RefusedError: It is none.
        """
        try:
            wanted = cls(str(plain["key"]), plain.get("version_id"), str(plain["sha256"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise RefusedError(f"this names no configuration: {type(error).__name__}: {error}") from error
        if not re.fullmatch("[0-9a-f]{64}", wanted.sha256):
            raise RefusedError(f"{wanted.sha256!r} is no SHA-256 of a configuration")
        return wanted


def configure(settings: Settings, wanted: Wanted) -> str:
    """Bring the server to a configuration, from wherever an earlier run ended; say how that went.

    Raises:
        RefusedError: It is refused; what held before holds again.
    """
    machine = settings.machine
    settings.config.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    machine.tls.mkdir(mode=0o755, exist_ok=True)
    with turn(machine):
        return _bring_about(settings, wanted)


def _bring_about(settings: Settings, wanted: Wanted) -> str:
    machine, pid = settings.machine, settings.machine.pid()
    place = _fetched(settings, wanted)
    digest = tried(settings.program, place)
    unproven = settings.config.with_name("unproven")
    if _current(settings) == place:
        if pid is None:
            remove(unproven)  # nothing runs on another one that would have to be gone back to
            return f"unchanged: {digest}; the server does not run"
        if not unproven.exists() and not _unloaded(settings, digest):
            return f"unchanged: {digest}"
    if pid is not None and (waiting := _waiting(settings, place)):
        _point(settings, place)
        remove(unproven)  # it was tried, and whatever server starts from here on reads it
        return f"waits: {digest}; the server takes up {', '.join(waiting)} only when it starts"
    back = unproven.read_text(encoding="utf-8") if unproven.exists() else str(_current(settings) or "")
    write(unproven, back)
    _point(settings, place)
    if pid is None:
        unproven.unlink()  # whatever server starts from here on reads this one
        return f"staged: {digest}; the server does not run, and takes it when it starts"
    try:
        reload(machine, pid)
        wait_until(lambda: _unloaded(settings, digest), seconds=machine.proof_seconds)
    except FAULTS as error:
        raise RefusedError(f"{error}{_log()}; {_put_back(settings, pid, back)}") from error
    unproven.unlink()
    _remove_old(settings)
    return f"configured: {digest}"


def _fetched(settings: Settings, wanted: Wanted) -> Path:
    """Return the file of a configuration, fetched where it is not here yet."""
    folder = settings.config.with_name("configurations")
    folder.mkdir(mode=0o755, exist_ok=True)
    place = folder / f"{wanted.sha256}.conf"
    if place.exists() and checksum(place) == wanted.sha256:
        return place
    new = folder / f".new-{os.getpid()}"
    try:
        bucket = Bucket(settings.bucket, Aws(settings.region))
        bucket.fetch(wanted.key, new, sha256=wanted.sha256, version_id=wanted.version_id)
        tried(settings.program, new)
        owner = pwd.getpwnam(settings.owner)
        os.chown(new, owner.pw_uid, owner.pw_gid)
        new.chmod(0o400)
        sync(new)
        new.replace(place)
        sync(folder)
    finally:
        for leftover in folder.glob(".new-*"):
            remove(leftover)
    return place


def _current(settings: Settings) -> Path | None:
    """Return the configuration that holds."""
    if not settings.config.is_symlink():
        return None
    return settings.config.parent / settings.config.readlink()


def _waiting(settings: Settings, place: Path) -> list[str]:
    """Return which settings of a configuration the server that runs cannot take up; nothing where it is not known on what it runs."""
    loaded = Monitor(settings.monitor).get("/varz").get("config_digest")
    for path in place.parent.glob("*.conf"):
        with contextlib.suppress(RefusedError):  # one of long ago, whose files are gone
            if tried(settings.program, path) == loaded:
                return at_start.differing(path.read_text(encoding="utf-8"), place.read_text(encoding="utf-8"))
    return []


def _point(settings: Settings, place: Path) -> None:
    """Make a configuration the one that holds, in one step."""
    new = settings.config.with_name(".new-link")
    remove(new)
    new.symlink_to(place.relative_to(settings.config.parent))
    new.replace(settings.config)
    sync(settings.config.parent)


def _unloaded(settings: Settings, digest: str) -> str:
    """Return what is wrong where the server does not run on a configuration."""
    found = Monitor(settings.monitor).get("/varz").get("config_digest")
    return "" if found == digest else f"the server runs on {found}, not on {digest}"


def _put_back(settings: Settings, pid: int, back: str) -> str:
    """Make the configuration that was there before hold again; say how that went."""
    unproven = settings.config.with_name("unproven")
    if not back:
        return "there was none before to put back"
    _point(settings, Path(back))
    try:
        digest = tried(settings.program, Path(back))
        if _unloaded(settings, digest):
            reload(settings.machine, pid)
            wait_until(lambda: _unloaded(settings, digest), seconds=settings.machine.proof_seconds)
    except FAULTS as error:
        return f"{Path(back).name} holds again, but: {error}"
    unproven.unlink()
    return f"{Path(back).name} holds again"


def _log() -> str:
    """Return the server's own last word on what it refused, where there is a journal."""
    command = ["journalctl", "--unit", UNIT, "--lines", "20", "--output", "cat", "--no-pager"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    errors = [line for line in told.splitlines() if "[ERR]" in line]
    return f"; it says: {last_line(errors[-1])}" if errors else ""


def _remove_old(settings: Settings) -> None:
    """Keep the last few configurations."""
    folder = settings.config.with_name("configurations")
    files = sorted(folder.glob("*.conf"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT:]:
        if path != _current(settings):
            path.unlink()
