"""The configuration of the cluster: only additions before a removal, one node at a time, all or none, and taken up after any crash."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from typing import Any

import pytest

from functions.nats_configuration import Configuration
from functions.nats_nodes import NotConfiguredError
from functions.nats_state import CLUSTER, CURRENT, State
from nats_platform.configuration import Place, render
from nats_platform.permissions import merged, wanted_users
from nats_platform.request import ClusterRequest
from tests.certificates import Crash, Interference, MemoryStore, WatchedStore, count_changes, crashing
from tests.fake_nodes import NODES, FakeNodes
from tests.fake_s3 import FakeS3
from tls import ConflictError, Store, StoreError

BUCKET = "nats"
SERVED = {"timeout_seconds": 2.0, "idempotent": True}


def a_request(*services: str, **limits: Any) -> ClusterRequest:
    """Return a request of three nodes, for services that each answer one subject."""
    return ClusterRequest.from_plain(plain_request(*services, **limits))


def plain_request(*services: str, **limits: Any) -> dict[str, Any]:
    return {
        "environment": "test",
        "node_domain": "nats.example.internal",
        "client_domain": "svc.example.internal",
        "nodes": [{"name": node, "zone": f"zone-{node}"} for node in NODES],
        "limits": {
            "store_bytes": 2**30,
            "max_payload_bytes": 2**20,
            "max_connections": 100,
            "sync_always": True,
            **limits,
        },
        "services": {service: {"serves": {f"{service}.get": SERVED}} for service in services or ("orders",)},
        "streams": {},
        "consumers": {},
        "buckets": {},
    }


class Cluster:
    """A bucket, machines, and the CDK's bucket with the assets."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.nodes = FakeNodes(self.store)
        self.s3 = FakeS3()
        self.assets = {name: self.asset(name.encode()) for name in ("server", "agent")}

    def asset(self, data: bytes) -> dict[str, str]:
        key = f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}.zip"
        self.s3.put_object(Bucket="cdk", Key=key, Body=data)
        return {"bucket": "cdk", "key": key, "sha256": hashlib.sha256(data).hexdigest()}

    def configuration(self, store: Store | None = None, *, answering: bool = True) -> Configuration:
        return Configuration(BUCKET, State(store or self.store), self.nodes.nodes if answering else None, self.s3)

    def deploy(self, *services: str, **limits: Any) -> Any:
        return self.configuration().deploy(a_request(*services, **limits), self.assets, proceed=False)

    @property
    def current(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.current()[CURRENT])
        return found

    @property
    def configured(self) -> list[str]:
        return [node for node, command in self.nodes.commands if command == "configure"]

    def running(self) -> dict[str, set[str]]:
        """Return the services that each node lets in."""
        return {
            node: set(re.findall(r'user: "(\w+)\.svc\.', machine.configuration))
            - {"operator", "provisioner", "metrics", "loadtest"}
            for node, machine in self.nodes.machines.items()
        }


def on_all(*services: str) -> dict[str, set[str]]:
    """Return that every node lets in these services."""
    return {node: set(services) for node in NODES}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_before_the_first_machine_all_that_it_needs_is_in_the_bucket(cluster: Cluster) -> None:
    cluster.nodes.machines.clear()

    brought = cluster.deploy("orders", "payments")

    assert (brought.version, list(brought.configured)) == (1, [])
    request = a_request("orders", "payments")
    for node, place in cluster.current["configuration"].items():
        stored = cluster.store.read(place["key"], place["version_id"])
        assert stored is not None
        assert stored.data.decode() == render(request, wanted_users(request), node)
        assert hashlib.sha256(stored.data).hexdigest() == place["sha256"]
    for name in ("server", "agent"):
        place = cluster.current[name]
        assert (place["bucket"], place["sha256"]) == (BUCKET, cluster.assets[name]["sha256"])
        assert cluster.store.current()[place["key"]] == name.encode()


