"""The cache's server on this machine: the installed one, or Debian's, which the set-up unpacks into `.build/redis`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet import project
from fleet.errors import InputError

UNPACKED = project.ROOT / ".build" / "redis"
SERVERS = ("valkey-server", "redis-server")
_HELP = (
    "install valkey-server or redis-server, 7.0 or newer and with TLS (Debian, Ubuntu: apt-get install redis-server), "
    "or have the set-up fetch Debian's: rm -rf .build/redis && make setup"
)


@dataclass(frozen=True, slots=True)
class CacheProgram:
    """A server's program, and what its environment must have besides."""

    path: str
    environment: Mapping[str, str]


def find_cache_program(unpacked: Path = UNPACKED) -> CacheProgram:
    """Return the server's program.

    Raises:
        InputError: There is none; with how to get one.
    """
    for name in SERVERS:
        if installed := shutil.which(name):
            return CacheProgram(installed, {})
    fetched = unpacked / "root/usr/bin/redis-server"
    if fetched.exists():
        libraries = os.pathsep.join(str(path) for path in (unpacked / "root/usr/lib").glob("*-linux-gnu*"))
        return CacheProgram(str(fetched), {"LD_LIBRARY_PATH": libraries})
    missing = unpacked / "missing.txt"
    why = missing.read_text(encoding="utf-8").splitlines()[0] if missing.exists() else "no server is installed"
    raise InputError(f"no cache can run here: {why}\n  {_HELP}\n  or go without a cache: --no-cache")
