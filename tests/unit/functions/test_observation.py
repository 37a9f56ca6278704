"""What the nodes say becomes what the certificate authority decides on: a whole rollover is carried out on nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.observation import SsmObserver
from tests.certificates import PASSPHRASE, Clock, MemoryStore, a_request, an_issuer
from tests.fake_nodes import FakeNodes, Machine
from tls import (
    GateError,
    Observations,
    Passphrase,
    Phase,
    Sources,
    advance,
    begin,
    bring_about,
    observations_from_plain,
    pointers,
    require_record,
)

CLUSTER = "gaming-system-test"


class Wire(FakeNodes):
    """One node and one client, `orders`, that take up what the store holds when they are told to."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.machines = {"nats-1": Machine("i-1")}
        self.served: dict[str, Any] = {}
        self.trusted: dict[str, str] = {}
        self.connected: dict[str, list[str]] = {}
        self.take_up()

    def take_up(self) -> None:
        current, record = pointers(self.store), require_record(self.store).record
        self.served = {
            profile: {
                "fingerprint": current[f"{profile}/nats-1/"].certificate.fingerprint,
                "not_after": current[f"{profile}/nats-1/"].certificate.not_after.isoformat(),
            }
            for profile in ("server", "route")
        }
        self.trusted = {name: file.sha256 for name, file in record.files.items()}
        self.connected = {"orders.svc.acme.internal": [current["client/orders/"].certificate.fingerprint]}

    def _status(self, node: str, request: Any) -> dict[str, Any]:
        return {
            **super()._status(node, request),
            "serves": self.served,
            "trusts": self.trusted,
            "peers": [one for all_of in self.connected.values() for one in all_of],
            "clients": self.connected,
        }


class Ecs:
    """The tasks of `orders`, by the time at which each was started."""

    def __init__(self, *started: datetime | None) -> None:
        self.started = started
        self._family = ""

    def get_paginator(self, operation: str) -> Ecs:
        assert operation == "list_tasks"
        return self

    def paginate(self, *, cluster: str, family: str) -> list[dict[str, Any]]:
        assert cluster == CLUSTER
        return [{"taskArns": [str(n) for n, _ in enumerate(self.started)] if family.endswith("-orders") else []}]

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert cluster == CLUSTER
        return {"tasks": [{"startedAt": at} if (at := self.started[int(task)]) else {} for task in tasks]}


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, Clock(datetime.now(UTC))), request())
    return store


def request() -> Any:
    return a_request(services=["orders"], identities=["operator"])


def look(wire: Wire, *started: datetime | None) -> Observations:
    observer = SsmObserver(wire.nodes, wire.store, CLUSTER, Ecs(*started))
    return observer.observe()


def test_everybody_is_seen_as_what_it_is(store: MemoryStore) -> None:
    wire = Wire(store)

    seen = look(wire, datetime.now(UTC))

    assert [consumer.name for consumer in seen.consumers] == ["node/nats-1", "client/orders"]
    assert seen.not_running == {"client/operator"}
    node, client = seen.consumers
    assert node.peers == tuple(wire.connected["orders.svc.acme.internal"])
    (served,) = client.serves.values()
    assert served.not_after == pointers(store)["client/orders/"].certificate.not_after


def test_a_node_that_says_nothing_is_told_of_and_leaves_clients_unseen(store: MemoryStore) -> None:
    wire = Wire(store)
    wire.machines["nats-1"].answers = False

    plain, silent = SsmObserver(wire.nodes, store, CLUSTER, Ecs()).look()

    assert silent == ["nats-1 did not say what it serves: DeliveryTimedOut"]
    seen = observations_from_plain(plain, where="the test")
    assert (seen.consumers, seen.not_running) == ((), frozenset())


def test_a_service_with_tasks_and_no_connection_is_not_known_not_to_run(store: MemoryStore) -> None:
    wire = Wire(store)
    wire.connected = {}

    assert look(wire, None).not_running == {"client/operator"}
    assert look(wire).not_running == {"client/operator", "client/orders"}


def test_a_certificate_from_before_is_seen_with_its_own_end(store: MemoryStore) -> None:
    wire = Wire(store)
    before = pointers(store)["client/orders/"].certificate.not_after
    later = Clock(datetime.now(UTC) + timedelta(days=1))
    bring_about(an_issuer(store, later), request(), forced=["client/orders/"])

    (_, client) = look(wire, datetime.now(UTC)).consumers

    assert [served.not_after for served in client.serves.values()] == [before]


def test_each_certificate_that_a_client_still_presents_is_seen(store: MemoryStore) -> None:
    """One of two tasks has taken up the new one, and the other not yet."""
    wire = Wire(store)
    before = wire.connected["orders.svc.acme.internal"]
    bring_about(an_issuer(store, Clock(datetime.now(UTC))), request(), forced=["client/orders/"])
    wire.connected["orders.svc.acme.internal"] = [pointers(store)["client/orders/"].certificate.fingerprint, *before]

    clients = look(wire, datetime.now(UTC)).consumers[1:]

    assert [client.name for client in clients] == ["client/orders"] * 2
    seen = {served.fingerprint for client in clients for served in client.serves.values()}
    assert seen == set(wire.connected["orders.svc.acme.internal"])


@pytest.mark.parametrize(("started", "trusts"), [(-1, False), (1, True)])
def test_a_client_trusts_the_bundle_that_held_when_its_oldest_task_began(
    store: MemoryStore, *, started: int, trusts: bool
) -> None:
    wire = Wire(store)
    since = require_record(store).record.changed_at

    (_, client) = look(wire, since + timedelta(seconds=started), since + timedelta(hours=1)).consumers

    assert bool(client.trusts) is trusts


def test_a_whole_rollover_is_carried_out_on_what_the_nodes_say(store: MemoryStore) -> None:
    clock = Clock(datetime.now(UTC) - timedelta(minutes=1))
    wire = Wire(store)
    begin(store, request(), passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(clock), requester="a test")
    new = require_record(store).record.authorities[1].id
    now = datetime.now(UTC)
    with pytest.raises(GateError, match="node/nats-1 does not trust both yet"):
        advance(store, Phase.ISSUE_BY_NEW, look(wire, now), datetime.now(UTC))
    wire.take_up()
    with pytest.raises(GateError, match="client/orders does not trust both yet"):
        advance(store, Phase.ISSUE_BY_NEW, look(wire, now - timedelta(days=1)), datetime.now(UTC))

    advance(store, Phase.ISSUE_BY_NEW, look(wire, now), clock())
    bring_about(an_issuer(store, Clock(datetime.now(UTC))), request())
    with pytest.raises(GateError, match="live connection with the certificate"):
        advance(store, Phase.NOBODY_ON_OLD, look(wire, now), datetime.now(UTC))
    wire.take_up()
    advance(store, Phase.NOBODY_ON_OLD, look(wire, now), clock())
    advance(store, Phase.STEADY, look(wire, now), datetime.now(UTC))

    assert [authority.id for authority in require_record(store).record.authorities] == [new]
