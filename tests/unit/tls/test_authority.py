"""What is in the certificates, asserted on the parsed X.509."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certificates import START, a_leaf, a_pair, a_request, an_authority, signer
from tls import AuthorityError, KeyType, Profile, Sources
from tls.authority import Signer, create_authority, issue_leaf
from tls.keys import generate, type_of
from tls.verification import authority_findings, pair_findings

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
USAGES = {Profile.SERVER: [SERVER], Profile.CLIENT: [CLIENT], Profile.ROUTE: [SERVER, CLIENT]}
FIVE_MINUTES = timedelta(minutes=5)


def assert_is_authority(certificate: x509.Certificate, path_length: int) -> None:
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=path_length)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature


def assert_is_leaf(certificate: x509.Certificate, names: list[str]) -> None:
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.key_encipherment
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(alternative) == [x509.DNSName(name) for name in names]


def assert_is_linked(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    assert certificate.issuer == issuer.subject
    certificate.verify_directly_issued_by(issuer)
    own = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    theirs = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own.key_identifier == theirs.digest
    assert issuer.not_valid_before_utc <= certificate.not_valid_before_utc
    assert certificate.not_valid_after_utc <= issuer.not_valid_after_utc


def test_the_root_signs_itself_and_one_level_below() -> None:
    root = an_authority().authority.root
    assert_is_authority(root, path_length=1)
    assert_is_linked(root, root)
    assert root.not_valid_after_utc == START + timedelta(days=3650)
    with pytest.raises(x509.ExtensionNotFound):
        root.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


@pytest.mark.parametrize("profile", Profile)
def test_an_issuing_authority_may_sign_leaves_of_its_domain_and_use_only(profile: Profile) -> None:
    authority = an_authority().authority
    issuing = authority.issuing[profile]
    assert_is_authority(issuing, path_length=0)
    assert_is_linked(issuing, authority.root)
    assert list(issuing.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == USAGES[profile]
    constraints = issuing.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    domain = "svc.acme.internal" if profile is Profile.CLIENT else "nats.acme.internal"
    assert constraints.value.permitted_subtrees == [x509.DNSName(domain)]
    assert constraints.value.excluded_subtrees == [
        x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0")),
    ]  # fmt: skip


@pytest.mark.parametrize("profile", Profile)
def test_a_leaf_has_its_names_and_its_use_and_nothing_else(profile: Profile) -> None:
    pair = a_pair(a_leaf(profile))
    names = ["orders.svc.acme.internal"] if profile is Profile.CLIENT else ["nats-1.nats.acme.internal"]
    assert_is_leaf(pair.certificate, names)
    assert_is_linked(pair.certificate, an_authority().authority.issuing[profile])
    assert list(pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == USAGES[profile]
    subject = {attribute.oid: attribute.value for attribute in pair.certificate.subject}
    assert subject == {
        NameOID.ORGANIZATION_NAME: "acme",
        NameOID.ORGANIZATIONAL_UNIT_NAME: str(profile),
        NameOID.COMMON_NAME: names[0].partition(".")[0],
    }


def test_a_leaf_begins_five_minutes_ago_and_lives_thirty_days() -> None:
    later = START + timedelta(days=1)
    certificate = a_pair(a_leaf(Profile.CLIENT), now=later).certificate
    assert certificate.not_valid_before_utc == later - FIVE_MINUTES
    assert certificate.not_valid_after_utc == later + timedelta(days=30)


def test_a_leaf_ends_with_its_issuer_at_the_latest() -> None:
    end = an_authority().authority.issuing[Profile.CLIENT].not_valid_after_utc
    certificate = a_pair(a_leaf(Profile.CLIENT), now=end - timedelta(days=3)).certificate
    assert certificate.not_valid_after_utc == end


@pytest.mark.parametrize("days", [-1, 730, 10_000])
def test_an_authority_signs_only_while_it_is_valid(days: int) -> None:
    with pytest.raises(AuthorityError, match="cannot sign at"):
        a_pair(a_leaf(Profile.CLIENT), now=START + timedelta(days=days))


def test_serials_are_long_and_positive_whatever_chance_gives() -> None:
    for octet in (b"\x00", b"\x7f", b"\xff"):
        sources = Sources(lambda: START, lambda count, octet=octet: octet * count)  # type: ignore[misc]
        new = create_authority(a_request(), sources)
        for certificate in (new.authority.root, *new.authority.issuing.values()):
            assert certificate.serial_number.bit_length() == 159
    serials = {a_pair(a_leaf(Profile.CLIENT)).certificate.serial_number for _ in range(50)}
    assert len(serials) == 50


def test_the_longest_names_that_are_taken_fit_into_what_x509_allows() -> None:
    """64 characters for each part of a subject, and 253 for a DNS name."""
    longest = "a" * 63
    domain = ".".join([longest, longest, "a" * 61])
    request = a_request(
        environment="a" * 12,
        organization=longest,
        client_domain=f"c{domain[1:]}",
        node_domain=f"n{domain[1:]}",
        services=[longest],
        identities=[],
        nodes=[{"name": longest}],
    )
    new = create_authority(request, Sources(lambda: START))
    assert authority_findings(new.authority, request, START) == []
    subjects = [new.authority.root.subject, *(issuing.subject for issuing in new.authority.issuing.values())]
    for leaf in request.leaves:
        assert len(leaf.dns_names[0]) == 253
        pair = issue_leaf(
            leaf, signer(leaf.profile, new), organization=longest, key_type=KeyType.P256, lifetime=timedelta(days=1),
            sources=Sources(lambda: START),
        )  # fmt: skip
        assert pair_findings(pair, leaf, new.authority, now=START) == []
        subjects.append(pair.certificate.subject)
    assert max(len(str(attribute.value)) for subject in subjects for attribute in subject) <= 64


@pytest.mark.parametrize("key_type", [KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA3072])
def test_every_kind_of_key_makes_a_whole_authority(key_type: KeyType) -> None:
    request = a_request(key_type=str(key_type))
    new = an_authority(key_type)
    assert authority_findings(new.authority, request, START) == []
    for profile in Profile:
        leaf = a_leaf(profile)
        pair = issue_leaf(
            leaf, signer(profile, new), organization="acme", key_type=key_type, lifetime=timedelta(days=1),
            sources=Sources(lambda: START),
        )  # fmt: skip
        assert type_of(pair.key) is key_type
        assert pair_findings(pair, leaf, new.authority, now=START, key_type=key_type) == []


def test_a_small_rsa_key_is_of_no_kind() -> None:
    assert type_of(rsa.generate_private_key(65537, 2048)) is None
    assert type_of("no key at all") is None


def test_a_new_authority_can_stand_under_the_root_that_is_there() -> None:
    old = an_authority()
    assert old.root_key is not None
    root = Signer(old.authority.root, old.root_key)
    new = create_authority(a_request(), Sources(lambda: START), root=root)
    assert new.root_key is None
    assert new.authority.root == old.authority.root
    assert new.authority.issuing[Profile.CLIENT].subject != old.authority.issuing[Profile.CLIENT].subject
    assert authority_findings(new.authority, a_request(), START) == []


def test_p384_signs_with_sha384() -> None:
    assert an_authority(KeyType.P384).authority.root.signature_hash_algorithm.name == "sha384"  # type: ignore[union-attr]
    assert an_authority().authority.root.signature_hash_algorithm.name == "sha256"  # type: ignore[union-attr]


def test_no_representation_shows_a_key() -> None:
    new = an_authority()
    pair = a_pair(a_leaf(Profile.CLIENT))
    shown = repr((new, pair, signer(Profile.CLIENT), pair.key_pem))
    assert "PRIVATE" not in shown
    assert "PrivateKey" not in shown
    assert generate(KeyType.P256) != pair.key
