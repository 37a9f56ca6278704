"""Put Debian's Redis into `.build/redis` without installing anything, for the tests that need a cache.

Run by the set-up. A machine that cannot have it is told what to do, and the set-up goes on: nothing but those tests needs it.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".build" / "redis"
MISSING = FOLDER / "missing.txt"
SERVERS = ("valkey-server", "redis-server")
PACKAGES = ("redis-server", "redis-tools")
DEADLINE_SECONDS = 120
HELP = "install redis-server or valkey-server, 7.0 or newer and with TLS (Debian, Ubuntu: apt-get install redis-server)"


def main() -> None:
    """Fetch and unpack, unless a server is installed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    if any(shutil.which(name) for name in SERVERS):
        return
    if not all(shutil.which(name) for name in ("apt-get", "apt-cache", "dpkg-deb", "dpkg-query")):
        _tell(f"this is no Debian ({platform.platform()})")
        return
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        # The machine's lists of packages first; where they are gone, as in images of containers, lists of our own.
        for options in ([], _own_lists(Path(scratch))):
            try:
                _unpack(Path(scratch), options)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                reason = str(error.stderr or error)
            else:
                return
    shutil.rmtree(FOLDER / "root", ignore_errors=True)
    _tell(reason.strip())


def _own_lists(scratch: Path) -> list[str]:
    for name in ("lists/partial", "archives/partial"):
        (scratch / name).mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}", "-o", "APT::Sandbox::User="]


def _unpack(scratch: Path, options: Sequence[str]) -> None:
    if options:
        _run(["apt-get", *options, "update"], scratch)
    depends = _run(["apt-cache", *options, "depends", "--no-recommends", "--no-suggests", *PACKAGES], scratch)
    needed = {line.split(":")[1].strip() for line in depends.splitlines() if line.strip().startswith("Depends:")}
    missing = [
        name for name in sorted(needed - set(PACKAGES)) if name.startswith(("lib", "lua")) and not _is_there(name)
    ]
    _run(["apt-get", *options, "download", *PACKAGES, *missing], scratch)
    for package in sorted(scratch.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(FOLDER / "root")], scratch)


def _is_there(package: str) -> bool:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],  # noqa: S607 - Debian's own, wherever it has it
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    return asked.stdout.strip() == "installed"


def _run(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True
    ).stdout


def _tell(reason: str) -> None:
    """Leave a word to the set-up, which shows it, and to the tests, which fail with it."""
    MISSING.write_text(f"no cache server for the tests of the cache: {reason}\n  {HELP}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
