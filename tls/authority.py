"""The authority of one environment: a root, and under it one issuing authority for each use of a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tls.errors import AuthorityError
from tls.keys import KeyType, PrivateKey, generate, signature_hash, to_pem
from tls.profiles import (
    BACKDATE,
    ISSUING_PATH_LENGTH,
    ROOT_PATH_LENGTH,
    Profile,
    extended_key_usage,
    key_usage,
)
from tls.request import CertificateRequest, Leaf
from tls.secret import Secret
from tls.sources import Sources

_EVERY_ADDRESS = [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]
_SERIAL_BYTES = 20  # the most that RFC 5280 allows; its highest bit stays 0, since a serial is positive


@dataclass(frozen=True)
class Authority:
    """The public half of an authority."""

    id: str
    root: x509.Certificate
    issuing: Mapping[Profile, x509.Certificate]


@dataclass(frozen=True)
class Signer:
    """A certificate of an authority together with its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True)
class NewAuthority:
    """An authority that was just made; `root_key` is there unless the root was there before."""

    authority: Authority
    root_key: PrivateKey | None = field(repr=False)
    issuing_keys: Mapping[Profile, PrivateKey] = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """A leaf with the certificate of its issuer, and the leaf's key."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def chain_pem(self) -> bytes:
        """The leaf and its issuer, as a server or client presents them."""
        return self.certificate.public_bytes(Encoding.PEM) + self.issuer.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> Secret:
        """The key, not encrypted: a process has to open it without asking anybody."""
        return to_pem(self.key)


def create_authority(request: CertificateRequest, sources: Sources, *, root: Signer | None = None) -> NewAuthority:
    """Make an authority.

    Args:
        request: The environment, domains, key type and lifetimes.
        sources: Clock and randomness.
        root: A root that is there already; None makes a new one.
    """
    now = sources.now()
    authority_id = f"{now:%Y%m%d}-{sources.token()}"
    signer = root or _create_root(request, authority_id, now, sources)
    issuing_keys = {profile: generate(request.key_type) for profile in Profile}
    issuing = {
        profile: _create_issuing(request, profile, authority_id, signer, key, now, sources)
        for profile, key in issuing_keys.items()
    }
    return NewAuthority(
        Authority(authority_id, signer.certificate, issuing), None if root else signer.key, issuing_keys
    )


def issue_leaf(
    leaf: Leaf, signer: Signer, *, organization: str, key_type: KeyType, lifetime: timedelta, sources: Sources
) -> Pair:
    """Issue one certificate with a new key.

    Raises:
        AuthorityError: The signer is not valid now.
    """
    key = generate(key_type)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(leaf.profile)),
            x509.NameAttribute(NameOID.COMMON_NAME, leaf.name),
        ]
    )
    builder = (
        _builder(subject, key, signer, sources.now(), lifetime, sources)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(is_authority=False), critical=True)
        .add_extension(extended_key_usage(leaf.profile), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in leaf.dns_names]), critical=False)
    )
    return Pair(builder.sign(signer.key, signature_hash(signer.key)), signer.certificate, key)


def _create_root(request: CertificateRequest, authority_id: str, now: datetime, sources: Sources) -> Signer:
    key = generate(request.key_type)
    lifetime = timedelta(days=request.lifetimes.root_days)
    builder = (
        _builder(_authority_name(request, "root", authority_id), key, None, now, lifetime, sources)
        .add_extension(x509.BasicConstraints(ca=True, path_length=ROOT_PATH_LENGTH), critical=True)
        .add_extension(key_usage(is_authority=True), critical=True)
    )
    return Signer(builder.sign(key, signature_hash(key)), key)


def _create_issuing(
    request: CertificateRequest,
    profile: Profile,
    authority_id: str,
    root: Signer,
    key: PrivateKey,
    now: datetime,
    sources: Sources,
) -> x509.Certificate:
    lifetime = timedelta(days=request.lifetimes.issuing_days)
    # What is not excluded is allowed for every kind of name that the permitted list does not mention: so addresses are.
    constraints = x509.NameConstraints([x509.DNSName(domain) for domain in request.domains(profile)], _EVERY_ADDRESS)
    builder = (
        _builder(_authority_name(request, profile, authority_id), key, root, now, lifetime, sources)
        .add_extension(x509.BasicConstraints(ca=True, path_length=ISSUING_PATH_LENGTH), critical=True)
        .add_extension(key_usage(is_authority=True), critical=True)
        .add_extension(extended_key_usage(profile), critical=False)
        .add_extension(constraints, critical=True)
    )
    return builder.sign(root.key, signature_hash(root.key))


def _builder(
    subject: x509.Name, key: PrivateKey, signer: Signer | None, now: datetime, lifetime: timedelta, sources: Sources
) -> x509.CertificateBuilder:
    """Return a builder with all that every certificate has."""
    not_before, not_after = now - BACKDATE, now + lifetime
    issuer, issuer_key = subject, key.public_key()
    if signer is not None:
        begin, end = signer.certificate.not_valid_before_utc, signer.certificate.not_valid_after_utc
        if not begin <= now < end:
            name = signer.certificate.subject.rfc4514_string()
            raise AuthorityError(f"{name} is valid from {begin} to {end} and cannot sign at {now}")
        not_before, not_after = max(not_before, begin), min(not_after, end)
        issuer, issuer_key = signer.certificate.subject, signer.certificate.public_key()  # type: ignore[assignment]
    serial = int.from_bytes(sources.random_bytes(_SERIAL_BYTES)) >> 1 | 1 << (8 * _SERIAL_BYTES - 2)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _authority_name(request: CertificateRequest, role: str, authority_id: str) -> x509.Name:
    # The id makes the names of two authorities differ, so that a verifier never tries the wrong one of the same name.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{request.environment} {role} CA {authority_id}"),
        ]
    )
