"""The stateful half of the local plane: NATS machines and a cache that run as EC2, Systems Manager and ElastiCache say."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from catalog import names
from functions.nats_nodes import Nodes
from nats_platform.commander import Commander
from tests.cache_server import ONCE
from tests.local_machines import LocalMachines, until
from tests.nats_machines import NODES

pytestmark = pytest.mark.integration

PASSWORD, OTHER = "a-password-of-the-shop", "another-password-of-it"
ACCESS = "on ~shop:* &shop:* -@all +@string +@connection"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[LocalMachines]:
    """A local AWS with three machines and a cache, and the plane that runs them."""
    made = LocalMachines(tmp_path_factory.mktemp("local"), fleet_bucket)
    try:
        made.start()
        made.seed()
        yield made
    finally:
        made.end()


@pytest.fixture
def whole(world: LocalMachines) -> LocalMachines:
    """Begin with every node there."""
    world.wait_until_whole()
    return world


@pytest.fixture
def nodes(whole: LocalMachines) -> Nodes:
    """Systems Manager, as the platform's functions ask it."""
    commander = Commander(whole.account.ec2, whole.account.ssm, sleep=lambda _: time.sleep(0.1))
    return Nodes("local", names.nats_document_prefix("local"), commander)


def current(world: LocalMachines) -> dict[str, Any]:
    body = world.account.s3.get_object(Bucket=world.bucket(names.nats_bucket), Key="current.json")["Body"]
    read: dict[str, Any] = json.loads(body.read())
    return read


def test_each_instance_runs_the_server_and_the_configuration_that_the_bucket_names(
    nodes: Nodes, whole: LocalMachines
) -> None:
    wanted = current(whole)
    for node, machine in nodes.machines().items():
        told = nodes.run("status", machine).answer
        assert told["server_sha256"] == wanted["server"]["sha256"]
        assert told["configuration_sha256"] == wanted["configuration"][node]["sha256"]
        assert told["routes"] == sorted(set(NODES) - {node})


def test_a_command_runs_on_the_machine_that_it_names_and_ends_as_the_machine_says(
    nodes: Nodes, whole: LocalMachines
) -> None:
    machine = nodes.machines()["nats-2"]
    taken = nodes.run("configure", machine, current(whole)["configuration"]["nats-2"])
    refused = nodes.run("configure", machine, {**current(whole)["configuration"]["nats-2"], "sha256": "0" * 64})
    assert taken.succeeded
    assert taken.output.startswith("unchanged: sha256:")
    assert (refused.status, refused.succeeded) == ("Failed", False)
    assert "has the checksum" in refused.errors


def test_systems_manager_knows_the_machines_that_run_as_online(nodes: Nodes, whole: LocalMachines) -> None:
    listed = whole.account.ssm.describe_instance_information()["InstanceInformationList"]
    assert {one["InstanceId"] for one in listed if one["PingStatus"] == "Online"} == set(nodes.machines().values())


def test_numbers_and_log_of_a_node_reach_cloudwatch_each_minute(whole: LocalMachines) -> None:
    def streams() -> set[str]:
        told = whole.account.logs.describe_log_streams(logGroupName=names.nats_log_group("local"))["logStreams"]
        return {stream["logStreamName"] for stream in told}

    until(lambda: {f"{node}/{kind}" for node in NODES for kind in ("metrics", "server")} <= streams(), "all were sent")
    sent = whole.account.logs.get_log_events(
        logGroupName=names.nats_log_group("local"), logStreamName="nats-1/metrics", startFromHead=True
    )["events"]
    assert json.loads(sent[0]["message"])["Node"] == "nats-1"


def test_a_node_that_is_cut_off_is_missed_and_comes_back_when_it_is_mended(whole: LocalMachines) -> None:
    whole.ask("cut", name="nats-2")
    until(lambda: not whole.routes("nats-2"), "it had no route left")
    until(lambda: whole.row("nats-2")["health"] == "unhealthy", "it was told of as unhealthy")
    assert whole.routes("nats-1") == {"nats-3"}
    assert whole.status("nodes")["cut_off"] == ["nats-2"]
    whole.ask("mend", name="nats-2")
    whole.wait_until_whole()
    assert whole.routes("nats-2") == {"nats-1", "nats-3"}


def test_a_server_that_is_killed_is_started_again_by_its_unit(whole: LocalMachines) -> None:
    before = whole.row("nats-3")
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: whole.row("nats-3")["pid"] not in {None, before["pid"]}, "it was started again")
    assert whole.row("nats-3")["restarts"] == before["restarts"] + 1


