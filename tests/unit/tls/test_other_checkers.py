"""What others say of our certificates: the `openssl` command line, Python's own TLS in its strict mode, and a linter."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import loader
from pkilint.pkix import certificate as pkix_certificate
from pkilint.pkix import extension as pkix_extension
from pkilint.pkix import name as pkix_name
from pkilint.validation import ValidationFindingSeverity

from tests.certificates import Forgery, a_leaf, a_pair, a_request, an_authority, signer
from tls import KeyType, Profile, Sources
from tls.authority import NewAuthority, Pair, create_authority

NOW = Sources().now()


@pytest.fixture(scope="module", params=[KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA3072])
def new(request: pytest.FixtureRequest) -> NewAuthority:
    return create_authority(a_request(key_type=str(request.param)), Sources(clock=lambda: NOW))


def write(folder: Path, new: NewAuthority, pair: Pair) -> None:
    (folder / "root.crt").write_bytes(new.authority.root.public_bytes(Encoding.PEM))
    (folder / "chain.crt").write_bytes(pair.chain_pem)
    (folder / "leaf.crt").write_bytes(pair.certificate.public_bytes(Encoding.PEM))


def openssl(folder: Path, purpose: str, name: str) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-verify_hostname", name]
    return subprocess.run(
        [*command, "-CAfile", "root.crt", "-untrusted", "chain.crt", "leaf.crt"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on PATH")
@pytest.mark.parametrize("profile", Profile)
def test_openssl_takes_a_leaf_for_its_purpose_and_name_only(
    new: NewAuthority, profile: Profile, tmp_path: Path
) -> None:
    leaf = a_leaf(profile)
    write(tmp_path, new, a_pair(leaf, new, now=NOW))
    for purpose, profiles in {
        "sslserver": {Profile.SERVER, Profile.ROUTE},
        "sslclient": {Profile.CLIENT, Profile.ROUTE},
    }.items():
        done = openssl(tmp_path, purpose, leaf.dns_names[0])
        assert (done.returncode == 0) is (profile in profiles), done.stderr
    assert openssl(tmp_path, "any", "other.acme.internal").returncode != 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on PATH")
def test_openssl_holds_an_issuing_authority_to_its_names(tmp_path: Path) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("orders.evil.internal")])
    forgery = Forgery(a_leaf(Profile.CLIENT), signer(Profile.CLIENT))
    for extension, word in (
        (names, "permitted subtree violation"),
        (x509.SubjectAlternativeName([x509.IPAddress(ip_address("10.0.0.1"))]), "excluded subtree"),
    ):
        pair = replace(forgery, extensions={x509.SubjectAlternativeName: (extension, False)}).pair()
        write(tmp_path, an_authority(), pair)
        command = ["openssl", "verify", "-no_check_time", "-CAfile", "root.crt", "-untrusted", "chain.crt", "leaf.crt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert word in done.stderr


@pytest.mark.parametrize("profile", [Profile.SERVER, Profile.ROUTE])
def test_a_strict_handshake_succeeds_between_a_node_and_a_client(
    new: NewAuthority, profile: Profile, tmp_path: Path
) -> None:
    """Memory instead of sockets: the whole handshake, with the flags that Python 3.13 sets of itself."""
    client_profile = Profile.CLIENT if profile is Profile.SERVER else Profile.ROUTE
    server = context(tmp_path / "server", ssl.PROTOCOL_TLS_SERVER, new, profile, trusts=client_profile)
    client = context(tmp_path / "client", ssl.PROTOCOL_TLS_CLIENT, new, client_profile, trusts=profile)
    presented = handshake(server, client, "nats-1.nats.acme.internal")
    assert presented == ("nats-1.nats.acme.internal" if profile is Profile.ROUTE else "orders.svc.acme.internal")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, "nats-2.nats.acme.internal")


def context(
    folder: Path, protocol: ssl._SSLMethod, new: NewAuthority, profile: Profile, *, trusts: Profile
) -> ssl.SSLContext:
    folder.mkdir()
    pair = a_pair(a_leaf(profile), new, now=NOW)
    (folder / "chain.crt").write_bytes(pair.chain_pem)
    (folder / "leaf.key").write_bytes(pair.key_pem.reveal())
    made = ssl.SSLContext(protocol)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    anchor = new.authority.root if trusts is Profile.SERVER else new.authority.issuing[trusts]
    made.load_verify_locations(cadata=anchor.public_bytes(Encoding.PEM).decode())
    made.load_cert_chain(folder / "chain.crt", folder / "leaf.key")
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Return the name that the client presented."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    certificate = ends[1].getpeercert()
    assert certificate is not None
    return str(certificate["subjectAltName"][0][1])


def lint(certificate: x509.Certificate) -> list[str]:
    """Return what a linter of RFC 5280 has to say above mere information."""
    document = loader.load_certificate(certificate.public_bytes(Encoding.DER), "a certificate")
    validator = pkix_certificate.create_pkix_certificate_validator_container(
        pkix_certificate.create_decoding_validators(
            pkix_name.ATTRIBUTE_TYPE_MAPPINGS, pkix_extension.EXTENSION_MAPPINGS
        ),
        [
            pkix_certificate.create_issuer_validator_container([]),
            pkix_certificate.create_validity_validator_container(),
            pkix_certificate.create_subject_validator_container([]),
            pkix_certificate.create_extensions_validator_container([]),
            pkix_certificate.create_spki_validator_container([]),
        ],
    )
    return [
        str(finding.finding)
        for result in validator.validate(document.root)
        for finding in result.finding_descriptions
        if finding.finding.severity < ValidationFindingSeverity.INFO
    ]


def test_a_linter_finds_nothing(new: NewAuthority) -> None:
    certificates = [new.authority.root, *new.authority.issuing.values()]
    certificates += [a_pair(a_leaf(profile), new, now=NOW).certificate for profile in Profile]
    assert {
        certificate.subject.rfc4514_string(): found for certificate in certificates if (found := lint(certificate))
    } == {}


def test_the_linter_finds_what_is_wrong() -> None:
    forgery = Forgery(a_leaf(Profile.CLIENT), signer(Profile.CLIENT), extensions={x509.AuthorityKeyIdentifier: None})
    assert lint(forgery.certificate())
