"""The agent as one file that Python runs: our code for the machines, and nats-py, which is all Python."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from nats_platform.packages import ROOT, Member, Package, PackageMissingError, pack

OURS = ("nats_platform/__init__.py", "nats_platform/node")
START = "nats_platform/node/start.py"


def build_agent(folder: Path) -> Package:
    """Pack the agent into a folder.

    Raises:
        PackageMissingError: nats-py is not installed.
    """
    members = {path: Member(ROOT / path) for path in (*_ours(), START)}
    members["__main__.py"] = members.pop(START)
    nats = _nats_py()
    members |= {str(path.relative_to(nats.parent)): Member(path) for path in nats.rglob("*.py")}
    return pack(members, folder, "agent", ".pyz")


def _ours() -> Iterator[str]:
    for path in OURS:
        place = ROOT / path
        files = [place] if place.is_file() else sorted(place.glob("*.py"))
        yield from (str(file.relative_to(ROOT)) for file in files)


def _nats_py() -> Path:
    """Return the installed library: as locked by checksum, and of no platform, so its files are the same everywhere."""
    found = importlib.util.find_spec("nats")
    if found is None or not found.submodule_search_locations:
        raise PackageMissingError(ROOT / ".venv")
    return Path(found.submodule_search_locations[0])
