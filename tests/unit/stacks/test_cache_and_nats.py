"""The cache and the NATS nodes, as far as services lean on them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.synthesis import Fleet, small_fleet

USER = "AWS::ElastiCache::User"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TransitEncryptionEnabled", True),
        ("TransitEncryptionMode", "required"),
        ("AtRestEncryptionEnabled", True),
        ("AutoMinorVersionUpgrade", True),
        ("Port", 6379),
    ],
)
def test_the_cache_is_encrypted(fleet: Fleet, name: str, value: Any) -> None:
    assert fleet.one("AWS::ElastiCache::ReplicationGroup")[name] == value


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("prod", ("valkey", "cache.t4g.medium", 1, True, True, 7)),
        ("staging", ("valkey", "cache.t4g.small", 1, True, True, 1)),
        ("dev", ("valkey", "cache.t4g.micro", 0, False, False, 0)),
    ],
)
def test_the_cache_is_as_strong_as_the_environment_says(environment: str, expected: tuple[Any, ...]) -> None:
    group = small_fleet(environment).one("AWS::ElastiCache::ReplicationGroup")
    names = (
        "Engine",
        "CacheNodeType",
        "ReplicasPerNodeGroup",
        "AutomaticFailoverEnabled",
        "MultiAZEnabled",
        "SnapshotRetentionLimit",
    )
    assert tuple(group[name] for name in names) == expected


def test_each_service_that_uses_the_cache_is_a_user_that_sees_its_own_keys_alone(fleet: Fleet) -> None:
    users = {user["UserName"]: user["AccessString"] for user in fleet.resources(USER)}
    assert users == {
        "default": "off -@all",
        **{s.name: f"on ~{s.name}:* &{s.name}:* +@all -@admin -@dangerous" for s in fleet.catalog.enabled if s.cache},
    }


def test_every_user_but_the_one_who_may_do_nothing_has_a_password_from_a_secret(small: Fleet) -> None:
    (password,) = small.one(USER, UserName="state-manager-nats")["Passwords"]
    secret = small.one(
        "AWS::SecretsManager::Secret", Name="gaming-system/prod/cache/state-manager-nats/user"
    ).logical_id
    assert small.text("cache", password) == (
        f"{{{{resolve:secretsmanager:${{cache:{secret}}}:SecretString:password::}}}}"
    )


def test_the_cache_lets_its_users_in_and_nobody_else(small: Fleet) -> None:
    group = small.one("AWS::ElastiCache::ReplicationGroup")
    (users,) = group["UserGroupIds"]
    members = [small.followed("cache", user)["UserName"] for user in small.followed("cache", users)["UserIds"]]
    assert members == ["default", "state-manager-nats"]


def test_nats_has_three_slots_with_name_address_and_disk(fleet: Fleet) -> None:
    names = [f"nats-{number}" for number in (1, 2, 3)]
    records = fleet.resources("AWS::Route53::RecordSet")
    assert [record["Name"] for record in records] == [f"{name}.nats.gaming-system.internal." for name in names]
    assert [volume.tags["nats-slot"] for volume in fleet.resources("AWS::EC2::Volume")] == names
    for record in records:
        (address,) = record["ResourceRecords"]
        assert fleet.followed(record.part, address).type == "AWS::EC2::NetworkInterface"


def test_the_zones_take_the_nats_slots_in_turn(fleet: Fleet) -> None:
    zones = fleet.environment.availability_zones
    found = [volume["AvailabilityZone"] for volume in fleet.resources("AWS::EC2::Volume")]
    assert found == [zones[index % len(zones)] for index in range(3)]


def test_a_dead_nats_machine_is_replaced_in_the_zone_of_its_disk(fleet: Fleet) -> None:
    volumes = fleet.resources("AWS::EC2::Volume")
    groups = fleet.resources("AWS::AutoScaling::AutoScalingGroup")
    for volume, group in zip(volumes, groups, strict=True):
        assert (group["MinSize"], group["MaxSize"]) == ("1", "1")
        (subnet,) = group["VPCZoneIdentifier"]
        assert fleet.followed(group.part, subnet)["AvailabilityZone"] == volume["AvailabilityZone"]


@pytest.mark.parametrize(
    ("environment", "machine", "gibibytes"), [("prod", "m7g.medium", 40), ("staging", "t4g.small", 20)]
)
def test_nats_machines_are_the_environments(environment: str, machine: str, gibibytes: int) -> None:
    fleet = small_fleet(environment)
    templates = fleet.resources("AWS::EC2::LaunchTemplate")
    data = [template["LaunchTemplateData"] for template in templates]
    assert [(d["InstanceType"], d["ImageId"]) for d in data] == [(machine, fleet.environment.nats.ami_id)] * 3
    assert [volume["Size"] for volume in fleet.resources("AWS::EC2::Volume")] == [gibibytes] * 3


def test_nats_machines_and_disks_are_hardened(fleet: Fleet) -> None:
    for template in fleet.resources("AWS::EC2::LaunchTemplate"):
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert [mapping["Ebs"]["Encrypted"] for mapping in data["BlockDeviceMappings"]] == [True]
        assert "KeyName" not in data
    for volume in fleet.resources("AWS::EC2::Volume"):
        assert volume["Encrypted"] is True
        assert fleet.followed(volume.part, volume["KmsKeyId"]).type == "AWS::KMS::Key"
