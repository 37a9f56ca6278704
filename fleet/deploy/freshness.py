"""Whether an assembly was made of just what is here now, so that a deployment without changes need not synthesise again.

A synthesis writes the same bytes twice from the same input, so an assembly whose input is unchanged is the one that a new
synthesis would write. The local environment and the cost report make use of that; what goes to AWS is always synthesised anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from fleet import project

# Nothing in these has a part in the templates; below `.build/` only what the set-up fetched has.
_NO_INPUT = frozenset(
    {".git", ".local", ".venv", "__pycache__", "assets", "bench", "bench-twin", "cdk.out", "docs", "fleet", "local_aws",
     "node_modules", "tests", "tools"}
)  # fmt: skip
_STAMP = "input.sha256"


def input_digest(environment: str, catalog: Path) -> str:
    """Return a digest of all that a synthesis reads: sources, catalog, built assets, installed packages, the user's settings."""
    digest = hashlib.sha256(environment.encode())
    own_settings = [Path.home() / ".cdk.json", *sorted((project.ROOT / ".venv" / ".stamps").glob("*"))]
    for path in [*_sources(project.ROOT), catalog.resolve(), *own_settings]:
        if path.is_file():
            digest.update(f"\0{path}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_fresh(assembly: Path, digest: str) -> bool:
    """Tell whether an assembly was made of this input, wholly."""
    stamp = assembly / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == digest


def mark_fresh(assembly: Path, digest: str) -> None:
    """Note what an assembly was made of, once it is there."""
    (assembly / _STAMP).write_text(digest, encoding="utf-8")


def mark_stale(assembly: Path) -> None:
    """Forget what an assembly was made of, before it is written anew."""
    (assembly / _STAMP).unlink(missing_ok=True)


def _sources(directory: Path) -> Iterator[Path]:
    """Yield the files of the checkout in a fixed order, hidden folders of tools left out."""
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NO_INPUT and (not name.startswith(".") or name == ".build") and not name.endswith("_cache")
        )
        yield from (Path(folder) / name for name in sorted(files))
