"""The three uses of a certificate, and what each use puts into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cryptography.x509 import ExtendedKeyUsage, KeyUsage, ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID


class Profile(StrEnum):
    """What a leaf is for; each has an issuing authority of its own, and the folder of the store is called the same."""

    SERVER = "server"
    """A NATS node towards its clients."""
    ROUTE = "route"
    """A NATS node towards the other nodes, in both directions."""
    CLIENT = "client"
    """A service, or an identity of the platform, towards the NATS nodes."""


EXTENDED_KEY_USAGES: dict[Profile, tuple[ObjectIdentifier, ...]] = {
    Profile.SERVER: (ExtendedKeyUsageOID.SERVER_AUTH,),
    Profile.ROUTE: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    Profile.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),
}

ROOT_PATH_LENGTH = 1
ISSUING_PATH_LENGTH = 0

BACKDATE = timedelta(minutes=5)
"""How far a certificate begins in the past, for clocks that are behind."""
LONGEST_LEAF = timedelta(days=398)
RENEWAL_FRACTION = 3
"""A leaf is renewed when one part in so many of its life is left."""
JITTER_FRACTION = 20
"""Identities spread their renewals over one part in so many of a life, so that a fleet does not renew at one moment."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each kind of certificate is valid."""

    leaf_days: int = 30
    issuing_days: int = 730
    root_days: int = 3650


def extended_key_usage(profile: Profile) -> ExtendedKeyUsage:
    """Return the extension of a leaf, and of the authority that issues it."""
    return ExtendedKeyUsage(EXTENDED_KEY_USAGES[profile])


def key_usage(*, is_authority: bool) -> KeyUsage:
    """Return the key usage of an authority, or of a leaf.

    TLS 1.3 has a leaf sign and nothing else, so there is no key encipherment, with RSA neither.
    """
    return KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
