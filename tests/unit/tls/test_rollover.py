from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from tests.certificates import PASSPHRASE, Clock, MemoryStore, a_request, an_issuer
from tests.rollovers import all_on, but
from tls import (
    AuthorityError,
    AuthorityRecord,
    Consumer,
    GateError,
    InputError,
    Observations,
    Passphrase,
    Phase,
    Profile,
    Served,
    Sources,
    advance,
    audit,
    begin,
    bring_about,
    go_back,
    pointers,
    require_record,
)
from tls.store import AUTHORITY_PREFIX

REQUEST = a_request()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, clock), REQUEST)
    return store


def start(store: MemoryStore, clock: Clock, *, keeps_root: bool = False) -> AuthorityRecord:
    clock.advance(minutes=1)
    return begin(
        store,
        REQUEST,
        passphrase=lambda: Passphrase(PASSPHRASE),
        sources=Sources(clock),
        requester="a test",
        keeps_root=keeps_root,
    )


def step(store: MemoryStore, to: Phase, clock: Clock) -> AuthorityRecord:
    clock.advance(minutes=1)
    return advance(store, to, all_on(store, clock()), clock())


def issue(store: MemoryStore, clock: Clock) -> int:
    return len(bring_about(an_issuer(store, clock), REQUEST).issued)


def bundle(store: MemoryStore, name: str) -> list[x509.Certificate]:
    record = require_record(store).record
    stored = store.read(f"{AUTHORITY_PREFIX}{record.version}/{name}")
    assert stored is not None
    return x509.load_pem_x509_certificates(stored.data)


def shut(store: MemoryStore, to: Phase, seen: Observations, clock: Clock) -> tuple[str, ...]:
    before = store.current()
    with pytest.raises(GateError) as error:
        advance(store, to, seen, clock())
    assert store.current() == before
    return error.value.findings


def test_a_rollover_from_its_begin_to_its_end(store: MemoryStore, clock: Clock) -> None:
    old = require_record(store).record.issuing
    record = start(store, clock)
    new = record.authorities[1].id
    assert (record.phase, record.issuing) == (Phase.TRUST_BOTH, old)
    assert len(bundle(store, "server-ca.pem")) == 2
    assert issue(store, clock) == 0  # the old one goes on issuing

    record = step(store, Phase.ISSUE_BY_NEW, clock)
    assert record.issuing == new
    assert issue(store, clock) == 5
    assert {pointer.authority for pointer in pointers(store).values()} == {new}
    assert audit(store, REQUEST, clock()) == []

    step(store, Phase.NOBODY_ON_OLD, clock)
    assert len(bundle(store, "client-ca.pem")) == 2  # still both: everything can go back
    record = step(store, Phase.STEADY, clock)
    assert [authority.id for authority in record.authorities] == [new]
    assert len(bundle(store, "server-ca.pem")) == len(bundle(store, "client-ca.pem")) == 1
    assert not store.keys(f"ca/private/{old}/")
    assert len(store.keys("ca/private/")) == 4
    assert audit(store, REQUEST, clock()) == []
    assert issue(store, clock) == 0
    start(store, clock)


def test_clients_trust_roots_and_nodes_trust_only_who_issues_for_the_use_that_they_verify(
    store: MemoryStore, clock: Clock
) -> None:
    """With the root among them a route certificate would do as a client's, and a service's would join the cluster."""
    authorities = start(store, clock).authorities
    assert bundle(store, "server-ca.pem") == [authority.root for authority in authorities]
    assert bundle(store, "client-ca.pem") == [authority.issuing[Profile.CLIENT] for authority in authorities]
    assert bundle(store, "route-ca.pem") == [authority.issuing[Profile.ROUTE] for authority in authorities]


def test_the_root_can_stay(store: MemoryStore, clock: Clock) -> None:
    root = require_record(store).record.issuer.root
    record = start(store, clock, keeps_root=True)
    assert [authority.root for authority in record.authorities] == [root, root]
    assert bundle(store, "server-ca.pem") == [root]
    assert len(bundle(store, "route-ca.pem")) == 2
    step(store, Phase.ISSUE_BY_NEW, clock)
    issue(store, clock)
    step(store, Phase.NOBODY_ON_OLD, clock)
    step(store, Phase.STEADY, clock)
    assert any(key.endswith("/root.pem") for key in store.keys("ca/private/"))
    assert audit(store, REQUEST, clock()) == []
    start(store, clock, keeps_root=True)