def test_the_next_machine_of_a_slot_stands_on_the_disk_of_the_one_before(nodes: Nodes, whole: LocalMachines) -> None:
    before, root = nodes.machines()["nats-3"], whole.places.root("nats-3")
    (root / "var/lib/nats/of-the-first").touch()
    (root / "etc/of-the-first").touch()
    whole.account.ec2.terminate_instances(InstanceIds=[before])
    until(lambda: nodes.machines().get("nats-3", before) != before, "its group had started another")
    until(lambda: not (root / "etc/of-the-first").exists(), "the plane ran another")
    whole.wait_until_whole()
    assert (root / "var/lib/nats/of-the-first").exists()


# The cache


@pytest.fixture(scope="module")
def cache(world: LocalMachines) -> Callable[..., redis.Redis]:
    """Give clients of the cache, whose group lets in the shop and nobody else."""
    elasticache = world.account.elasticache
    elasticache.create_user(Engine="valkey", UserName="shop", UserId="shop", AccessString=ACCESS, Passwords=[PASSWORD])
    elasticache.create_user(
        Engine="valkey", UserName="default", UserId="nobody", AccessString="off -@all", Passwords=[OTHER]
    )
    elasticache.create_user_group(UserGroupId="fleet", Engine="valkey", UserIds=["shop", "nobody"])
    elasticache.create_replication_group(
        ReplicationGroupId="fleet",
        ReplicationGroupDescription="of the tests",
        Engine="valkey",
        NumCacheClusters=2,
        UserGroupIds=["fleet"],
    )
    until(lambda: all(row["health"] == "healthy" for row in world.cache_rows()), "both servers were well")

    def client(username: str | None, password: str | None, port: int = 0) -> redis.Redis:
        return redis.Redis(
            host="localhost",
            port=port or world.places.cache["endpoint"],
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=str(world.folder / "plane/cache/certificate.pem"),
            socket_timeout=20,
            retry=ONCE,
            decode_responses=True,
        )

    return client


def test_the_cache_opens_to_its_user_over_tls_and_to_nobody_else(cache: Callable[..., redis.Redis]) -> None:
    with cache("shop", PASSWORD) as mine:
        mine.set("shop:a", "1")
        assert mine.get("shop:a") == "1"
        with pytest.raises(redis.exceptions.NoPermissionError):
            mine.get("other:a")
    for name, password in (("shop", OTHER), ("default", OTHER), (None, None)):
        with cache(name, password) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_password_that_elasticache_has_taken_opens_the_cache_at_once(
    world: LocalMachines, cache: Callable[..., redis.Redis]
) -> None:
    world.account.elasticache.modify_user(UserId="shop", Passwords=[PASSWORD, OTHER])
    with cache("shop", OTHER) as mine:
        assert mine.ping()
    world.account.elasticache.modify_user(UserId="shop", Passwords=[PASSWORD])
    with cache("shop", OTHER) as mine, pytest.raises(redis.AuthenticationError):
        mine.ping()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_the_cache_fails_over_to_its_replica_with_what_it_holds(
    world: LocalMachines, cache: Callable[..., redis.Redis], how: signal.Signals
) -> None:
    failovers = world.status("cache")["failovers"]
    primary, replica = world.cache_rows()
    with cache("shop", PASSWORD) as mine, cache("shop", PASSWORD, replica["port"]) as other:
        mine.set("shop:kept", how.name)
        # What has not reached the replica yet would be lost, as in AWS.
        until(lambda: other.get("shop:kept") == how.name, "the replica had it")
    os.kill(primary["pid"], how)
    until(lambda: world.status("cache")["failovers"] == failovers + 1, "the replica led")
    with cache("shop", PASSWORD) as mine:
        assert mine.get("shop:kept") == how.name
    until(lambda: all(row["health"] == "healthy" for row in world.cache_rows()), "the first was back as the replica")
    until(lambda: world.leading_member() == f"fleet-00{replica['name'][-1]}", "ElastiCache told who leads")


@pytest.mark.usefixtures("cache")
def test_each_server_of_the_cache_is_measured_under_the_name_of_its_node(world: LocalMachines) -> None:
    members = world.account.elasticache.describe_replication_groups()["ReplicationGroups"][0]["MemberClusters"]

    def seen() -> set[str]:
        listed = world.account.cloudwatch.list_metrics(Namespace="AWS/ElastiCache", MetricName="CurrConnections")[
            "Metrics"
        ]
        return {each["Value"] for metric in listed for each in metric["Dimensions"] if each["Name"] == "CacheClusterId"}

    until(lambda: seen() == set(members), "both were measured")
