"""What is installed on a machine: the server's release, a user, folders and units."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import SERVER_NAME, RefusedError, last_line, remove, sync, write
from nats_platform.node.server import UNIT, systemctl
from nats_platform.node.settings import Settings
from nats_platform.node.units import METRICS_TIMER, units

_KEPT = 2
_MEMORY = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Archive:
    """A file in a bucket of assets."""

    bucket: str
    key: str
    sha256: str

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Archive:
        """Read where it is."""
        archive = cls(str(plain["bucket"]), str(plain["key"]), str(plain["sha256"]))
        if not re.fullmatch("[0-9a-f]{64}", archive.sha256):
            raise ValueError(f"{archive.sha256!r} is no SHA-256")
        return archive


def install_server(settings: Settings, archive: Archive) -> str:
    """Install a release of the server and make it the one that starts next; return what was done."""
    releases = settings.installed / "releases"
    place = releases / archive.sha256
    if not (place / SERVER_NAME).exists():  # the folder gets its name when it is whole
        new = _empty(releases / f".new-{archive.sha256}")
        Bucket(archive.bucket, Aws(settings.region)).fetch(archive.key, new / "archive.zip", sha256=archive.sha256)
        with zipfile.ZipFile(new / "archive.zip") as file:
            file.extract(SERVER_NAME, new)
        (new / "archive.zip").unlink()
        (new / SERVER_NAME).chmod(0o755)
        sync(new / SERVER_NAME)
        new.chmod(0o755)
        new.rename(place)
        sync(releases)
    done = _point(settings.installed / "current", Path("releases") / archive.sha256)
    _remove_old(releases, place)
    return f"installed {archive.sha256[:12]}" if done else f"has {archive.sha256[:12]}"


def make_user(settings: Settings) -> None:
    """Make the user that the server runs as, who can log in nowhere and owns nothing but its data."""
    try:
        pwd.getpwnam(settings.owner)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--home-dir", str(settings.data)]
        command += ["--shell", "/sbin/nologin", settings.owner]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise RefusedError(f"useradd {settings.owner}: {last_line(done.stderr)}") from None


def make_folders(settings: Settings) -> None:
    """Let the server's user write on the data disk; everything else is root's."""
    owner = pwd.getpwnam(settings.owner)
    data = settings.data
    if data.stat().st_uid != owner.pw_uid:
        # A machine image of another day may have numbered its users otherwise. The folder itself comes last: it says that all is done.
        for path in (*data.rglob("*"), data):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    data.chmod(0o750)


def install_units(settings: Settings) -> None:
    """Write what systemd reads, and have it read that where it changed."""
    folder = settings.root / "etc/systemd/system"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = _MEMORY.search(Path("/proc/meminfo").read_text(encoding="ascii"))
    assert found is not None  # noqa: S101 - every kernel tells
    changed = False
    for name, text in units(settings, memory_mib=int(found[1]) // 1024).items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write(path, text)
            path.chmod(0o644)
            changed = True
    if changed:
        systemctl("daemon-reload")
    systemctl("enable", "--quiet", UNIT)
    systemctl("enable", "--quiet", "--now", METRICS_TIMER)


def _empty(folder: Path) -> Path:
    remove(folder)
    folder.mkdir(mode=0o755, parents=True)
    return folder


def _point(link: Path, target: Path) -> bool:
    """Have a link name something, in one step; tell whether it did not."""
    if link.is_symlink() and link.readlink() == target:
        return False
    new = link.with_name(f".new-{link.name}")
    remove(new)
    new.symlink_to(target)
    new.replace(link)
    sync(link.parent)
    return True


def _remove_old(folder: Path, held: Path) -> None:
    """Keep the last two: a roll that is given up goes back to the one before."""
    old = sorted(folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[_KEPT:]:
        if path != held:
            remove(path)