def test_a_root_that_is_offline_cannot_stay(store: MemoryStore, clock: Clock) -> None:
    store.purge([key for key in store.keys("ca/private/") if key.endswith("root.pem")])
    with pytest.raises(AuthorityError, match="`root restore`"):
        start(store, clock, keeps_root=True)
    start(store, clock)


def test_no_phase_is_skipped(store: MemoryStore, clock: Clock) -> None:
    for to in (Phase.ISSUE_BY_NEW, Phase.NOBODY_ON_OLD, Phase.TRUST_BOTH):
        with pytest.raises(InputError, match="`rollover begin` begins one"):
            step(store, to, clock)
    start(store, clock)
    for to in (Phase.NOBODY_ON_OLD, Phase.STEADY):
        with pytest.raises(InputError, match="the next one is issue-by-new, and none is skipped"):
            step(store, to, clock)
    step(store, Phase.ISSUE_BY_NEW, clock)
    with pytest.raises(InputError, match="the next one is nobody-on-old"):
        step(store, Phase.STEADY, clock)
    with pytest.raises(InputError, match="`begin` is for steady"):
        start(store, clock)


def test_a_phase_that_has_begun_begins_again_without_a_change(store: MemoryStore, clock: Clock) -> None:
    start(store, clock)
    before = store.current()
    start(store, clock)
    assert store.current() == before
    step(store, Phase.ISSUE_BY_NEW, clock)
    before = store.current()
    step(store, Phase.ISSUE_BY_NEW, clock)
    assert store.current() == before


def test_nobody_issues_by_the_new_one_before_all_trust_it(store: MemoryStore, clock: Clock) -> None:
    before = all_on(store, clock())
    start(store, clock)
    seen = all_on(store, clock())
    late = [consumer for consumer in before.consumers if consumer.name in {"node/nats-1", "client/orders"}]
    findings = shut(store, Phase.ISSUE_BY_NEW, but(seen, *late), clock)
    assert [finding.partition(" yet")[0] for finding in findings] == [
        "node/nats-1 does not trust both", "node/nats-1 does not trust both", "client/orders does not trust both",
    ]  # fmt: skip
    findings = shut(store, Phase.ISSUE_BY_NEW, but(seen, without="client/payments"), clock)
    assert findings == ("client/payments was not looked at",)
    findings = shut(store, Phase.ISSUE_BY_NEW, Observations(clock()), clock)
    assert len(findings) == 4
    findings = shut(store, Phase.ISSUE_BY_NEW, but(seen, Consumer("client/orders")), clock)
    assert "its server-ca.pem is none that was se" in findings[0]


def test_who_is_known_not_to_run_is_not_waited_for(store: MemoryStore, clock: Clock) -> None:
    start(store, clock)
    seen = replace(but(all_on(store, clock()), without="client/operator"), not_running=frozenset({"client/operator"}))
    assert advance(store, Phase.ISSUE_BY_NEW, seen, clock()).phase is Phase.ISSUE_BY_NEW


def test_old_observations_prove_nothing(store: MemoryStore, clock: Clock) -> None:
    start(store, clock)
    seen = all_on(store, clock())
    stale = replace(seen, taken_at=clock() - timedelta(seconds=1))
    assert "before the phase began" in shut(store, Phase.ISSUE_BY_NEW, stale, clock)[0]
    future = replace(seen, taken_at=clock() + timedelta(hours=1))
    assert "has not come yet" in shut(store, Phase.ISSUE_BY_NEW, future, clock)[0]
    clock.advance(minutes=16)
    assert "ago" in shut(store, Phase.ISSUE_BY_NEW, seen, clock)[0]


