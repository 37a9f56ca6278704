from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.certificates import Clock, MemoryStore, WatchedStore, a_request, an_issuer
from tls import ConflictError, Delivered, NoNodes, Passphrase, Release, audit, bring_about, pointers, retire
from tls.store import MANIFEST, Write

REQUEST = a_request()
FEWER = a_request(services=["orders"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, clock), REQUEST)
    return store


def test_only_what_nothing_uses_is_retired(store: MemoryStore, clock: Clock) -> None:
    report = bring_about(an_issuer(store, clock), FEWER)
    assert report.superfluous == ("client/payments/",)
    assert report.retired == ()
    assert "client/payments/" in pointers(store)
    report = bring_about(an_issuer(store, clock), FEWER, unused=lambda: ["client/payments/"])
    assert report.retired == ("client/payments/",)
    assert store.keys("client/payments/") == []
    assert b"payments" not in store.current()[MANIFEST]
    assert audit(store, FEWER, clock()) == []


def test_what_is_asked_for_is_never_retired(store: MemoryStore, clock: Clock) -> None:
    everything = {leaf.prefix for leaf in REQUEST.leaves}
    retirement = retire(store, REQUEST, unused=everything, now=clock())
    assert retirement.retired == retirement.kept == ()
    assert set(pointers(store)) == everything


def test_a_name_that_comes_back_meanwhile_is_not_retired(store: MemoryStore, clock: Clock) -> None:
    interfering = WatchedStore(store, lambda kind, _: comes_back() if kind == "delete" else None)

    def comes_back() -> None:
        bring_about(an_issuer(store, clock), REQUEST, forced=["client/payments/"])

    with pytest.raises(ConflictError, match="was given a new certificate"):
        retire(interfering, FEWER, unused={"client/payments/"}, now=clock())
    assert audit(store, REQUEST, clock()) == []


def test_a_name_that_comes_back_in_the_middle_of_its_retirement_keeps_its_new_certificate(
    store: MemoryStore, clock: Clock
) -> None:
    came_back: list[str] = []

    def comes_back(kind: str, key: str) -> None:
        if kind == "purge" and key.startswith("client/payments/") and not came_back:
            came_back.append(key)
            bring_about(an_issuer(store, clock), REQUEST)

    retire(WatchedStore(store, comes_back), FEWER, unused={"client/payments/"}, now=clock())
    assert came_back
    assert audit(store, REQUEST, clock()) == []


def test_what_is_unused_is_asked_after_everything_else(store: MemoryStore, clock: Clock) -> None:
    """A delivery takes minutes, in which somebody may come back."""
    done: list[str] = []

    class Nodes(NoNodes):
        def deliver(self, release: Release) -> Sequence[Delivered]:
            done.append("delivered")
            return super().deliver(release)

    def unused() -> list[str]:
        done.append("asked")
        return []

    bring_about(an_issuer(store, clock, delivery=Nodes()), FEWER, unused=unused)
    assert done == ["delivered", "asked"]


def test_replaced_pairs_stay_until_they_have_expired(store: MemoryStore, clock: Clock) -> None:
    first = pointers(store)["client/orders/"].version
    clock.advance(days=25)
    bring_about(an_issuer(store, clock), REQUEST)
    assert store.keys(f"client/orders/{first}/")
    clock.advance(days=4)
    retire(store, REQUEST, unused=(), now=clock())
    assert store.keys(f"client/orders/{first}/")
    clock.advance(days=2)
    retire(store, REQUEST, unused=(), now=clock())
    assert not store.keys(f"client/orders/{first}/")
    assert audit(store, REQUEST, clock()) == []


def test_half_a_pair_stays_while_somebody_may_be_writing_it(store: MemoryStore, clock: Clock) -> None:
    half = "client/orders/20260729T100000Z-0123456789ab/key.pem"
    store.write_all([Write(half, b"half"), Write("client/orders/by-hand/note.txt", b"mine")])
    clock.advance(days=1)
    retire(store, REQUEST, unused=(), now=clock())
    assert store.keys(half)
    clock.advance(days=2)
    retire(store, REQUEST, unused=(), now=clock())
    assert not store.keys(half)
    assert store.keys("client/orders/by-hand/")  # what bears no date of ours is not ours to remove


def test_a_damaged_chain_without_a_pointer_is_cleared_away(store: MemoryStore, clock: Clock) -> None:
    key = "client/orders/20260729T100000Z-0123456789ab/chain.pem"
    store.write_all([Write(key, b"garbage")])
    clock.advance(days=3)
    retire(store, REQUEST, unused=(), now=clock())
    assert not store.keys(key)


def test_a_retirement_needs_no_passphrase(store: MemoryStore, clock: Clock) -> None:
    def forbidden() -> Passphrase:
        raise AssertionError

    bring_about(an_issuer(store, clock, passphrase=forbidden), FEWER, unused=lambda: ["client/payments/"])


def test_what_a_pointer_names_is_never_cleared_away_not_even_by_a_clock_far_ahead(
    store: MemoryStore, clock: Clock
) -> None:
    before = store.current()
    retire(store, REQUEST, unused=(), now=clock() + timedelta(days=400))
    assert store.current() == before
