"""A process that ends between any two changes of the store: the next run completes, and nothing that was valid is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.certificates import (
    PASSPHRASE,
    START,
    Clock,
    Crash,
    MemoryStore,
    a_request,
    an_issuer,
    count_changes,
    crashing,
)
from tests.rollovers import all_on
from tls import (
    Passphrase,
    Phase,
    Sources,
    Store,
    advance,
    audit,
    begin,
    bring_about,
    pointers,
    read_record,
    retire,
)
from tls.pairs import hold
from tls.verification import pair_findings

REQUEST = a_request()
FEWER = a_request(services=["orders"])
Run = Callable[[Store, Clock], object]


def issue(store: Store, clock: Clock) -> object:
    return bring_about(an_issuer(store, clock), REQUEST)


def begin_rollover(store: Store, clock: Clock) -> object:
    return begin(store, REQUEST, passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(clock), requester="a test")


def finish_rollover(store: Store, clock: Clock) -> object:
    return advance(store, Phase.STEADY, all_on(store, clock()), clock())


def retire_payments(store: Store, clock: Clock) -> object:
    return retire(store, FEWER, unused={"client/payments/"}, now=clock())


def empty() -> tuple[MemoryStore, Clock]:
    return MemoryStore(), Clock()


def issued() -> tuple[MemoryStore, Clock]:
    store, clock = empty()
    issue(store, clock)
    return store, clock


def aged() -> tuple[MemoryStore, Clock]:
    store, clock = issued()
    clock.advance(days=25)
    return store, clock


def almost_rolled_over() -> tuple[MemoryStore, Clock]:
    store, clock = issued()
    begin_rollover(store, clock)
    advance(store, Phase.ISSUE_BY_NEW, all_on(store, clock()), clock())
    issue(store, clock)
    advance(store, Phase.NOBODY_ON_OLD, all_on(store, clock()), clock())
    return store, clock


def valid_pairs(store: Store, clock: Clock) -> set[str]:
    """Return the fingerprints of the current pairs that a reader could use right now, and prove each of them."""
    record = read_record(store)
    if record is None:
        return set()
    trusted = {authority.id: authority for authority in record.record.authorities}
    found = set()
    for leaf in REQUEST.leaves:
        held = hold(store, [leaf.prefix])[leaf.prefix]
        assert held.damage is None, f"a reader of {leaf.prefix} would see half of it: {held.damage}"
        if held.pointer is not None and held.pair is not None and held.pointer.authority in trusted:
            assert pair_findings(held.pair, leaf, trusted[held.pointer.authority], now=clock()) == []
            found.add(leaf.prefix)
    return found


@pytest.mark.parametrize(
    ("begin_with", "run"),
    [
        (empty, issue),
        (aged, issue),
        (issued, begin_rollover),
        (almost_rolled_over, finish_rollover),
    ],
    ids=["the first issue", "a renewal", "the begin of a rollover", "the end of a rollover"],
)
def test_a_crash_between_any_two_changes_loses_nothing(
    begin_with: Callable[[], tuple[MemoryStore, Clock]], run: Run
) -> None:
    origin, clock = begin_with()
    changes = count_changes(_copy(origin), lambda store: run(store, clock))
    assert changes > 1
    for after in range(changes):
        store = _copy(origin)
        before = valid_pairs(store, clock)
        with pytest.raises(Crash):
            run(crashing(store, after), clock)
        assert valid_pairs(store, clock) >= before, f"after {after} changes"
        run(store, clock)
        bring_about(an_issuer(store, clock), REQUEST)
        assert audit(store, REQUEST, clock()) == [], f"after {after} changes"
        # What the crash left behind goes once nobody can be at work on it any more, and nothing else does.
        clock_later = Clock(clock() + timedelta(days=4))
        retire(store, REQUEST, unused=(), now=clock_later())
        assert audit(store, REQUEST, clock()) == [], f"after {after} changes"
        authorities = {authority.id for authority in read_record(store).record.authorities}  # type: ignore[union-attr]
        folders = {key.split("/")[2] for key in store.keys("ca/private/")}
        assert {folder for folder in folders if not folder.startswith("root-")} == authorities


def test_a_retirement_that_crashes_is_completed_by_the_next() -> None:
    origin, clock = issued()
    changes = count_changes(_copy(origin), lambda store: retire_payments(store, clock))
    for after in range(changes):
        store = _copy(origin)
        with pytest.raises(Crash):
            retire_payments(crashing(store, after), clock)
        assert hold(store, ["client/payments/"])["client/payments/"].damage is None
        retire_payments(store, clock)
        assert store.keys("client/payments/") == []
        assert set(pointers(store)) == {leaf.prefix for leaf in FEWER.leaves}


def test_a_renewal_that_crashes_again_and_again_comes_to_an_end() -> None:
    """Each run gets a little further than the one before, as on a machine that keeps losing power."""
    store, clock = aged()
    for after in range(0, 200, 3):
        try:
            bring_about(an_issuer(crashing(store, after), clock), REQUEST)
        except Crash:
            assert valid_pairs(store, clock) == {leaf.prefix for leaf in REQUEST.leaves}
        else:
            break
    assert audit(store, REQUEST, clock()) == []
    assert clock() == START + timedelta(days=25)


def _copy(store: MemoryStore) -> MemoryStore:
    other = MemoryStore()
    other.objects = {key: list(versions) for key, versions in store.objects.items()}
    other.written = list(store.written)
    return other
