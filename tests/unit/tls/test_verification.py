"""Each rule, broken once: a certificate that is wrong in one way is found to be so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import START, Forgery, a_leaf, a_pair, a_request, an_authority, signer
from tls import KeyType, Profile, Sources
from tls.authority import Authority, NewAuthority, create_authority
from tls.keys import generate
from tls.profiles import extended_key_usage, key_usage
from tls.request import Leaf
from tls.verification import authority_findings, pair_findings

CLIENT_LEAF = a_leaf(Profile.CLIENT)
SERVER_LEAF = a_leaf(Profile.SERVER)


def findings(forgery: Forgery) -> list[str]:
    return pair_findings(forgery.pair(), forgery.leaf, an_authority().authority, now=START, key_type=KeyType.P256)


def forged(leaf: Leaf = CLIENT_LEAF) -> Forgery:
    return Forgery(leaf, signer(leaf.profile))


def names(*names: str) -> dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool]]:
    return {x509.SubjectAlternativeName: (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)}


@pytest.mark.parametrize("profile", Profile)
def test_what_is_issued_passes(profile: Profile) -> None:
    assert findings(forged(a_leaf(profile))) == []
    leaf = a_leaf(profile)
    assert pair_findings(a_pair(leaf), leaf, an_authority().authority, now=START) == []


def test_another_ones_key_is_found() -> None:
    pair = replace(a_pair(CLIENT_LEAF), key=generate(KeyType.P256))
    assert "the key is not the certificate's" in pair_findings(pair, CLIENT_LEAF, an_authority().authority, now=START)


def test_another_kind_of_key_is_found() -> None:
    found = pair_findings(
        a_pair(CLIENT_LEAF), CLIENT_LEAF, an_authority().authority, now=START, key_type=KeyType.ED25519
    )
    assert found == ["the key is p256, not ed25519"]


@pytest.mark.parametrize(
    ("forgery", "expected"),
    [
        (replace(forged(), not_before=START + timedelta(minutes=1)), "it is not valid before"),
        (replace(forged(), not_after=START - timedelta(seconds=1)), "it has expired"),
        (replace(forged(), not_after=START + timedelta(days=731)), "after its issuer at"),
        (replace(forged(), not_before=START - timedelta(minutes=6)), "before its issuer at"),
        (replace(forged(), not_after=START + timedelta(days=399)), "it is valid for more than 398 days"),
        (replace(forged(), serial=12345), "its serial has 14 bits"),
        (replace(forged(), extensions=names("payments.svc.acme.internal")), "its names are payments.svc.acme.internal, not"),
        (replace(forged(), extensions=names("orders.svc.acme.internal", "payments.svc.acme.internal")), "exactly one identity"),
        (replace(forged(), extensions=names("orders.evil.internal")), "its issuer may not sign the name"),
        (replace(forged(), extensions={x509.SubjectAlternativeName: None}), "its names are none, not"),
        (
            replace(
                forged(),
                extensions={
                    x509.SubjectAlternativeName: (
                        x509.SubjectAlternativeName(
                            [x509.DNSName("orders.svc.acme.internal"), x509.UniformResourceIdentifier("spiffe://a/b")]
                        ),
                        False,
                    )
                },
            ),
            "a client has exactly one identity, and this one has 2",
        ),
        (
            replace(
                forged(SERVER_LEAF),
                extensions={
                    x509.SubjectAlternativeName: (
                        x509.SubjectAlternativeName([x509.IPAddress(ip_address("10.0.0.1"))]), False,
                    )
                },
            ),
            "its names are 10.0.0.1, not nats-1.nats.acme.internal",
        ),
        (
            replace(forged(), extensions={x509.ExtendedKeyUsage: (extended_key_usage(Profile.SERVER), False)}),
            "its extended key usage is not that of the profile client",
        ),
        (
            replace(forged(), extensions={x509.ExtendedKeyUsage: (extended_key_usage(Profile.ROUTE), False)}),
            "its extended key usage is not that of the profile client",
        ),
        (
            replace(
                forged(),
                extensions={
                    x509.ExtendedKeyUsage: (
                        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False,
                    )
                },
            ),
            "its extended key usage",
        ),
        (replace(forged(), extensions={x509.ExtendedKeyUsage: None}), "its extended key usage"),
        (replace(forged(), extensions={x509.KeyUsage: (key_usage(is_authority=True), True)}), "its key usage is not"),
        (replace(forged(), extensions={x509.KeyUsage: (key_usage(is_authority=False), False)}), "its key usage is not"),
        (replace(forged(), extensions={x509.KeyUsage: None}), "its key usage is not"),
        (
            replace(forged(), extensions={x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=0), True)}),
            "that it is no authority",
        ),
        (replace(forged(), extensions={x509.BasicConstraints: None}), "that it is no authority"),
        (replace(forged(), extensions={x509.SubjectKeyIdentifier: None}), "its subject key identifier is missing"),
        (replace(forged(), extensions={x509.AuthorityKeyIdentifier: None}), "its authority key identifier is missing"),
        (replace(forged(), signer=signer(Profile.SERVER)), "the chain's second certificate is not the client CA"),
    ],
)  # fmt: skip
def test_a_wrong_certificate_is_found(forgery: Forgery, expected: str) -> None:
    assert any(expected in finding for finding in findings(forgery)), findings(forgery)


def test_a_foreign_authority_of_the_same_names_is_found() -> None:
    foreign = create_authority(a_request(), Sources(lambda: START, lambda count: b"\1" * count))
    twin = create_authority(a_request(), Sources(lambda: START, lambda count: b"\1" * count))
    assert foreign.authority.root.subject == twin.authority.root.subject
    pair = a_pair(CLIENT_LEAF, foreign)
    assert pair_findings(pair, CLIENT_LEAF, twin.authority, now=START)
    # Even where the chain claims the right issuer, the signature tells.
    liar = replace(pair, issuer=twin.authority.issuing[Profile.CLIENT])
    assert any("is not signed by" in finding for finding in pair_findings(liar, CLIENT_LEAF, twin.authority, now=START))


def test_the_library_is_asked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own rules are switched off, so only the second opinion can find the wrong name."""
    monkeypatch.setattr("tls.verification._pair_findings", lambda *_: iter(()))
    pair = a_pair(SERVER_LEAF)
    other = replace(SERVER_LEAF, dns_names=("nats-2.nats.acme.internal",))
    (finding,) = pair_findings(pair, other, an_authority().authority, now=START)
    assert finding.startswith("the library's verifier refuses it")
    (finding,) = pair_findings(a_pair(CLIENT_LEAF), replace(SERVER_LEAF), an_authority().authority, now=START)
    assert finding.startswith("the library's verifier refuses it")


