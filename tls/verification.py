"""Prove a certificate before anybody gets it: by rules of our own, and by the library's verifier as a second opinion.

NATS takes an expired certificate, one with a foreign name and one without the right usage without a word, and then refuses
every client; so nothing is published that did not pass here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tls.authority import Authority, Pair
from tls.keys import KeyType, type_of
from tls.names import is_within
from tls.profiles import (
    BACKDATE,
    EXTENDED_KEY_USAGES,
    ISSUING_PATH_LENGTH,
    LONGEST_LEAF,
    ROOT_PATH_LENGTH,
    Profile,
    key_usage,
)
from tls.request import CertificateRequest, Leaf

_FEWEST_SERIAL_BITS = 128
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


def authority_findings(authority: Authority, request: CertificateRequest, now: datetime) -> list[str]:
    """Return what is wrong with the certificates of an authority."""
    findings = [f"root: {text}" for text in _root_findings(authority.root, now)]
    for profile in Profile:
        issuing = authority.issuing[profile]
        findings += [
            f"{profile} CA: {text}"
            for text in (
                *_common_findings(issuing, now),
                *_link_findings(issuing, authority.root),
                *_authority_extensions(issuing, ISSUING_PATH_LENGTH),
                *_usage_findings(issuing, profile),
                *_constraint_findings(issuing, request.domains(profile)),
            )
        ]
    return findings


def pair_findings(
    pair: Pair, leaf: Leaf, authority: Authority, *, now: datetime, key_type: KeyType | None = None
) -> list[str]:
    """Return what is wrong with a leaf and its key; the authority itself is `authority_findings`' matter.

    Args:
        pair: What is looked at.
        leaf: What was asked for.
        authority: Whose it has to be.
        now: When it has to be valid.
        key_type: The kind of key that was asked for, if that matters.
    """
    findings = [*_pair_findings(pair, leaf, authority, now)]
    if key_type is not None and (found := type_of(pair.key)) is not key_type:
        findings.append(f"the key is {found}, not {key_type}")
    if not findings:
        # The library says less than we do, so it is asked last; it knows Ed25519 not at all, as the public web does not.
        findings += _second_opinion(pair, leaf, authority, now)
    return findings


def _pair_findings(pair: Pair, leaf: Leaf, authority: Authority, now: datetime) -> Iterator[str]:
    certificate = pair.certificate
    if pair.key.public_key() != certificate.public_key():
        yield "the key is not the certificate's"
    if pair.issuer != authority.issuing[leaf.profile]:
        yield f"the chain's second certificate is not the {leaf.profile} CA of the authority {authority.id}"
        return
    yield from _common_findings(certificate, now)
    yield from _link_findings(certificate, pair.issuer)
    if certificate.not_valid_after_utc - certificate.not_valid_before_utc > LONGEST_LEAF + BACKDATE:
        yield f"it is valid for more than {LONGEST_LEAF.days} days"
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or constraints.value.ca or not constraints.critical:
        yield "its basic constraints do not say, critically, that it is no authority"
    yield from _key_usage_findings(certificate, is_authority=False)
    yield from _usage_findings(certificate, leaf.profile)
    yield from _name_findings(certificate, leaf)
    yield from _permitted_findings(certificate, pair.issuer)


def _root_findings(root: x509.Certificate, now: datetime) -> Iterator[str]:
    yield from _common_findings(root, now)
    yield from _link_findings(root, root)
    yield from _authority_extensions(root, ROOT_PATH_LENGTH)


def _common_findings(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield f"it is not valid before {begin}"
    if now > end:
        yield f"it has expired at {end}"
    if certificate.serial_number.bit_length() < _FEWEST_SERIAL_BITS:
        yield f"its serial has {certificate.serial_number.bit_length()} bits; at least {_FEWEST_SERIAL_BITS} are needed"
    if type_of(certificate.public_key()) is None:
        yield "its key is of a kind that is never issued"
    identifier = _extension(certificate, x509.SubjectKeyIdentifier)
    if identifier is None or identifier.value != x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()):
        yield "its subject key identifier is missing or not its key's"


def _link_findings(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[str]:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        yield f"it is not signed by {issuer.subject.rfc4514_string()}"
    if certificate.not_valid_after_utc > issuer.not_valid_after_utc:
        yield f"it ends at {certificate.not_valid_after_utc}, after its issuer at {issuer.not_valid_after_utc}"
    if certificate.not_valid_before_utc < issuer.not_valid_before_utc:
        yield f"it begins at {certificate.not_valid_before_utc}, before its issuer at {issuer.not_valid_before_utc}"
    own = _extension(certificate, x509.AuthorityKeyIdentifier)
    theirs = _extension(issuer, x509.SubjectKeyIdentifier)
    if own is None or theirs is None or own.value.key_identifier != theirs.value.digest:
        yield "its authority key identifier is missing or not its issuer's"


def _authority_extensions(certificate: x509.Certificate, path_length: int) -> Iterator[str]:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.critical or constraints.value != x509.BasicConstraints(
        ca=True, path_length=path_length
    ):  # fmt: skip
        yield f"its basic constraints do not say, critically, that it is an authority with path length {path_length}"
    yield from _key_usage_findings(certificate, is_authority=True)


def _key_usage_findings(certificate: x509.Certificate, *, is_authority: bool) -> Iterator[str]:
    found = _extension(certificate, x509.KeyUsage)
    if found is None or not found.critical or found.value != key_usage(is_authority=is_authority):
        yield "its key usage is not, critically, that of " + ("an authority" if is_authority else "a leaf")


def _usage_findings(certificate: x509.Certificate, profile: Profile) -> Iterator[str]:
    found = _extension(certificate, x509.ExtendedKeyUsage)
    if found is None or set(found.value) != set(EXTENDED_KEY_USAGES[profile]):
        yield f"its extended key usage is not that of the profile {profile}"


def _constraint_findings(certificate: x509.Certificate, domains: Sequence[str]) -> Iterator[str]:
    found = _extension(certificate, x509.NameConstraints)
    if (
        found is None
        or not found.critical
        or found.value.permitted_subtrees != [x509.DNSName(domain) for domain in domains]
    ):
        yield f"its name constraints do not permit, critically, {', '.join(domains)} alone"
        return
    excluded = {str(name.value) for name in found.value.excluded_subtrees or () if isinstance(name, x509.IPAddress)}
    if excluded != {str(IPv4Network("0.0.0.0/0")), str(IPv6Network("::/0"))}:
        yield "its name constraints do not exclude every address"


def _name_findings(certificate: x509.Certificate, leaf: Leaf) -> Iterator[str]:
    found = _extension(certificate, x509.SubjectAlternativeName)
    names = [] if found is None else list(found.value)
    if sorted(map(str, names)) != sorted(str(x509.DNSName(name)) for name in leaf.dns_names):
        yield f"its names are {', '.join(str(name.value) for name in names) or 'none'}, not {', '.join(leaf.dns_names)}"
    if leaf.profile is Profile.CLIENT and len(names) != 1:
        # NATS takes the first name of a list that any user has: with two, a client would be whoever is found first.
        yield f"a client has exactly one identity, and this one has {len(names)}"


def _permitted_findings(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[str]:
    found = _extension(issuer, x509.NameConstraints)
    names = _extension(certificate, x509.SubjectAlternativeName)
    if found is None or names is None:
        return
    permitted = [name.value for name in found.value.permitted_subtrees or () if isinstance(name, x509.DNSName)]
    for name in names.value.get_values_for_type(x509.DNSName):
        if not any(is_within(name, domain) for domain in permitted):
            yield f"its issuer may not sign the name {name}"


def _second_opinion(pair: Pair, leaf: Leaf, authority: Authority, now: datetime) -> list[str]:
    keys = (certificate.public_key() for certificate in (pair.certificate, pair.issuer, authority.root))
    if any(isinstance(key, ed25519.Ed25519PublicKey) for key in keys):
        return []
    policy = PolicyBuilder().store(Store([authority.root])).time(now).max_chain_depth(ROOT_PATH_LENGTH)
    try:
        if leaf.profile is not Profile.SERVER:
            policy.build_client_verifier().verify(pair.certificate, [pair.issuer])
        if leaf.profile is not Profile.CLIENT:
            for name in leaf.dns_names:
                policy.build_server_verifier(x509.DNSName(name)).verify(pair.certificate, [pair.issuer])
    except VerificationError as error:
        return [f"the library's verifier refuses it: {error}"]
    return []


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> x509.Extension[_Kind] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except (x509.ExtensionNotFound, ValueError):
        return None
