"""Three NATS machines as one cluster, under load: killed, sent away, rolled; backed up, wiped, restored; and closed to intruders."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nats_platform.node.server import UNIT
from tests.nats_load import EVENT, EVENTS, PARALLEL, PUBLISHER, lost, under_load
from tests.nats_machines import BUCKET, CERTIFICATES, NODES, Machines, encoded, machines, waited_for

pytestmark = pytest.mark.integration

GATE = ("gate", "--timeout-seconds", "60", "--span-seconds", "2")
# The one thing that is not as it is rendered: nobody here needs ten seconds to be ready to be sent away.
GRACE, SHORT_GRACE = 'lame_duck_grace_period: "10s"', 'lame_duck_grace_period: "1s"'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[Machines]:
    """A whole cluster with what the catalog has in JetStream."""
    with machines(tmp_path_factory.mktemp("cluster") / "m", fleet_bucket) as cluster:
        texts = {node: cluster.configuration(node) for node in NODES}
        assert all(GRACE in text for text in texts.values())
        cluster.write_current({node: text.replace(GRACE, SHORT_GRACE) for node, text in texts.items()})
        cluster.boot()
        cluster.wait_until_whole()
        cluster["nats-1"].json("streams", encoded(asked(cluster)))
        yield cluster


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> None:
    """Begin each test with every node there."""
    cluster: Machines = request.getfixturevalue("cluster")
    for machine in cluster.machines.values():
        machine.systemd.start()
    cluster.wait_until_whole()


def asked(cluster: Machines, **changes: Any) -> dict[str, Any]:
    """Return what the catalog asks of JetStream, in part changed."""
    whole = {key: dict(getattr(cluster.request, key)) for key in ("streams", "consumers", "buckets")}
    return {**whole, **changes}


def changed_events(cluster: Machines, **changes: Any) -> dict[str, Any]:
    return asked(cluster, streams={EVENTS: {**cluster.request.streams[EVENTS], **changes}})


async def publish(cluster: Machines, count: int, size_bytes: int = 500) -> None:
    """Have messages kept that cannot be compressed, so that a snapshot is as large as they are."""
    client = await cluster.connect(PUBLISHER)
    try:
        jetstream = client.jetstream()
        await asyncio.gather(*(jetstream.publish(EVENT, os.urandom(size_bytes)) for _ in range(count)))
    finally:
        await client.close()


# --- failure and roll --------------------------------------------------------------------------------------------------------


async def test_a_killed_node_costs_few_requests_and_no_acknowledged_message(cluster: Machines) -> None:
    # The one that the requests go through, and that says what of the stream is kept.
    leader = await asyncio.to_thread(cluster.stream_leader, EVENTS)
    async with under_load(cluster, at=leader, request_seconds=1) as load:
        await asyncio.to_thread(cluster[leader].systemd.kill)
        await load.more(100)
        await asyncio.to_thread(cluster[leader].systemd.start)
        await load.more(50)

    # Each asks again after a second without an answer, and nobody asks in vain more than twice.
    assert len(load.failed) <= 2 * PARALLEL, load.failed
    await asyncio.to_thread(cluster.wait_until_whole)
    assert await lost(cluster, load) == []


async def test_a_node_that_leaves_costs_no_request_at_all(cluster: Machines) -> None:
    leader = await asyncio.to_thread(cluster.meta_leader)
    async with under_load(cluster, at=leader) as load:
        told = await asyncio.to_thread(cluster[leader].json, "leave")
        await load.more(50)

    assert told == {"outcome": "left", "node": leader, "was_meta_leader": True, "handed_over": True}
    assert load.moved >= 2  # who asks, and who publishes
    assert load.failed == []
    assert await lost(cluster, load) == []


async def test_all_machines_are_replaced_one_by_one_without_a_failed_request_or_a_lost_message(
    cluster: Machines,
) -> None:
    leader = await asyncio.to_thread(cluster.meta_leader)
    order = [*(node for node in NODES if node != leader), leader]
    async with under_load(cluster) as load:
        for node in order:
            machine = cluster[node]
            await asyncio.to_thread(machine.json, "leave")
            await asyncio.to_thread(machine.replace)
            await asyncio.to_thread(cluster.boot, node)
            gate = await asyncio.to_thread(machine.json, *GATE)
            assert gate["good"], gate
        await load.more(20)

    assert load.failed == []
    assert load.answered > 100
    assert await lost(cluster, load) == []


async def test_a_leave_of_a_node_that_has_left_is_no_fault(cluster: Machines) -> None:
    machine = cluster["nats-2"]
    machine.json("leave")

    assert machine.json("leave")["outcome"] == "left"
    assert machine.systemd.calls.count(f"stop {UNIT}") >= 2


def test_the_gate_stays_shut_while_a_node_is_away_and_tells_which(cluster: Machines) -> None:
    cluster["nats-3"].systemd.kill()

    def told_which() -> bool:
        result = cluster["nats-1"].run("gate", "--timeout-seconds", "3", "--span-seconds", "1")
        assert result.returncode == 1
        assert not json.loads(result.stdout)["good"]
        return "nats-3" in result.stderr  # at first its own health may be worse than that

    waited_for(told_which, "it told which node is away")


# --- who gets in -------------------------------------------------------------------------------------------------------------


def test_a_services_certificate_does_not_open_the_route_port(cluster: Machines) -> None:
    machine, context = cluster["nats-1"], cluster.context("settings-nats")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    told = machine.log().count("TLS route handshake error")
    with socket.create_connection(("127.0.0.1", machine.route_port), timeout=5) as plain:
        plain.settimeout(5)
        with contextlib.suppress(OSError), context.wrap_socket(plain) as wrapped:  # refused as soon as it is seen
            assert wrapped.recv(1) == b""

    waited_for(lambda: machine.log().count("TLS route handshake error") > told, "the server told of the intruder")
    assert {route["remote_name"] for route in machine.get("/routez")["routes"]} == {"nats-2", "nats-3"}


async def test_status_shows_who_is_connected_with_which_certificate(cluster: Machines) -> None:
    client = await cluster.connect("settings-nats", "nats-2")
    try:
        seen = await asyncio.to_thread(cluster["nats-2"].json, "status")
    finally:
        await client.close()

    bucket = cluster.buckets / CERTIFICATES
    pointer = json.loads((bucket / "client/settings-nats/current.json").read_text())
    record = json.loads((bucket / "ca/certificates/current.json").read_text())
    server = json.loads((bucket / "server/nats-2/current.json").read_text())
    fingerprint = pointer["certificate"]["fingerprint"]
    assert seen["clients"] == {"settings-nats.svc.gaming-system.internal": [fingerprint]}
    assert seen["peers"] == [fingerprint]
    assert seen["serves"]["server"]["fingerprint"] == server["certificate"]["fingerprint"]
    assert seen["trusts"] == {name: file["sha256"] for name, file in record["files"].items()}
    assert seen["routes"] == ["nats-1", "nats-3"]


def test_metrics_count_who_was_refused_and_tell_what_the_server_said(cluster: Machines) -> None:
    machine = cluster["nats-1"]
    machine.json("metrics")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = ("127.0.0.2", 0)  # from elsewhere: who comes from the machine itself is the agent
    with socket.create_connection(("127.0.0.1", machine.port), timeout=5, source_address=address) as plain:
        plain.recv(4096)
        with contextlib.suppress(OSError), context.wrap_socket(plain) as wrapped:
            wrapped.recv(1)
    waited_for(lambda: "127.0.0.2" in json.dumps(machine.get("/connz?state=closed")), "the server closed it")
    lines = [{"MESSAGE": text, "__REALTIME_TIMESTAMP": "1000000", "__CURSOR": text} for text in ("one", "two")]
    (machine.root / "journal").write_text("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines))

    told = [machine.json("metrics") for _ in range(2)]

    assert [each["nats"]["authentication_failures"] for each in told] == [1, 0]
    assert told[0]["nats"]["routes_missing"] == 0
    assert told[0]["nats-jetstream"]["leaderless"] == told[0]["nats-jetstream"]["unhealthy"] == 0
    assert [event["message"] for event in machine.sent("server")] == ["one", "two"]
    assert {json.loads(event["message"])["Service"] for event in machine.sent("metrics")} == {"nats", "nats-jetstream"}


def test_a_node_whose_server_is_dead_tells_that_and_nothing_it_cannot_know(cluster: Machines) -> None:
    cluster["nats-3"].systemd.kill()

    told = cluster["nats-3"].json("metrics")

    assert told["nats-jetstream"] == {"unhealthy": 1.0}
    assert set(told["nats"]) == {"disk_used_percent", "memory_used_percent"}


# --- streams -----------------------------------------------------------------------------------------------------------------


def test_what_the_catalog_asks_for_is_there_and_a_second_run_changes_nothing(cluster: Machines) -> None:
    told = cluster["nats-2"].json("streams", encoded(asked(cluster)))

    assert told == {"dry_run": False, "changed": [], "refused": [], "kept": []}
    details = cluster["nats-1"].get("/jsz?streams=1&config=1")["account_details"][0]["stream_detail"]
    assert {detail["name"] for detail in details} == {
        EVENTS,
        *(f"KV_{bucket}" for bucket in cluster.request.buckets),
    }
    assert {detail["config"]["num_replicas"] for detail in details} == {3}


def test_two_nodes_are_brought_to_the_catalog_when_the_third_has_just_died(cluster: Machines) -> None:
    leader = cluster.meta_leader()
    victim, asked_one = (node for node in NODES if node != leader)
    cluster[victim].systemd.kill()  # what it led has nobody for some seconds, who could tell of it

    told = cluster[asked_one].json("streams", encoded(asked(cluster)))

    assert told == {"dry_run": False, "changed": [], "refused": [], "kept": []}


async def test_a_change_that_would_lose_messages_is_refused_and_the_rest_is_done(cluster: Machines) -> None:
    await publish(cluster, 20)
    wanted = changed_events(cluster, max_bytes=1000)
    wanted["buckets"] = {**wanted["buckets"], "new-one": {"max_bytes": 1_000_000, "history": 1, "ttl_seconds": None}}

    result = await asyncio.to_thread(cluster["nats-1"].run, "streams", encoded(wanted))

    told = json.loads(result.stdout)
    assert result.returncode == 1
    assert (told["changed"], len(told["refused"])) == (["stream KV_new-one: made"], 1), told
    assert "max_bytes 1000 is less than" in told["refused"][0]
    after = await asyncio.to_thread(cluster["nats-1"].json, "streams", encoded(asked(cluster)))
    assert after["kept"] == ["stream KV_new-one"]
    assert after["changed"] == []


async def test_a_loss_that_is_allowed_is_done_and_a_dry_run_does_nothing(cluster: Machines) -> None:
    await publish(cluster, 20)
    wanted = {**changed_events(cluster, retention="interest"), "allow_data_loss": [EVENTS]}

    plan = await asyncio.to_thread(cluster["nats-1"].json, "streams", "--dry-run", encoded(wanted))
    still = await messages(cluster)
    done = await asyncio.to_thread(cluster["nats-1"].json, "streams", encoded(wanted))
    again = await asyncio.to_thread(cluster["nats-1"].json, "streams", encoded(wanted))
    await asyncio.to_thread(cluster["nats-1"].json, "streams", encoded({**asked(cluster), "allow_data_loss": [EVENTS]}))

    assert plan["changed"][0] == done["changed"][0]
    assert "made anew" in plan["changed"][0]
    assert len(still) >= 20
    assert again["changed"] == []


# --- backup and restore ------------------------------------------------------------------------------------------------------


async def messages(cluster: Machines) -> dict[int, bytes]:
    """Return all messages of the events by their sequences."""
    client = await cluster.connect("provisioner")
    try:
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(EVENTS)).state
        sequences = range(state.first_seq, state.last_seq + 1) if state.messages else range(0)
        return {sequence: (await jetstream.get_msg(EVENTS, sequence)).data or b"" for sequence in sequences}
    finally:
        await client.close()


async def test_a_backup_gives_back_messages_consumers_and_buckets_after_all_was_lost(cluster: Machines) -> None:
    await publish(cluster, 60, size_bytes=200_000)  # more than the server sends without hearing of what arrived
    before = await messages(cluster)
    owner = await cluster.connect("settings-nats")
    bucket = await owner.jetstream().key_value("settings")
    await bucket.put("volume", b"11")
    machine = cluster["nats-1"]
    told = await asyncio.to_thread(machine.json, "backup")
    client = await cluster.connect("provisioner")
    for stream in (EVENTS, "KV_settings"):
        await client.jetstream().delete_stream(stream)

    restored = await asyncio.to_thread(
        cluster["nats-2"].json, "restore", encoded({"backup": told["backup"], "streams": [EVENTS, "KV_settings"]})
    )

    assert restored["restored"] == [EVENTS, "KV_settings"]
    assert told["bytes"] > 60 * 200_000
    assert await messages(cluster) == before
    assert (await bucket.get("volume")).value == b"11"
    await owner.close()
    consumers = await client.jetstream().consumers_info(EVENTS)
    assert {consumer.name for consumer in consumers} == {"quest-progress", "story-progress"}
    await client.close()
    assert (await asyncio.to_thread(machine.json, "metrics"))["nats-jetstream"]["replica_lag"] >= 0
    assert (await asyncio.to_thread(machine.json, "streams", encoded(asked(cluster))))["changed"] == []


async def test_a_stream_that_holds_messages_is_restored_only_when_told(cluster: Machines) -> None:
    await publish(cluster, 5)
    kept = await messages(cluster)
    machine = cluster["nats-1"]
    await asyncio.to_thread(machine.json, "backup")
    await publish(cluster, 5)

    refused = await asyncio.to_thread(machine.run, "restore", encoded({"backup": "latest", "streams": [EVENTS]}))
    more = await messages(cluster)
    request = {"backup": "latest", "streams": [EVENTS], "overwrite": True}
    await asyncio.to_thread(machine.json, "restore", encoded(request))

    assert refused.returncode == 1
    assert f"{EVENTS} holds {len(more)} messages" in refused.stderr
    assert len(more) == len(kept) + 5
    assert await messages(cluster) == kept


async def test_a_backup_that_was_changed_or_is_not_whole_or_lacks_the_stream_is_not_restored(cluster: Machines) -> None:
    await publish(cluster, 5)
    before = await messages(cluster)
    machine = cluster["nats-1"]
    told = await asyncio.to_thread(machine.json, "backup")
    folder = cluster.buckets / BUCKET / "backups" / told["backup"]
    snapshot = folder / f"{EVENTS}.tar.s2"
    data = snapshot.read_bytes()
    request = encoded({"backup": told["backup"], "overwrite": True})

    misspelt = encoded({"backup": told["backup"], "streams": ["EVENT"], "overwrite": True})
    unknown = await asyncio.to_thread(machine.run, "restore", misspelt)
    snapshot.write_bytes(data[:-1])
    cut = await asyncio.to_thread(machine.run, "restore", request)
    snapshot.write_bytes(data)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"environment": "test"', '"environment": "prod"'))
    changed = await asyncio.to_thread(machine.run, "restore", request)
    another = json.loads(manifest.read_text())
    another["streams"][EVENTS]["state"]["last_seq"] += 1
    manifest.write_text(json.dumps(another))
    marker = json.loads((folder / "COMPLETE").read_text())
    marker["manifest_sha256"] = hashlib.sha256(manifest.read_bytes()).hexdigest()
    (folder / "COMPLETE").write_text(json.dumps(marker))
    named = encoded({"backup": told["backup"], "streams": [EVENTS], "overwrite": True})
    differing = await asyncio.to_thread(machine.run, "restore", named)
    (folder / "COMPLETE").unlink()
    unfinished = await asyncio.to_thread(machine.run, "restore", request)

    assert "the backup has no EVENT; it has EVENTS, KV_" in unknown.stderr
    assert f"{EVENTS}.tar.s2 has the checksum" in cut.stderr
    assert "manifest.json has the checksum" in changed.stderr
    assert f"{EVENTS} is not what was backed up: last_seq" in differing.stderr
    assert "COMPLETE cannot be fetched" in unfinished.stderr
    assert await messages(cluster) == before


async def test_a_backup_that_the_bucket_refuses_on_the_way_leaves_the_last_one_the_last(cluster: Machines) -> None:
    machine = cluster["nats-1"]
    last = await asyncio.to_thread(machine.json, "backup")
    (machine.root / "refuse-writes").write_text("/KV_")

    failed = await asyncio.to_thread(machine.run, "backup")

    (machine.root / "refuse-writes").unlink()
    assert failed.returncode == 1
    assert "/KV_" in failed.stderr
    assert "AccessDenied" in failed.stderr
    assert max(path.parent.name for path in (cluster.buckets / BUCKET).glob("backups/*/COMPLETE")) == last["backup"]
    latest = json.loads((cluster.buckets / BUCKET / "backups/latest.json").read_text())
    assert latest["backup"] == last["backup"]