def test_each_node_takes_its_own_configuration_up_in_order(cluster: Cluster) -> None:
    brought = cluster.deploy("orders")

    assert list(brought.configured) == cluster.configured == list(NODES)
    for node, machine in cluster.nodes.machines.items():
        assert f'server_name: "{node}"' in machine.configuration


def test_the_same_request_again_writes_nothing_and_asks_every_node(cluster: Cluster) -> None:
    cluster.deploy("orders")
    before = list(cluster.store.written)

    brought = cluster.deploy("orders")

    assert (brought.version, brought.changed) == (1, False)
    assert cluster.store.written == before
    assert cluster.configured == [*NODES, *NODES]


def test_a_removed_service_may_go_on_until_it_is_retired(cluster: Cluster) -> None:
    cluster.deploy("orders", "payments")

    cluster.deploy("orders", "invoices")

    assert cluster.running() == on_all("orders", "payments", "invoices")


def test_a_narrowed_service_keeps_what_it_could_do_until_it_is_retired(cluster: Cluster) -> None:
    wide = plain_request("orders")
    wide["services"]["orders"]["serves"]["orders.put"] = SERVED
    cluster.configuration().deploy(ClusterRequest.from_plain(wide), cluster.assets, proceed=False)

    cluster.deploy("orders")

    assert all('"orders.put q"' in machine.configuration for machine in cluster.nodes.machines.values())


def test_a_retired_service_is_out_on_every_node(cluster: Cluster) -> None:
    cluster.deploy("orders", "payments")
    cluster.deploy("orders")
    configuration = cluster.configuration()
    before = configuration.state.cluster()
    assert before.request is not None

    configuration.retire(before, wanted_users(before.request))

    assert cluster.running() == on_all("orders")
    assert cluster.deploy("orders").changed is False


def test_nothing_is_retired_that_a_deployment_asked_for_in_between(cluster: Cluster) -> None:
    """Also where what it asks for was in use already, so that users stay the same: a service that comes back."""
    cluster.deploy("orders", "payments")
    cluster.deploy("orders")
    configuration = cluster.configuration()
    before = configuration.state.cluster()
    assert before.request is not None
    cluster.deploy("orders", "payments")

    with pytest.raises(ConflictError):
        configuration.retire(before, wanted_users(before.request))

    assert cluster.running() == on_all("orders", "payments")


def test_before_any_deployment_there_is_nothing_to_retire(cluster: Cluster) -> None:
    configuration = cluster.configuration()

    with pytest.raises(ValueError, match="no deployment"):
        configuration.retire(configuration.state.cluster(), ())


@pytest.mark.parametrize("refusing", NODES)
def test_where_a_node_refuses_all_run_on_what_they_ran_on(cluster: Cluster, refusing: str) -> None:
    cluster.deploy("orders")
    before, running = cluster.current, cluster.running()
    cluster.nodes.refusals[refusing, "configure"] = "nats.conf:3:1: unknown field"

    with pytest.raises(NotConfiguredError, match=f"{refusing} did not take .*unknown field"):
        cluster.deploy("orders", "payments")

    cluster.nodes.refusals.clear()
    assert cluster.running() == running
    assert {**cluster.current, "version": 0} == {**before, "version": 0}
    assert [user.identity for user in State(cluster.store).cluster().users if "payments" in user.identity] == []
    # A machine that boots now runs on what the others do.
    assert cluster.current["version"] == before["version"] + 2


def test_after_the_first_that_refuses_nobody_else_is_asked(cluster: Cluster) -> None:
    cluster.deploy("orders")
    cluster.nodes.commands.clear()
    cluster.nodes.refusals["nats-2", "configure"] = "no"

    with pytest.raises(NotConfiguredError):
        cluster.deploy("orders", "payments")

    assert cluster.configured == ["nats-1", "nats-2", "nats-1"]


