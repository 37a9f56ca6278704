"""Find a Redis or Valkey server for the tests of the cache, or unpack Debian's into `.build/`, without root.

Run before the tests; where neither is possible it says so, and the tests that need the server fail with what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / ".build" / "redis"
# `redis-server` is a name of a program in redis-tools; these two libraries are all that it needs beside a bare Debian.
PACKAGES = ("redis-tools", "liblzf1", "libjemalloc2")
PROGRAM = "usr/bin/redis-check-rdb"
APT_SECONDS = 120
REMEDY = "install one: apt-get install redis-server (or valkey-server), then run the tests again"


class CacheServer(NamedTuple):
    """A server: the program, and what its environment needs."""

    program: Path
    environment: dict[str, str]


def find() -> CacheServer | None:
    """Return the server on PATH, or the unpacked one; none where there is neither."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return CacheServer(Path(found), {})
    # A program is what it is called: under this name it checks files, and under that it serves.
    program = UNPACKED / "redis-server"
    if not program.is_symlink():
        return None
    libraries = ":".join(map(str, sorted(UNPACKED.glob("root/usr/lib/*"))))
    return CacheServer(program, {"LD_LIBRARY_PATH": libraries})


def fetch() -> str:
    """Unpack Debian's server; return what was in the way, empty where nothing was."""
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not here"
    UNPACKED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED.parent) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "new" / "root").mkdir(parents=True)
        try:
            _download(folder)
            for package in sorted(folder.glob("*.deb")):
                _run(["dpkg-deb", "-x", str(package), str(folder / "new" / "root")], folder)
        except (OSError, subprocess.SubprocessError) as error:
            told = getattr(error, "stderr", "") or str(error)
            return str(told).strip().splitlines()[-1]
        (folder / "new" / "redis-server").symlink_to(Path("root") / PROGRAM)
        shutil.rmtree(UNPACKED, ignore_errors=True)
        (folder / "new").rename(UNPACKED)
    return ""


def _download(folder: Path) -> None:
    """Download the packages, with lists of our own: the machine's may be missing, and are root's."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder / 'cache'}"]
    _run(["apt-get", *own, "-qq", "update"], folder)
    _run(["apt-get", *own, "-qq", "download", *PACKAGES], folder)


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=APT_SECONDS
    )


def main() -> int:
    """Have a server, if that is possible."""
    if find() is not None:
        return 0
    print("set-up: a cache server for the tests …", file=sys.stderr, flush=True)  # noqa: T201 (a script speaks)
    if reason := fetch():
        print(f"note: no cache server for the tests ({reason}); {REMEDY}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