def altered(**issuing: x509.Certificate) -> Authority:
    authority = an_authority().authority
    return replace(authority, issuing={**authority.issuing, **{Profile(k): v for k, v in issuing.items()}})


def test_a_whole_authority_passes_and_ages() -> None:
    authority, request = an_authority().authority, a_request()
    assert authority_findings(authority, request, START) == []
    assert len(authority_findings(authority, request, START + timedelta(days=731))) == 3
    assert len(authority_findings(authority, request, START + timedelta(days=3651))) == 4
    assert len(authority_findings(authority, request, START - timedelta(days=1))) == 4


def test_issuing_authorities_in_each_others_place_are_found() -> None:
    issuing = an_authority().authority.issuing
    found = authority_findings(altered(client=issuing[Profile.SERVER]), a_request(), START)
    assert any("extended key usage" in finding for finding in found)
    assert any("do not permit, critically, svc.acme.internal alone" in finding for finding in found)


def test_an_authority_for_other_domains_is_found() -> None:
    found = authority_findings(an_authority().authority, a_request(client_domain="svc.other.internal"), START)
    assert found == ["client CA: its name constraints do not permit, critically, svc.other.internal alone"]


def test_a_leaf_or_a_foreign_authority_is_no_issuing_authority() -> None:
    leaf = a_pair(CLIENT_LEAF).certificate
    found = authority_findings(altered(client=leaf), a_request(), START)
    assert any("that it is an authority with path length 0" in finding for finding in found)
    foreign: NewAuthority = create_authority(a_request(), Sources(lambda: START))
    found = authority_findings(altered(client=foreign.authority.issuing[Profile.CLIENT]), a_request(), START)
    assert any("is not signed by" in finding for finding in found)


def test_an_authority_that_leaves_addresses_open_is_found() -> None:
    new = an_authority()
    assert new.root_key is not None
    right = new.authority.issuing[Profile.CLIENT]
    builder = (
        x509.CertificateBuilder()
        .subject_name(right.subject)
        .issuer_name(right.issuer)
        .public_key(right.public_key())
        .serial_number(right.serial_number)
        .not_valid_before(right.not_valid_before_utc)
        .not_valid_after(right.not_valid_after_utc)
    )
    for extension in right.extensions:
        value = extension.value
        if isinstance(value, x509.NameConstraints):
            value = x509.NameConstraints(value.permitted_subtrees, None)
        builder = builder.add_extension(value, extension.critical)
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    weaker = builder.sign(new.root_key, SHA256())
    assert authority_findings(altered(client=weaker), a_request(), START) == [
        "client CA: its name constraints do not exclude every address"
    ]