def test_what_was_refused_can_be_deployed_once_the_node_follows(cluster: Cluster) -> None:
    cluster.deploy("orders")
    cluster.nodes.refusals["nats-3", "configure"] = "no"
    with pytest.raises(NotConfiguredError):
        cluster.deploy("orders", "payments")
    cluster.nodes.refusals.clear()

    cluster.deploy("orders", "payments")

    assert cluster.running() == on_all("orders", "payments")


def test_on_its_way_back_a_stack_leaves_a_node_behind_that_does_not_follow(cluster: Cluster) -> None:
    cluster.deploy("orders", max_connections=100)
    cluster.nodes.refusals["nats-1", "configure"] = "DeliveryTimedOut"

    brought = cluster.configuration().deploy(a_request("orders", max_connections=50), cluster.assets, proceed=True)

    assert list(brought.configured) == ["nats-2", "nats-3"]
    assert "max_connections: 50" in cluster.nodes.machines["nats-3"].configuration


def test_where_no_node_answers_everything_is_in_the_bucket_and_nobody_is_asked(cluster: Cluster) -> None:
    brought = cluster.configuration(answering=False).deploy(a_request("orders"), cluster.assets, proceed=False)

    assert list(brought.configured) == []
    assert cluster.nodes.commands == []
    assert set(cluster.current["configuration"]) == set(NODES)


def test_a_new_server_changes_what_machines_boot_from_and_no_configuration(cluster: Cluster) -> None:
    cluster.deploy("orders")
    before = cluster.current
    cluster.assets["server"] = cluster.asset(b"another server")

    cluster.deploy("orders")

    assert cluster.current["server"]["sha256"] == cluster.assets["server"]["sha256"]
    assert cluster.current["configuration"] == before["configuration"]
    assert cluster.current["version"] == 2


def test_an_asset_that_is_not_what_the_deployment_said_stops_it_before_anything_is_changed(cluster: Cluster) -> None:
    cluster.s3.put_object(Bucket="cdk", Key=cluster.assets["server"]["key"], Body=b"tampered with")

    with pytest.raises(StoreError, match="is not what has the checksum"):
        cluster.deploy("orders")

    assert CURRENT not in cluster.store.current()
    assert CLUSTER not in cluster.store.current()


@pytest.mark.parametrize("between", [CLUSTER, CURRENT])
def test_two_deployments_at_once_end_with_what_both_asked_for(cluster: Cluster, between: str) -> None:
    cluster.deploy("orders")
    other = Interference(between, lambda: cluster.deploy("orders", "invoices"))
    store = WatchedStore(cluster.store, other)

    cluster.configuration(store).deploy(a_request("orders", "payments"), cluster.assets, proceed=False)

    assert other.done
    assert cluster.running() == on_all("orders", "payments", "invoices")


def changes_of_a_deployment() -> int:
    cluster = Cluster()
    cluster.deploy("orders")
    return count_changes(
        cluster.store,
        lambda store: cluster.configuration(store).deploy(
            a_request("orders", "payments"), cluster.assets, proceed=False
        ),
    )


@pytest.mark.parametrize("after", range(changes_of_a_deployment() + 1))
def test_a_deployment_that_ended_anywhere_is_taken_up_by_the_next(cluster: Cluster, after: int) -> None:
    cluster.deploy("orders")
    request = a_request("orders", "payments")
    if after < changes_of_a_deployment():
        with pytest.raises(Crash):
            cluster.configuration(crashing(cluster.store, after)).deploy(request, cluster.assets, proceed=False)
        # Whoever could connect still can.
        assert all({"orders"} <= services for services in cluster.running().values())

    cluster.deploy("orders", "payments")

    assert cluster.running() == on_all("orders", "payments")
    for node, machine in cluster.nodes.machines.items():
        place = cluster.current["configuration"][node]
        stored = cluster.store.read(place["key"], place["version_id"])
        assert stored is not None
        assert machine.configuration == stored.data.decode()


