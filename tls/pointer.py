"""The one object that says which version holds: of a pair, or of the authority's bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tls.certificates import Summary, parse_time
from tls.plain import read_record, to_json
from tls.store import Stored, sha256

CHAIN = "chain.pem"
KEY = "key.pem"


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file of a version, by what cannot change of it."""

    sha256: str
    version_id: str | None

    @classmethod
    def of(cls, stored: Stored) -> FileReference:
        """Return the reference to an object that was written."""
        return cls(sha256(stored.data), stored.version_id)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which pair of a leaf holds, and what there is to know of its certificate."""

    version: str
    files: Mapping[str, FileReference]
    authority: str
    """The id of the authority that issued it."""
    certificate: Summary

    def to_json(self) -> bytes:
        """Return it as it is stored."""
        return to_json(self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "version": self.version,
            "files": files_to_plain(self.files),
            "authority": self.authority,
            "certificate": self.certificate.to_plain(),
        }

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> Pointer:
        """Read it as it is stored.

        Raises:
            DamageError: It is damaged.
        """
        return read_record(data, cls._from_plain, name=name)

    @classmethod
    def _from_plain(cls, plain: Mapping[str, Any]) -> Pointer:
        files = files_from_plain(plain["files"])
        certificate = plain["certificate"]
        return cls(
            version=str(plain["version"]),
            files={name: files[name] for name in (CHAIN, KEY)},
            authority=str(plain["authority"]),
            certificate=Summary(
                serial=str(certificate["serial"]),
                fingerprint=str(certificate["fingerprint"]),
                subject=str(certificate["subject"]),
                issuer=str(certificate["issuer"]),
                not_before=parse_time(certificate["not_before"]),
                not_after=parse_time(certificate["not_after"]),
                dns_names=tuple(map(str, certificate["dns_names"])),
            ),
        )


def files_to_plain(files: Mapping[str, FileReference]) -> dict[str, Any]:
    """Return the references of a version as plain data."""
    return {name: {"sha256": file.sha256, "version_id": file.version_id} for name, file in files.items()}


def files_from_plain(plain: Mapping[str, Any]) -> dict[str, FileReference]:
    """Read the references of a version."""
    return {name: FileReference(str(file["sha256"]), file["version_id"]) for name, file in plain.items()}


def version_name(now: datetime, content: bytes) -> str:
    """Return a name for a version: in the order of time for people, and never used twice."""
    return f"{now:%Y%m%dT%H%M%SZ}-{sha256(content)[:12]}"


def version_time(version: str) -> datetime | None:
    """Return when a version was made; None where the name is none of ours."""
    try:
        return parse_time(version.partition("-")[0])
    except ValueError:
        return None
