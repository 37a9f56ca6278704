"""The authority as the store records it: which authorities are trusted, which one issues, and how far a rollover is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tls.authority import Authority
from tls.certificates import fingerprint, parse_time
from tls.plain import read_record, to_json
from tls.pointer import FileReference, files_from_plain, files_to_plain
from tls.profiles import Profile

BUNDLES = {Profile.SERVER: "server-ca.pem", Profile.CLIENT: "client-ca.pem", Profile.ROUTE: "route-ca.pem"}
"""The bundle that verifies the certificates of each profile."""


class Phase(StrEnum):
    """How far a rollover is; `steady` is none at all."""

    STEADY = "steady"
    TRUST_BOTH = "trust-both"
    ISSUE_BY_NEW = "issue-by-new"
    NOBODY_ON_OLD = "nobody-on-old"


@dataclass(frozen=True)
class AuthorityRecord:
    """What `ca/certificates/current.json` says."""

    environment: str
    phase: Phase
    changed_at: datetime
    """When the phase began."""
    authorities: tuple[Authority, ...]
    """Whom the bundles trust: one, or the old and the new one."""
    issuing: str
    """The id of the one that issues."""
    version: str
    files: Mapping[str, FileReference]
    """The bundles."""

    @property
    def issuer(self) -> Authority:
        """The authority that issues."""
        return self.authority(self.issuing)

    def authority(self, authority_id: str) -> Authority:
        """Return a trusted authority.

        Raises:
            KeyError: It is not trusted.
        """
        return {authority.id: authority for authority in self.authorities}[authority_id]

    def to_json(self) -> bytes:
        """Return it as it is stored."""
        return to_json(
            {
                "version": self.version,
                "files": files_to_plain(self.files),
                "environment": self.environment,
                "phase": str(self.phase),
                "changed_at": self.changed_at.isoformat(),
                "issuing": self.issuing,
                "authorities": [_authority_to_plain(authority) for authority in self.authorities],
            }
        )

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> AuthorityRecord:
        """Read it as it is stored.

        Raises:
            DamageError: It is damaged.
        """
        return read_record(data, cls._from_plain, name=name)

    @classmethod
    def _from_plain(cls, plain: Mapping[str, Any]) -> AuthorityRecord:
        files = files_from_plain(plain["files"])
        record = cls(
            environment=str(plain["environment"]),
            phase=Phase(plain["phase"]),
            changed_at=parse_time(plain["changed_at"]),
            authorities=tuple(_authority_from_plain(entry) for entry in plain["authorities"]),
            issuing=str(plain["issuing"]),
            version=str(plain["version"]),
            files={name: files[name] for name in BUNDLES.values()},
        )
        record.authority(record.issuing)  # a record that names an issuer it does not hold is damaged
        return record


def bundles(authorities: Sequence[Authority]) -> dict[str, bytes]:
    """Return what verifies certificates of some authorities, a file for each profile.

    Clients trust roots, as their libraries expect it. Nodes trust the issuing authorities alone, since with the root a route
    certificate would do as a client's, and a client's would do to join the cluster as a node and read everything.
    """
    anchors = {
        Profile.SERVER: [authority.root for authority in authorities],
        Profile.CLIENT: [authority.issuing[Profile.CLIENT] for authority in authorities],
        Profile.ROUTE: [authority.issuing[Profile.ROUTE] for authority in authorities],
    }
    return {
        BUNDLES[profile]: b"".join(dict.fromkeys(anchor.public_bytes(Encoding.PEM) for anchor in certificates))
        for profile, certificates in anchors.items()
    }


def root_id(root: x509.Certificate) -> str:
    """Return a name for a root, which may be the root of several authorities."""
    return f"root-{root.not_valid_before_utc:%Y%m%d}-{fingerprint(root)[:8]}"


def _authority_to_plain(authority: Authority) -> dict[str, Any]:
    certificates: dict[str, x509.Certificate] = {"root": authority.root}
    certificates |= {str(profile): certificate for profile, certificate in authority.issuing.items()}
    return {
        "id": authority.id,
        **{role: certificate.public_bytes(Encoding.PEM).decode("ascii") for role, certificate in certificates.items()},
    }


def _authority_from_plain(plain: Mapping[str, Any]) -> Authority:
    return Authority(
        id=str(plain["id"]),
        root=x509.load_pem_x509_certificate(plain["root"].encode("ascii")),
        issuing={profile: x509.load_pem_x509_certificate(plain[str(profile)].encode("ascii")) for profile in Profile},
    )
