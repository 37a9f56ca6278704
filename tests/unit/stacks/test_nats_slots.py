"""The slots of the NATS nodes: name, address, disk and machine."""

from __future__ import annotations

import pytest

from tests.synthesis import Fleet, small_fleet


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


def test_cloudformation_itself_replaces_no_nats_machine(fleet: Fleet) -> None:
    """It would go on to the next without a look at the cluster; the roll is what replaces them."""
    for group in fleet.resources("AWS::AutoScaling::AutoScalingGroup"):
        assert group.body["UpdatePolicy"].keys() == {"AutoScalingScheduledAction"}  # which leaves sizes as they are


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
