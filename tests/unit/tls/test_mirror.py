from __future__ import annotations

import pytest

from tests.certificates import Clock, Interference, MemoryStore, WatchedStore, a_request, an_issuer
from tls import (
    AuthorityError,
    ConflictError,
    InputError,
    VerificationError,
    audit,
    bring_about,
    mirror,
    pointers,
    read_record,
)

REQUEST = a_request()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, clock), REQUEST)
    return store


def test_all_is_published_but_the_keys_of_the_authority(source: MemoryStore, clock: Clock) -> None:
    target = MemoryStore()
    mirrored = mirror(source, target, REQUEST, clock())
    assert mirrored.authority
    assert len(mirrored.published) == 5
    assert target.keys("ca/private/") == []
    assert audit(target, REQUEST, clock()) == []
    with pytest.raises(AuthorityError, match="cannot sign"):
        bring_about(an_issuer(target, clock), REQUEST, forced=["client/orders/"])


def test_a_second_publication_changes_nothing_and_a_renewal_changes_one(source: MemoryStore, clock: Clock) -> None:
    target = MemoryStore()
    mirror(source, target, REQUEST, clock())
    before = list(target.written)
    assert mirror(source, target, REQUEST, clock()).unchanged == 5
    assert target.written == before
    bring_about(an_issuer(source, clock), REQUEST, forced=["client/orders/"])
    assert mirror(source, target, REQUEST, clock(), dry_run=True).published == ("client/orders/",)
    assert target.written == before
    assert mirror(source, target, REQUEST, clock()).published == ("client/orders/",)
    assert audit(target, REQUEST, clock()) == []
    assert pointers(target)["client/orders/"].certificate == pointers(source)["client/orders/"].certificate


def test_what_is_not_as_it_should_be_is_not_published(source: MemoryStore, clock: Clock) -> None:
    source.purge([key for key in source.keys("client/orders/") if key.endswith("key.pem")])
    target = MemoryStore()
    with pytest.raises(VerificationError, match="nothing of it was published"):
        mirror(source, target, REQUEST, clock())
    assert target.written == []


def test_the_bucket_of_another_authority_is_left_alone(source: MemoryStore, clock: Clock) -> None:
    target = MemoryStore()
    bring_about(an_issuer(target, clock), REQUEST)
    before = target.current()
    with pytest.raises(InputError, match="belongs to the authority"):
        mirror(source, target, REQUEST, clock())
    assert target.current() == before


def test_who_is_overtaken_overwrites_nothing(source: MemoryStore, clock: Clock) -> None:
    target = MemoryStore()
    other = Interference("client/orders/current.json", lambda: mirror(source, target, REQUEST, clock()))
    with pytest.raises(ConflictError, match="client/orders/"):
        mirror(source, WatchedStore(target, other), REQUEST, clock())
    assert len(target.objects["client/orders/current.json"]) == 1
    assert not mirror(source, target, REQUEST, clock()).published
    assert read_record(target) is not None
