"""Runs that change a store, for tests that end them in the middle; `python -m tests.crashes` kills them on a directory.

Wherever a run ended, readers must find what they can use, and the next run must complete it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.certificates import PASSPHRASE, Clock, a_request, an_issuer
from tests.rollovers import all_on
from tls import (
    DirectoryStore,
    Passphrase,
    Phase,
    Profile,
    Sources,
    Store,
    advance,
    audit,
    begin,
    bring_about,
    go_back,
    pointers,
    read_record,
    retire,
)
from tls.authority_store import issuing_signer
from tls.pairs import hold
from tls.verification import pair_findings

REQUEST = a_request()
FEWER = a_request(services=["orders"])


def issue(store: Store, clock: Clock) -> object:
    return bring_about(an_issuer(store, clock), REQUEST)


def begin_rollover(store: Store, clock: Clock) -> object:
    return begin(store, REQUEST, passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(clock), requester="a test")


def finish_rollover(store: Store, clock: Clock) -> object:
    return advance(store, Phase.STEADY, all_on(store, clock()), clock())


def give_up_rollover(store: Store, clock: Clock) -> object:
    record = read_record(store)
    assert record is not None
    if record.record.phase is Phase.STEADY:  # it was given up already
        return None
    return go_back(store, all_on(store, clock()), clock())


def retire_payments(store: Store, clock: Clock) -> object:
    return retire(store, FEWER, unused={"client/payments/"}, now=clock())


def nothing(store: Store, clock: Clock) -> None:
    del store, clock


def grow_old(store: Store, clock: Clock) -> None:
    issue(store, clock)
    clock.advance(days=25)


def begin_to_roll_over(store: Store, clock: Clock) -> None:
    issue(store, clock)
    begin_rollover(store, clock)


def roll_over_up_to_the_end(store: Store, clock: Clock) -> None:
    begin_to_roll_over(store, clock)
    advance(store, Phase.ISSUE_BY_NEW, all_on(store, clock()), clock())
    issue(store, clock)
    advance(store, Phase.NOBODY_ON_OLD, all_on(store, clock()), clock())


@dataclass(frozen=True)
class Scenario:
    """A run, and what there was before it."""

    prepare: Callable[[Store, Clock], object]
    run: Callable[[Store, Clock], object]


SCENARIOS = {
    "the first issue": Scenario(nothing, issue),
    "a renewal": Scenario(grow_old, issue),
    "the begin of a rollover": Scenario(issue, begin_rollover),
    "the end of a rollover": Scenario(roll_over_up_to_the_end, finish_rollover),
    "the way back from a rollover": Scenario(begin_to_roll_over, give_up_rollover),
    "a retirement": Scenario(issue, retire_payments),
}


def valid_pairs(store: Store, clock: Clock) -> set[str]:
    """Return the places of the current pairs that a reader could use right now, and prove each of them."""
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


def prove_completion(store: Store, clock: Clock, scenario: Scenario, before: set[str], where: str) -> None:
    """Prove that nothing valid was lost where a run ended, and that the next one completes it and leaves nothing behind."""
    retires = scenario.run is retire_payments
    assert valid_pairs(store, clock) >= before - ({"client/payments/"} if retires else set()), where
    _prove_keys(store, where)
    scenario.run(store, clock)
    request = FEWER if retires else REQUEST
    bring_about(an_issuer(store, clock), request)
    assert audit(store, request, clock()) == [], where
    assert set(pointers(store)) == {leaf.prefix for leaf in request.leaves}, where
    assert not retires or store.keys("client/payments/") == [], where
    # What was left behind goes once nobody can be at work on it any more, and nothing else does.
    retire(store, request, unused=(), now=clock() + timedelta(days=4))
    assert audit(store, request, clock()) == [], where
    authorities = {authority.id for authority in read_record(store).record.authorities}  # type: ignore[union-attr]
    folders = {key.split("/")[2] for key in store.keys("ca/private/")}
    assert {folder for folder in folders if not folder.startswith("root-")} == authorities, where


def _prove_keys(store: Store, where: str) -> None:
    """Prove that whoever is trusted can sign: a rollover could not go back to an authority without keys."""
    stored = read_record(store)
    for authority in () if stored is None else stored.record.authorities:
        for profile in Profile:
            assert issuing_signer(store, authority, profile, Passphrase(PASSPHRASE)), where


def kill_before_each_change(scenario: Scenario, base: Path) -> int:
    """Kill a run on a directory before each thing that it changes there, one after the other; return how often."""
    clock = Clock()
    scenario.prepare(DirectoryStore(base / "origin"), clock)
    (base / "origin").mkdir(exist_ok=True)
    before = valid_pairs(DirectoryStore(base / "origin"), clock)
    for count in range(1000):
        root = base / str(count)
        shutil.copytree(base / "origin", root)
        root.chmod(0o700)
        child = os.fork()
        if child == 0:
            _die_before_change(count)
            scenario.run(DirectoryStore(root), clock)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended == 0:
            return count
        assert ended == _KILLED, ended
        prove_completion(DirectoryStore(root), clock, scenario, before, f"killed before change {count}")
        assert not list((root / ".staging").glob("*.new"))
        shutil.rmtree(root)
    raise AssertionError("it never ran to its end")


_KILLED = 9


def _die_before_change(count: int) -> None:
    """End this process, with no time for anything more, before its nth change of what a reader could see."""
    left = iter(range(count))

    def lethal(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            is_staged = name == "unlink" and str(path).endswith(".new")
            if not is_staged and next(left, None) is None:
                os._exit(_KILLED)
            return real(path, *arguments, **options)

        return call

    for name in ("replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, lethal(name))


def _no_sync(fd: object) -> None:
    del fd


if __name__ == "__main__":
    os.fsync = _no_sync  # a kill loses nothing that was written, and the disk would be most of the time
    print(kill_before_each_change(SCENARIOS[sys.argv[1]], Path(sys.argv[2])))  # noqa: T201
