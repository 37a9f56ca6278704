from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.certificates import START, Clock, MemoryStore, a_request, an_issuer
from tests.rollovers import all_on, but
from tls import AuthorityError, Consumer, InputError, Profile, Served, bring_about, observations_from_plain, take_status

REQUEST = a_request()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, clock), REQUEST)
    return store


def test_each_certificate_is_told_with_its_days_and_where_it_is_served(store: MemoryStore, clock: Clock) -> None:
    clock.advance(days=10)
    status = take_status(store, REQUEST, all_on(store, clock()), clock())
    assert status.exit_code == 0
    assert status.root_key_is_online
    rows = {entry.place: entry for entry in status.certificates}
    assert list(rows)[:4] == ["ca/root", "ca/server", "ca/route", "ca/client"]
    assert rows["server/nats-1/"].days_left == 20
    assert rows["server/nats-1/"].served_by == ("node/nats-1",)
    assert rows["client/orders/"].served_by == ("client/orders",)
    assert rows["client/orders/"].renewal_at is not None
    plain = json.loads(json.dumps(status.to_plain()))
    assert plain["certificates"][0]["kind"] == "root"
    assert plain["phase"] == "steady"


def test_the_metrics_are_the_fewest_days_of_a_kind_in_store_and_on_the_wire(store: MemoryStore, clock: Clock) -> None:
    seen = all_on(store, clock())
    node = next(consumer for consumer in seen.consumers if consumer.name == "node/nats-1")
    stale = replace(node, serves={**node.serves, Profile.SERVER: Served("0" * 64, START + timedelta(days=3))})
    status = take_status(store, REQUEST, but(seen, stale), clock())
    days = {(metric.kind, metric.source): metric.days_left for metric in status.metrics}
    assert days == {
        ("root", "store"): 3650,
        ("issuing", "store"): 730,
        ("server", "store"): 30,
        ("route", "store"): 30,
        ("client", "store"): 30,
        ("server", "wire"): 3,
        ("route", "wire"): 30,
        ("client", "wire"): 30,
    }
    (finding,) = status.findings
    assert finding.startswith("node/nats-1 serves the server certificate 0000000000000000, and the store holds")


def test_what_is_wrong_is_a_finding(store: MemoryStore, clock: Clock) -> None:
    other = a_request(services=["orders", "quests"])
    status = take_status(store, other, None, clock())
    assert status.exit_code == 1
    assert status.findings == (
        "client/quests/ is asked for and not there; `issue` makes it",
        "client/payments/ is there and nobody asks for it; `retire` takes it away once client/payments has ended",
    )


def test_age_is_a_finding(store: MemoryStore, clock: Clock) -> None:
    clock.advance(days=23)
    status = take_status(store, None, None, clock())
    assert len(status.findings) == 5
    assert all("should have been renewed at" in finding for finding in status.findings)
    clock.advance(days=8)
    status = take_status(store, None, None, clock())
    assert all("has expired at" in finding for finding in status.findings)
    assert min(metric.days_left for metric in status.metrics) == -1
    clock.time = START - timedelta(days=1)
    assert all("is not valid before" in finding for finding in take_status(store, None, None, clock()).findings)
    clock.time = START + timedelta(days=700)
    assert any("begin a rollover" in finding for finding in take_status(store, REQUEST, None, clock()).findings)


def test_a_bundle_that_is_not_taken_up_and_a_stranger_are_findings(store: MemoryStore, clock: Clock) -> None:
    seen = all_on(store, clock())
    stale = Consumer("client/orders", trusts={"server-ca.pem": "0" * 64, "unknown.pem": "1"})
    stranger = Consumer("client/nobody", {Profile.CLIENT: Served("0" * 64, clock())})
    seen = replace(but(seen, stale), consumers=(*but(seen, stale).consumers, stranger))
    assert take_status(store, REQUEST, seen, clock()).findings == (
        "client/orders trusts another server-ca.pem than the store holds: it missed a delivery",
        "client/nobody serves a client certificate, and the store has none for it",
    )


def test_there_is_no_status_without_an_authority(clock: Clock) -> None:
    with pytest.raises(AuthorityError, match="has no authority yet; `issue` makes one"):
        take_status(MemoryStore(), None, None, clock())


def test_observations_are_read_from_plain_data() -> None:
    observations = observations_from_plain(
        {
            "taken_at": "2026-07-29T10:00:00",
            "not_running": ["client/operator"],
            "consumers": [
                {
                    "name": "node/nats-1",
                    "serves": {"server": {"fingerprint": "ab", "not_after": "2026-08-28T10:00:00Z"}},
                    "trusts": {"client-ca.pem": "cd"},
                    "peers": ["ef"],
                },
                {"name": "client/orders"},
            ],
        },
        where="a file",
    )
    assert observations.taken_at == START
    assert observations.not_running == {"client/operator"}
    node, client = observations.consumers
    assert node.serves == {Profile.SERVER: Served("ab", START + timedelta(days=30))}
    assert node.peers == ("ef",)
    assert client.peers is None


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"taken_at": "yesterday"},
        {"taken_at": "2026-07-29", "consumers": [{}]},
        {"taken_at": "2026-07-29", "consumers": [{"name": "nats-1"}]},
        {"taken_at": "2026-07-29", "consumers": [{"name": "node/n", "serves": {"other": {}}}]},
        {"taken_at": "2026-07-29", "consumers": 3},
    ],
)
def test_what_is_no_observation_is_refused(plain: object) -> None:
    with pytest.raises(InputError, match="a file holds no observations"):
        observations_from_plain(plain, where="a file")
