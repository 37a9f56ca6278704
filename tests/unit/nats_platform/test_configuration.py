"""The configuration of a node: the same bytes for the same input, and what production must have."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from catalog import CatalogError, load_environment
from catalog.cluster import cluster_request
from nats_platform.configuration import Place, render
from nats_platform.permissions import User, wanted_users
from nats_platform.request import ClusterRequest
from tests.synthesis import ROOT, whole_catalog
from tests.unit.functions.test_nats_configuration import a_request

REVIEWED = ROOT / "tests" / "cases" / "nats" / "nats-1.conf"


@cache
def request(environment: str = "prod") -> ClusterRequest:
    return ClusterRequest.from_plain(cluster_request(whole_catalog(), load_environment(environment)))


def rendered(node: str = "nats-1", environment: str = "prod", place: Place | None = None) -> str:
    return render(request(environment), wanted_users(request(environment)), node, place)


def test_a_configuration_is_as_reviewed_setting_by_setting() -> None:
    """For one service that answers one subject: what a server would take by default must not come in by an oversight."""
    asked = a_request("orders")
    assert render(asked, wanted_users(asked), "nats-1") == REVIEWED.read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_bytes() -> None:
    assert rendered() == rendered()


def test_the_request_survives_being_written_down() -> None:
    assert ClusterRequest.from_plain(request().to_plain()) == request()


def test_nodes_differ_in_name_and_zone_alone() -> None:
    first, second = rendered("nats-1").splitlines(), rendered("nats-2").splitlines()
    assert [(a, b) for a, b in zip(first, second, strict=True) if a != b] == [
        ('server_name: "nats-1"', 'server_name: "nats-2"'),
        ('  "az:us-east-1a"', '  "az:us-east-1b"'),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "verify_and_map: true",
        "verify_cert_and_check_known_urls: true",
        'sync_interval: "always"',
        'min_version: "1.3"',
        'ca_file: "/etc/nats/tls/current/route-ca.pem"',
        'ca_file: "/etc/nats/tls/current/client-ca.pem"',
        'http: "127.0.0.1:8222"',
        'unique_tag: "az:"',
        'lame_duck_duration: "30s"',
        "max_payload: 1048576",
        "no_advertise: true",
        'system_account: "SYS"',
    ],
)
def test_production_has(line: str) -> None:
    assert f"  {line}\n" in f"  {rendered()}".replace("\n", "\n  ")


def test_jetstream_fills_three_quarters_of_the_disk_at_most() -> None:
    assert f"max_file_store: {30 * 2**30}\n" in rendered()  # of 40 GiB


def test_two_nodes_in_one_zone_may_hold_replicas_of_one_stream() -> None:
    assert "unique_tag" not in rendered(environment="staging")


def test_messages_are_flushed_later_where_the_environment_says_so() -> None:
    relaxed = replace(request(), limits=replace(request().limits, sync_always=False))
    assert "sync_interval" not in render(relaxed, wanted_users(relaxed), "nats-1")


def test_a_user_who_may_publish_nothing_is_denied_everything() -> None:
    nobody = User("nobody.svc", "APP", publish=(), subscribe=("_INBOX.nobody.>",))
    text = render(request(), [nobody], "nats-1")
    assert 'publish: {\n            deny: [\n              ">"' in text


@pytest.mark.parametrize("identity", ['a"b', "a\nb", "a\\b"])
def test_a_name_that_would_end_its_quotes_is_refused(identity: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a configuration"):
        render(request(), [User(identity, "APP", (), ())], "nats-1")


def test_a_node_that_is_not_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no node 'nats-4'"):
        rendered("nats-4")


def test_one_identity_has_one_user() -> None:
    with pytest.raises(ValueError, match="one identity"):
        render(request(), [User("a", "APP", (), ()), User("a", "APP", (), ())], "nats-1")


def test_something_else_is_no_request() -> None:
    with pytest.raises(ValueError, match="no request for a cluster: KeyError: 'nodes'"):
        ClusterRequest.from_plain({"environment": "prod"})


def test_streams_that_need_more_room_than_the_disk_has_are_refused_before_anything_is_deployed() -> None:
    prod = load_environment("prod")
    small = prod.model_copy(update={"nats": prod.nats.model_copy(update={"volume_gib": 8, "store_percent": 10})})
    with pytest.raises(CatalogError) as refused:
        cluster_request(whole_catalog(), small)
    assert "set 2037 MiB aside, and JetStream may fill 819 MiB (10 % of volume_gib 8) in 'prod'" in str(refused.value)
