"""What the table promises for every row: nothing is dropped in silence, and nothing is left half-made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.errors import UnsupportedTypeError
from local_aws.resources.calls import Call
from local_aws.resources.coerce import PropertyNotCarriedError, argument_name, input_members
from local_aws.resources.registry import HANDLERS, handler_for
from local_aws.resources.table import AlreadyExistsError, Put, Row
from local_aws.resources.tagging import Tagging
from local_aws.schemas import schema_for
from tests.unit.local_aws.resources.world import REGION, StackContext, World

ROWS = {name: handler for name, handler in HANDLERS.items() if isinstance(handler, Row)}

# Settable in AWS, refused by name here. A type's first line is for creation, the second for changes in place.
NOT_CARRIED: Mapping[str, tuple[set[str], set[str]]] = {
    "AWS::AutoScaling::AutoScalingGroup": ({"NotificationConfiguration"}, {"LoadBalancerNames", "TrafficSources"}),
    "AWS::CertificateManager::Certificate": ({"Id"}, {"ValidationMethod"}),
    "AWS::EC2::EIP": ({"TransferAddress"}, set()),
    "AWS::EC2::Instance": (
        {
            "ElasticGpuSpecifications",
            "HostResourceGroupArn",
            "PropagateTagsToVolumeOnCreation",
            "SsmAssociations",
            "Volumes",
        },
        {
            "AdditionalInfo",
            "CreditSpecification",
            "EbsOptimized",
            "InstanceInitiatedShutdownBehavior",
            "KernelId",
            "MetadataOptions",
            "Monitoring",
            "PrivateDnsNameOptions",
            "RamdiskId",
        },
    ),
    "AWS::EC2::NatGateway": (
        set(),
        {
            "AvailabilityZoneAddresses",
            "SecondaryAllocationIds",
            "SecondaryPrivateIpAddressCount",
            "SecondaryPrivateIpAddresses",
        },
    ),
    "AWS::EC2::NetworkInterface": (
        {"PublicIpDnsHostnameTypeSpecification"},
        {
            "ConnectionTrackingSpecification",
            "EnablePrimaryIpv6",
            "Ipv4PrefixCount",
            "Ipv4Prefixes",
            "Ipv6AddressCount",
            "Ipv6Addresses",
            "Ipv6PrefixCount",
            "Ipv6Prefixes",
            "PrivateIpAddresses",
            "SecondaryPrivateIpAddressCount",
        },
    ),
    "AWS::EC2::Subnet": ({"EnableLniAtDeviceIndex", "PrivateDnsNameOptionsOnLaunch"}, {"Ipv6CidrBlock"}),
    "AWS::EC2::VPCGatewayAttachment": ({"VpnGatewayId"}, {"InternetGatewayId"}),
    "AWS::EC2::Volume": ({"AutoEnableIO", "SourceVolumeId"}, {"VolumeInitializationRate"}),
    "AWS::ECS::Service": (set(), {"LaunchType"}),
    "AWS::ElastiCache::ReplicationGroup": ({"SnapshottingClusterId"}, {"NodeGroupConfiguration"}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        {
            "EnableCapacityReservationProvisionStabilize",
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            "Ipv4IpamPoolId",
            "MinimumLoadBalancerCapacity",
        },
        {"EnablePrefixForIpv6SourceNat"},
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (set(), {"TargetControlPort"}),
    "AWS::KMS::Key": (set(), {"BypassPolicyLockoutSafetyCheck"}),
    "AWS::Lambda::Function": (
        {"FunctionScalingConfig", "PublishToLatestPublished", "RecursiveLoop", "RuntimeManagementConfig"},
        {"CodeSigningConfigArn"},
    ),
    "AWS::Lambda::Version": ({"FunctionScalingConfig", "ProvisionedConcurrencyConfig", "RuntimePolicy"}, set()),
    "AWS::Logs::LogGroup": (
        {"BearerTokenAuthenticationEnabled", "DataProtectionPolicy", "FieldIndexPolicies", "ResourcePolicyDocument"},
        {"DeletionProtectionEnabled", "LogGroupClass"},
    ),
    "AWS::Route53::HostedZone": ({"HostedZoneFeatures"}, set()),
    "AWS::S3::Bucket": (
        {
            "AbacStatus",
            "AnalyticsConfigurations",
            "BucketNamePrefix",
            "IntelligentTieringConfigurations",
            "InventoryConfigurations",
            "MetadataConfiguration",
            "MetadataTableConfiguration",
            "MetricsConfigurations",
            "ReplicationConfiguration",
        },
        {"ObjectLockEnabled"},
    ),
    "AWS::SNS::Topic": ({"MaximumMessageSize"}, {"DataProtectionPolicy"}),
    "AWS::SSM::Association": ({"WaitForSuccessTimeoutSeconds"}, set()),
    "AWS::SSM::Document": (set(), {"Requires"}),
    "AWS::SecretsManager::RotationSchedule": ({"HostedRotationLambda"}, set()),
    "AWS::SecretsManager::Secret": (set(), {"ReplicaRegions"}),
    "AWS::WAFv2::WebACL": (set(), {"ApplicationConfig", "MonetizationConfig"}),
}
# What a translation of the row takes, under names that the operations do not have.
TRANSLATED = {
    "AWS::ApplicationAutoScaling::ScalingPolicy": {"ScalingTargetId"},
    "AWS::EC2::Instance": {"Affinity", "AvailabilityZone", "HostId", "PlacementGroupName", "Tenancy"},
    "AWS::EC2::LaunchTemplate": {"TagSpecifications"},
    "AWS::EC2::SecurityGroupEgress": {
        "CidrIpv6",
        "Description",
        "DestinationPrefixListId",
        "DestinationSecurityGroupId",
    },
    "AWS::EC2::SecurityGroupIngress": {"CidrIpv6", "Description", "SourcePrefixListId", "SourceSecurityGroupId"},
    "AWS::S3::Bucket": {"AccessControl"},
}


def calls_of(row: Row) -> Iterator[Call]:
    for field in fields(row):
        yield from calls_in(getattr(row, field.name))


def calls_in(value: Any) -> Iterator[Call]:
    if isinstance(value, Call):
        yield value
    elif isinstance(value, Put):
        yield from calls_in((value.put, value.unset))
    elif isinstance(value, Tagging):
        yield from calls_in((value.add, value.remove))
    elif isinstance(value, tuple):
        for member in value:
            yield from calls_in(member)


@pytest.mark.parametrize("type_name", sorted(ROWS))
def test_calls_operations_and_arguments_that_there_are(world: World, type_name: str) -> None:
    client = world.client(ROWS[type_name].service)
    for call in calls_of(ROWS[type_name]):
        assert set(call.arguments) <= set(input_members(client, call.operation)), call


@pytest.mark.parametrize("type_name", sorted(ROWS))
def test_carries_every_property_but_those_that_it_refuses(world: World, type_name: str) -> None:
    row = ROWS[type_name]
    client = world.client(row.service)
    schema = schema_for(type_name, REGION)
    settable = set(schema.document["properties"]) - schema.read_only - TRANSLATED.get(type_name, set())
    by_steps = row.carried_by_steps
    members = input_members(client, row.make.operation)
    at_first = row.make.carries | by_steps | set(row.only_changes)
    refused = {name for name in settable - at_first if argument_name(members, name) is None}

    change = row.change or (row.make if row.whole else None)
    members = input_members(client, change.operation) if change else {}
    later = by_steps.union(row.replaced_by, change.carries if change else (), *(step.carries for step in row.changes))
    fixed = {path[0] for path in schema.create_only if len(path) == 1}
    unchangeable = {name for name in settable - later - fixed - refused if argument_name(members, name) is None}

    assert (refused, unchangeable) == NOT_CARRIED.get(type_name, (set(), set()))


def test_a_property_that_is_not_carried_is_refused_by_name_and_nothing_is_made(world: World) -> None:
    properties = {"VpcId": world.vpc, "CidrBlock": "10.0.9.0/24", "EnableLniAtDeviceIndex": 1}
    with pytest.raises(PropertyNotCarriedError, match=r"AWS::EC2::Subnet: .* property EnableLniAtDeviceIndex"):
        handler_for("AWS::EC2::Subnet").create(StackContext(world), properties)
    found = world.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [world.vpc]}])
    assert found["Subnets"] == []


def test_a_change_that_is_not_carried_is_refused_by_name(world: World) -> None:
    handler = handler_for("AWS::Logs::LogGroup")
    context = StackContext(world)
    old = {"LogGroupName": "/fleet", "LogGroupClass": "STANDARD"}
    made = handler.create(context, old)
    with pytest.raises(PropertyNotCarriedError, match=r"AWS::Logs::LogGroup: .* property LogGroupClass"):
        handler.update(context, made, old, {**old, "LogGroupClass": "INFREQUENT_ACCESS"})


def test_taking_a_property_away_is_refused_where_nothing_says_what_it_falls_back_to(world: World) -> None:
    handler = handler_for("AWS::ElastiCache::ReplicationGroup")
    context = StackContext(world)
    old = {"ReplicationGroupDescription": "d", "Engine": "valkey", "EngineVersion": "8.1"}
    made = handler.create(context, old)
    with pytest.raises(PropertyNotCarriedError, match=r"EngineVersion .*taken away"):
        handler.update(context, made, old, {name: value for name, value in old.items() if name != "EngineVersion"})


def test_what_has_no_operation_to_take_it_away_again_is_refused(world: World) -> None:
    handler = handler_for("AWS::S3::Bucket")
    context = StackContext(world)
    old = {"ObjectLockEnabled": True, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    made = handler.create(context, old)
    with pytest.raises(PropertyNotCarriedError, match=r"AWS::S3::Bucket: .* ObjectLockConfiguration .*taken away"):
        handler.update(context, made, old, {"ObjectLockEnabled": True})


def test_a_creation_that_fails_half_way_leaves_nothing(world: World) -> None:
    properties = {"AssumeRolePolicyDocument": {}, "ManagedPolicyArns": ["arn:aws:iam::123456789012:policy/none"]}
    with pytest.raises(ClientError, match="NoSuchEntity"):
        handler_for("AWS::IAM::Role").create(StackContext(world), properties)
    assert world.client("iam").list_roles()["Roles"] == []


@pytest.mark.parametrize(
    ("type_name", "properties"),
    [
        ("AWS::CloudWatch::Dashboard", {"DashboardName": "fleet", "DashboardBody": "{}"}),
        ("AWS::ECS::Cluster", {"ClusterName": "fleet"}),
        ("AWS::Events::Rule", {"Name": "fleet", "ScheduleExpression": "rate(1 day)"}),
        ("AWS::S3::Bucket", {"BucketName": "fleet"}),
        ("AWS::SNS::Topic", {"TopicName": "fleet"}),
        (
            "AWS::CloudWatch::Alarm",
            {
                "AlarmName": "fleet",
                "EvaluationPeriods": 1,
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 1,
            },
        ),
    ],
)
def test_what_is_another_s_is_neither_taken_over_nor_removed(
    world: World, type_name: str, properties: dict[str, Any]
) -> None:
    handler = handler_for(type_name)
    handler.create(StackContext(world), properties)
    with pytest.raises(AlreadyExistsError, match=f"{type_name}: fleet already exists"):
        handler.create(StackContext(world), properties)


def test_names_are_made_up_within_the_service_s_limits(world: World) -> None:
    context = StackContext(world, logical_id="AVeryLongLogicalIdThatGoesOnAndOnWithoutAnEnd" * 2)
    bucket = handler_for("AWS::S3::Bucket").create(context, {}).physical_id
    again = handler_for("AWS::S3::Bucket").create(context, {}).physical_id
    assert len(bucket) <= 63
    assert bucket == bucket.lower()
    assert bucket.startswith("fleet-")
    assert bucket != again


def test_a_type_that_is_not_carried_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedTypeError, match="AWS::RDS::DBInstance"):
        handler_for("AWS::RDS::DBInstance")


def test_some_types_are_replaced_although_their_schema_does_not_say_so(world: World) -> None:
    handler = handler_for("AWS::EC2::Volume")
    context = StackContext(world)
    old = {"AvailabilityZone": "us-east-1a", "Size": 1}
    made = handler.create(context, old)
    moved = handler.update(context, made, old, {**old, "AvailabilityZone": "us-east-1b"})
    assert moved.physical_id != made.physical_id
    assert len(world.client("ec2").describe_volumes(VolumeIds=[made.physical_id, moved.physical_id])["Volumes"]) == 2


def test_a_service_without_a_count_of_its_own_keeps_the_one_that_scaling_gave_it(world: World) -> None:
    arn = world.service("scaled")
    world.client("ecs").update_service(cluster="cluster", service="scaled", desiredCount=7)
    handler = handler_for("AWS::ECS::Service")
    context = StackContext(world)
    old = {
        "Cluster": world.cluster,
        "ServiceName": "scaled",
        "TaskDefinition": world.task_definition(),
        "DesiredCount": 2,
    }
    new = {"Cluster": world.cluster, "ServiceName": "scaled", "TaskDefinition": world.task_definition("next")}
    made = handler.update(context, world.made(arn), old, new)
    found = world.client("ecs").describe_services(cluster="cluster", services=[made.physical_id])["services"][0]
    assert found["desiredCount"] == 7
