"""Whatever is asked for: what is issued verifies, and what may not stand in a certificate is refused before any key is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.certificates import START, Clock, MemoryStore, a_request, an_authority, an_issuer, plain_request, signer
from tls import (
    CertificateRequest,
    DamageError,
    KeyType,
    Passphrase,
    Profile,
    RequestError,
    Secret,
    Sources,
    audit,
    bring_about,
    pointers,
)
from tls.authority import issue_leaf
from tls.keys import from_pem, generate, to_pem
from tls.names import dns_name_fault, is_within, label_fault
from tls.pointer import FileReference, Pointer
from tls.renewal import renewal_moment
from tls.request_faults import faults_of
from tls.verification import pair_findings

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    "environment",
    "organization",
    "client_domain",
    "node_domain",
    "nodes",
    "services",
    "identities",
    "key_type",
    "lifetimes",
)


@st.composite
def requests(draw: st.DrawFn) -> CertificateRequest:
    names = draw(st.lists(LABELS, min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(min_value=1, max_value=len(names)))
    nodes = draw(st.lists(LABELS, min_size=1, max_size=3, unique=True))
    return a_request(
        services=names[:cut],
        identities=names[cut:],
        nodes=[{"name": name} for name in nodes],
        lifetimes={"leaf_days": draw(st.integers(min_value=1, max_value=398))},
    )


@given(requests(), st.integers(min_value=0, max_value=600))
@settings(max_examples=25, deadline=None)
def test_every_chain_that_is_issued_verifies(request: CertificateRequest, days: int) -> None:
    new = an_authority()
    now = START + timedelta(days=days)
    for leaf in request.leaves:
        pair = issue_leaf(
            leaf,
            signer(leaf.profile),
            organization=request.organization,
            key_type=request.key_type,
            lifetime=timedelta(days=request.lifetimes.leaf_days),
            sources=Sources(lambda: now),
        )
        assert pair_findings(pair, leaf, new.authority, now=now, key_type=KeyType.P256) == []
        policy = PolicyBuilder().store(Store([new.authority.root])).time(now)
        if leaf.profile is not Profile.CLIENT:
            policy.build_server_verifier(x509.DNSName(leaf.dns_names[0])).verify(pair.certificate, [pair.issuer])
        if leaf.profile is not Profile.SERVER:
            policy.build_client_verifier().verify(pair.certificate, [pair.issuer])
        else:
            with pytest.raises(VerificationError):
                policy.build_client_verifier().verify(pair.certificate, [pair.issuer])


@given(requests())
@settings(max_examples=10, deadline=None)
def test_a_store_holds_just_what_is_asked_for_and_a_second_run_changes_nothing(request: CertificateRequest) -> None:
    store, clock = MemoryStore(), Clock()
    bring_about(an_issuer(store, clock), request)
    assert set(pointers(store)) == {leaf.prefix for leaf in request.leaves}
    assert audit(store, request, clock()) == []
    written = list(store.written)
    bring_about(an_issuer(store, clock), request)
    assert store.written == written


@given(st.text(max_size=80))
def test_a_name_is_taken_only_if_it_is_a_plain_label(name: str) -> None:
    if label_fault(name) is None:
        assert name.isascii()
        assert name == name.lower()
        assert 1 <= len(name) <= 63
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert x509.DNSName(name).value == name
    else:
        with pytest.raises(RequestError) as error:
            a_request(services=[name])
        assert all(finding.isascii() and "\n" not in finding for finding in error.value.findings)


@given(LABELS, LABELS)
def test_a_label_stays_within_its_domain_only(name: str, domain: str) -> None:
    assert is_within(f"{name}.{domain}.internal", f"{domain}.internal")
    assert not is_within(f"{name}{domain}.internal", f"{domain}.internal")
    assert dns_name_fault(f"{name}.{domain}.internal") is None


@given(PLAIN)
@settings(max_examples=200)
def test_no_plain_data_breaks_the_check(plain: Any) -> None:
    faults = faults_of(plain)
    assert faults
    assert all(str(fault) for fault in faults)


@given(st.sampled_from(KEYS), PLAIN)
@settings(max_examples=200)
def test_no_value_of_a_key_breaks_the_check(key: str, value: Any) -> None:
    plain = plain_request(**{key: value})
    if faults_of(plain):
        with pytest.raises(RequestError):
            CertificateRequest.from_plain(plain)
    else:
        request = CertificateRequest.from_plain(plain)
        assert CertificateRequest.from_plain(request.to_plain()) == request


@given(st.text(min_size=1), st.integers(min_value=1, max_value=398 * 86_400))
def test_a_renewal_comes_between_half_of_a_life_and_a_third_before_its_end(identity: str, seconds: int) -> None:
    end = START + timedelta(seconds=seconds)
    moment = renewal_moment(identity, START, end)
    life = end - START
    assert START + life * 0.6 <= moment <= end - life / 3 + timedelta(microseconds=2)
    assert moment == renewal_moment(identity, START, end)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=16, max_size=60))
@settings(max_examples=10, deadline=None)
def test_a_key_comes_back_from_its_encryption(text: str) -> None:
    assume("\x00" not in text)
    key = generate(KeyType.P256)
    pem = to_pem(key, Passphrase(text))
    assert b"ENCRYPTED" in pem.reveal()
    assert to_pem(from_pem(pem, Passphrase(text), name="a key")) == to_pem(key)


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_garbage_is_never_a_key_nor_quoted(data: bytes) -> None:
    with pytest.raises(DamageError, match=r"^key\.pem is no private key that can be read$"):
        from_pem(Secret(data), name="key.pem")


@given(st.text(max_size=20), st.none() | st.text(max_size=20))
def test_a_pointer_comes_back_from_its_json(version: str, version_id: str | None) -> None:
    store, clock = _issued()
    pointer = next(iter(pointers(store).values()))
    other = Pointer(version, dict.fromkeys(pointer.files, FileReference("00", version_id)), "a", pointer.certificate)
    assert Pointer.from_json(other.to_json(), name="a pointer") == other
    assert clock() == START


def _issued() -> tuple[MemoryStore, Clock]:
    if not _STORE.written:
        bring_about(an_issuer(_STORE, Clock()), a_request())
    return _STORE, Clock()


_STORE = MemoryStore()