def test_the_old_one_is_not_dropped_while_anything_uses_it(store: MemoryStore, clock: Clock) -> None:
    start(store, clock)
    step(store, Phase.ISSUE_BY_NEW, clock)
    before = all_on(store, clock())
    findings = shut(store, Phase.NOBODY_ON_OLD, before, clock)
    assert sum("`issue` renews it" in finding for finding in findings) == 5
    assert sum("has a live connection" in finding for finding in findings) == 3
    issue(store, clock)
    seen = all_on(store, clock())
    old_orders = next(consumer for consumer in before.consumers if consumer.name == "client/orders")
    (finding,) = shut(store, Phase.NOBODY_ON_OLD, but(seen, old_orders), clock)
    assert finding.startswith("client/orders serves the client certificate")
    node = next(consumer for consumer in seen.consumers if consumer.name == "node/nats-1")
    old_peer = old_orders.serves[Profile.CLIENT].fingerprint
    (finding,) = shut(store, Phase.NOBODY_ON_OLD, but(seen, replace(node, peers=(old_peer,))), clock)
    assert finding.startswith("node/nats-1 has a live connection with the certificate")
    (finding,) = shut(store, Phase.NOBODY_ON_OLD, but(seen, replace(node, peers=("f" * 64,))), clock)
    assert finding.endswith("of nobody we know")
    (finding,) = shut(store, Phase.NOBODY_ON_OLD, but(seen, replace(node, peers=None)), clock)
    assert finding == "nobody looked at the connections of node/nats-1"
    (finding,) = shut(
        store,
        Phase.NOBODY_ON_OLD,
        but(seen, replace(node, serves={Profile.SERVER: node.serves[Profile.SERVER]})),
        clock,
    )
    assert finding == "nobody looked at the route certificate of node/nats-1"
    # The last step looks once more.
    advance(store, Phase.NOBODY_ON_OLD, seen, clock())
    assert shut(store, Phase.STEADY, but(seen, old_orders), clock)


def test_a_live_connection_with_an_older_certificate_of_the_new_one_is_no_hindrance(
    store: MemoryStore, clock: Clock
) -> None:
    start(store, clock)
    step(store, Phase.ISSUE_BY_NEW, clock)
    issue(store, clock)
    first = all_on(store, clock())
    bring_about(an_issuer(store, clock), REQUEST, forced=["client/orders/"])
    node = next(consumer for consumer in first.consumers if consumer.name == "node/nats-1")
    seen = but(all_on(store, clock()), node)
    assert advance(store, Phase.NOBODY_ON_OLD, seen, clock()).phase is Phase.NOBODY_ON_OLD


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_until_the_last_step_everything_can_go_back(store: MemoryStore, clock: Clock, depth: int) -> None:
    old = require_record(store).record.issuing
    start(store, clock)
    if depth > 1:
        step(store, Phase.ISSUE_BY_NEW, clock)
        issue(store, clock)
    if depth > 2:
        step(store, Phase.NOBODY_ON_OLD, clock)
    if depth > 1:
        record = go_back(store, None, clock.advance(minutes=1))
        assert (record.phase, record.issuing) == (Phase.TRUST_BOTH, old)
        with pytest.raises(GateError, match="`issue` renews it"):
            go_back(store, all_on(store, clock()), clock())
        assert issue(store, clock) == 5
    with pytest.raises(InputError, match="observations are needed"):
        go_back(store, None, clock())
    record = go_back(store, all_on(store, clock()), clock())
    assert record.phase is Phase.STEADY
    assert [authority.id for authority in record.authorities] == [old]
    assert len(store.keys("ca/private/")) == 4
    assert audit(store, REQUEST, clock()) == []
    with pytest.raises(InputError, match="no rollover is under way"):
        go_back(store, None, clock())


def test_a_rollover_belongs_to_its_environment_and_needs_an_authority(store: MemoryStore, clock: Clock) -> None:
    with pytest.raises(InputError, match="belongs to 'test'"):
        begin(
            store,
            a_request(environment="prod"),
            passphrase=lambda: Passphrase(PASSPHRASE),
            sources=Sources(clock),
            requester="x",
        )
    with pytest.raises(AuthorityError, match="has no authority yet"):
        start(MemoryStore(), clock)


def test_a_rollover_changes_domains_and_kinds_of_keys(store: MemoryStore, clock: Clock) -> None:
    other = a_request(key_type="ed25519")
    begin(store, other, passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(clock), requester="x")
    step(store, Phase.ISSUE_BY_NEW, clock)
    assert len(bring_about(an_issuer(store, clock), other).issued) == 5
    assert audit(store, other, clock()) == []


def test_what_is_served_by_nobody_known_is_no_proof(store: MemoryStore, clock: Clock) -> None:
    start(store, clock)
    step(store, Phase.ISSUE_BY_NEW, clock)
    issue(store, clock)
    seen = all_on(store, clock())
    stranger = Consumer("client/orders", {Profile.CLIENT: Served("e" * 64, clock())})
    (finding,) = shut(store, Phase.NOBODY_ON_OLD, but(seen, stranger), clock)
    assert finding.endswith("of nobody we know")
