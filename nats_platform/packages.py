"""Files that machines fetch by checksum: the same bytes on every machine that makes them, and named by what is in them."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Package:
    """A file, and the checksum by which it is fetched."""

    path: Path
    sha256: str


class PackageMissingError(Exception):
    """What goes into a package is not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not there; fetch it: make setup")
        self.folder = folder


@dataclass(frozen=True)
class Member:
    """A file to be packed."""

    source: Path
    mode: int = 0o644


def pack(members: Mapping[str, Member], folder: Path, name: str, ending: str) -> Package:
    """Pack files into one archive, without what differs from machine to machine: dates, owners, order.

    The archive is named by its content and appears whole, so that whoever packs at the same time shares it.
    """
    content = hashlib.sha256()
    for path, member in sorted(members.items()):
        content.update(f"{path}\0{member.mode}\0{_sha256(member.source)}\n".encode())
    archive = folder / f"{name}-{content.hexdigest()[:16]}{ending}"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            whole = Path(temporary) / archive.name
            # Stored, not squeezed: how well zlib does differs from one build of it to the next.
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as target:
                for path, member in sorted(members.items()):
                    entry = zipfile.ZipInfo(path)
                    entry.external_attr = member.mode << 16
                    target.writestr(entry, member.source.read_bytes())
            whole.replace(archive)
    return Package(archive, _sha256(archive))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