@pytest.mark.parametrize("node", NODES)
def test_a_deployment_that_ended_between_two_nodes_is_taken_up_by_the_next(cluster: Cluster, node: str) -> None:
    cluster.deploy("orders")

    def end(asked: str, command: str) -> None:
        if (asked, command) == (node, "configure"):
            raise Crash

    cluster.nodes.before = end
    with pytest.raises(Crash):
        cluster.deploy("orders", "payments")
    cluster.nodes.before = lambda *_: None

    cluster.deploy("orders", "payments")

    assert cluster.running() == on_all("orders", "payments")


@pytest.mark.parametrize("after", [5, 6])  # five changes are the way there, two the way back
def test_a_way_back_that_ended_anywhere_is_taken_up_by_the_next(cluster: Cluster, after: int) -> None:
    """CloudFormation asks for the former request again, whatever the run before it had come to."""
    cluster.deploy("orders")
    cluster.nodes.refusals["nats-3", "configure"] = "no"
    with pytest.raises(Crash):
        cluster.configuration(crashing(cluster.store, after)).deploy(
            a_request("orders", "payments", max_connections=7), cluster.assets, proceed=False
        )
    cluster.nodes.refusals.clear()

    cluster.configuration().deploy(a_request("orders"), cluster.assets, proceed=True)

    for machine in cluster.nodes.machines.values():
        assert "max_connections: 100" in machine.configuration
        assert 'user: "orders.svc' in machine.configuration


def test_whatever_comes_after_whatever_nobody_who_runs_is_refused(cluster: Cluster) -> None:
    """All sequences of three deployments of two services, each with its retirement or without."""
    choices = [("orders",), ("orders", "payments"), ("payments",)]
    for sequence in itertools.product(itertools.product(choices, (False, True)), repeat=2):
        cluster = Cluster()
        runs: set[str] = set()
        for services, retires in sequence:
            cluster.deploy(*services)
            assert all(runs | set(services) <= let_in for let_in in cluster.running().values())
            runs = set(services)
            if retires:
                configuration = cluster.configuration()
                before = configuration.state.cluster()
                assert before.request is not None
                configuration.retire(before, wanted_users(before.request))
                assert all(runs == let_in for let_in in cluster.running().values())


def test_users_are_kept_as_they_are_rendered(cluster: Cluster) -> None:
    cluster.deploy("orders", "payments")
    request = a_request("orders", "payments")

    kept = State(cluster.store).cluster()

    assert kept.users == merged((), wanted_users(request))
    assert kept.request is not None
    assert kept.request.to_plain() == dataclasses.replace(request).to_plain()


def test_nodes_on_one_machine_are_configured_for_where_they_stand_and_anew_when_that_changes() -> None:
    cluster = Cluster()
    here = {node: Place(client_port=5000 + index) for index, node in enumerate(NODES)}
    before = dataclasses.replace(cluster.configuration(answering=False), places=here)
    before.deploy(a_request(), cluster.assets, proceed=False)

    def rendered() -> list[str]:
        configuration = State(cluster.store).current().configuration
        stored = [cluster.store.read(configuration[node]["key"]) for node in NODES]
        return [one.data.decode() for one in stored if one]

    assert [
        f'listen: "0.0.0.0:{place.client_port}"' in text for place, text in zip(here.values(), rendered(), strict=True)
    ] == [True] * 3
    moved = dataclasses.replace(cluster.configuration(), places={**here, "nats-1": Place(client_port=6000)})
    assert moved.place_anew().changed
    assert 'listen: "0.0.0.0:6000"' in rendered()[0]
    assert not cluster.nodes.commands  # they take it up when they boot
    assert not moved.place_anew().changed


def test_nothing_can_be_placed_before_a_deployment_has_asked_for_it() -> None:
    with pytest.raises(ValueError, match="no deployment has asked"):
        Cluster().configuration().place_anew()
