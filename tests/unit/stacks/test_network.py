"""The network: who may talk to whom, how AWS is reached, and the record of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from catalog import load_environment
from tests.synthesis import Fleet, Resource, small_catalog, small_fleet, synthesise

GROUP = "AWS::EC2::SecurityGroup"
NOWHERE = "255.255.255.255/32"

Rule = tuple[str, str, str]
"""Who, whom, and on which port."""


def label(fleet: Fleet, part: str, group: Any) -> str:
    """Return a security group's own word for itself: the last part of its path, which is a contract."""
    resource = fleet.followed(part, group)
    found = re.fullmatch(r"NetworkSecurityGroups([A-Za-z]+?)[0-9A-F]{8}", resource.logical_id)
    assert found, resource.logical_id
    return found[1]


def port(rule: Any) -> str:
    return f"{rule['IpProtocol']}/{rule['FromPort']}" + (
        "" if rule["FromPort"] == rule["ToPort"] else f"-{rule['ToPort']}"
    )


def ingress(fleet: Fleet) -> set[Rule]:
    inside = {
        (rule["CidrIp"], label(fleet, group.part, {"Ref": group.logical_id}), port(rule))
        for group in fleet.resources(GROUP)
        for rule in group.properties.get("SecurityGroupIngress", [])
    }
    return inside | {
        (label(fleet, rule.part, rule["SourceSecurityGroupId"]), label(fleet, rule.part, rule["GroupId"]), port(rule))
        for rule in fleet.resources("AWS::EC2::SecurityGroupIngress")
    }


def egress(fleet: Fleet) -> set[Rule]:
    inside = {
        (label(fleet, group.part, {"Ref": group.logical_id}), rule["CidrIp"], port(rule))
        for group in fleet.resources(GROUP)
        for rule in group.properties.get("SecurityGroupEgress", [])
        if rule["CidrIp"] != NOWHERE
    }
    return inside | {
        (
            label(fleet, rule.part, rule["GroupId"]),
            label(fleet, rule.part, rule["DestinationSecurityGroupId"]),
            port(rule),
        )
        for rule in fleet.resources("AWS::EC2::SecurityGroupEgress")
    }


def test_nobody_is_let_in_who_is_not_in_this_table(fleet: Fleet) -> None:
    assert ingress(fleet) == {
        ("NatsClient", "NatsNode", "tcp/4222"),
        ("NatsNode", "NatsNode", "tcp/6222"),
        ("CacheClient", "Cache", "tcp/6379"),
        ("LoadBalancer", "Gateway", "tcp/8000"),
        ("LoadBalancer", "Gateway", "tcp/8080"),
        ("10.0.0.0/8", "LoadBalancer", "tcp/443"),
        ("NatsClient", "Endpoints", "tcp/443"),
        ("NatsNode", "Endpoints", "tcp/443"),
    }


def test_nobody_gets_out_to_what_is_not_in_this_table(fleet: Fleet) -> None:
    assert egress(fleet) == {
        ("NatsClient", "NatsNode", "tcp/4222"),
        ("NatsNode", "NatsNode", "tcp/6222"),
        ("CacheClient", "Cache", "tcp/6379"),
        ("LoadBalancer", "Gateway", "tcp/8000"),
        ("LoadBalancer", "Gateway", "tcp/8080"),
        ("NatsClient", "0.0.0.0/0", "tcp/443"),
        ("NatsNode", "0.0.0.0/0", "tcp/443"),
    }


def test_every_group_says_something_of_its_way_out(fleet: Fleet) -> None:
    """EC2 lets a group without any rule of its own out to everywhere."""
    ruled = {group for group, _, _ in egress(fleet)}
    for group in fleet.resources(GROUP):
        closed = [rule["CidrIp"] for rule in group.properties.get("SecurityGroupEgress", [])] == [NOWHERE]
        assert closed or label(fleet, group.part, {"Ref": group.logical_id}) in ruled


def test_the_internet_is_let_in_only_where_the_environment_says_so() -> None:
    environment = load_environment("prod")
    gateway = environment.gateway.model_copy(update={"internet_facing": True, "allowed_cidrs": ["0.0.0.0/0"]})
    fleet = synthesise(small_catalog(), environment.model_copy(update={"gateway": gateway}))
    assert [rule for rule in ingress(fleet) if rule[0] == "0.0.0.0/0"] == [("0.0.0.0/0", "LoadBalancer", "tcp/443")]


def test_groups_and_their_rules_stand_in_the_networks_stack_alone(fleet: Fleet) -> None:
    kinds = (GROUP, "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
    assert {resource.part for resource in fleet.resources(*kinds)} == {"network"}


def test_the_network_knows_no_service(fleet: Fleet) -> None:
    written = str(fleet.templates["network"]).lower().replace("-", "")
    named = [name for name in fleet.catalog.services if name.replace("-", "") in written]
    assert named == []


def endpoints(fleet: Fleet, kind: str) -> list[Resource]:
    return [e for e in fleet.resources("AWS::EC2::VPCEndpoint") if e["VpcEndpointType"] == kind]


SEVEN = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm", "ssmmessages", "ec2"]


@pytest.mark.parametrize(
    ("environment", "services", "nat_gateways"),
    [("prod", SEVEN, 0), ("local", SEVEN, 0), ("staging", [], 1), ("dev", [], 1)],
)
def test_aws_is_reached_by_endpoints_or_by_a_nat_gateway(
    environment: str, services: list[str], nat_gateways: int
) -> None:
    fleet = small_fleet(environment)
    names = [endpoint["ServiceName"] for endpoint in endpoints(fleet, "Interface")]
    assert names == [f"com.amazonaws.us-east-1.{service}" for service in services]
    assert len(fleet.resources("AWS::EC2::NatGateway")) == nat_gateways


def test_s3_is_reached_by_its_free_endpoint_from_every_subnet(fleet: Fleet) -> None:
    (endpoint,) = endpoints(fleet, "Gateway")
    tables = {fleet.text("network", table) for table in endpoint["RouteTableIds"]}
    assert fleet.text("network", endpoint["ServiceName"]) == "com.amazonaws.${AWS::Region}.s3"
    assert tables == {f"${{network:{table.logical_id}}}" for table in fleet.resources("AWS::EC2::RouteTable")}


def test_endpoints_answer_to_their_ordinary_names_in_two_zones(prod: Fleet) -> None:
    zone_of = {
        subnet.logical_id: subnet["AvailabilityZone"]
        for subnet in prod.resources("AWS::EC2::Subnet")
        if subnet.tags["aws-cdk:subnet-name"] == "private"
    }
    for endpoint in endpoints(prod, "Interface"):
        assert endpoint["PrivateDnsEnabled"] is True
        assert [zone_of[subnet["Ref"]] for subnet in endpoint["SubnetIds"]] == ["us-east-1a", "us-east-1b"]
        assert [label(prod, "network", group) for group in endpoint["SecurityGroupIds"]] == ["Endpoints"]


def test_private_subnets_have_no_way_to_the_internet_without_a_nat_gateway(prod: Fleet) -> None:
    subnets = prod.resources("AWS::EC2::Subnet")
    private = {s.logical_id for s in subnets if s.tags["aws-cdk:subnet-name"] == "private"}
    routed = {route["RouteTableId"]["Ref"] for route in prod.resources("AWS::EC2::Route")}
    tables = {
        association["RouteTableId"]["Ref"]
        for association in prod.resources("AWS::EC2::SubnetRouteTableAssociation")
        if association["SubnetId"]["Ref"] in private
    }
    assert len(tables) == 3
    assert not tables & routed


def test_no_subnet_gives_out_public_addresses(fleet: Fleet) -> None:
    given = {subnet.properties.get("MapPublicIpOnLaunch", False) for subnet in fleet.resources("AWS::EC2::Subnet")}
    assert given == {False}


def test_the_zones_are_the_environments(fleet: Fleet) -> None:
    zones = {subnet["AvailabilityZone"] for subnet in fleet.resources("AWS::EC2::Subnet")}
    assert zones == set(fleet.environment.availability_zones)


def test_all_traffic_is_recorded(fleet: Fleet) -> None:
    log = fleet.one("AWS::EC2::FlowLog")
    assert (log["ResourceType"], log["TrafficType"], log["LogDestinationType"]) == ("VPC", "ALL", "s3")
    assert fleet.followed("network", log["ResourceId"]).type == "AWS::EC2::VPC"
    bucket = fleet.one("AWS::S3::Bucket", part="network")
    assert fleet.text("network", log["LogDestination"]) == f"${{network:{bucket.logical_id}.Arn}}/flow-logs/"


@pytest.mark.parametrize(("environment", "days"), [("prod", 90), ("dev", 7), ("local", 1)])
def test_records_of_traffic_are_kept_as_long_as_the_environment_says(environment: str, days: int) -> None:
    (rule,) = small_fleet(environment).one("AWS::S3::Bucket", part="network")["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"]) == (days, "Enabled")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}),
        (
            "PublicAccessBlockConfiguration",
            {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
        ),
    ],
)
def test_buckets_are_closed(fleet: Fleet, name: str, value: Any) -> None:
    assert [bucket[name] for bucket in fleet.resources("AWS::S3::Bucket")] == [value] * len(
        fleet.resources("AWS::S3::Bucket")
    )


def test_buckets_take_nothing_that_is_not_encrypted_on_its_way(fleet: Fleet) -> None:
    policies = fleet.resources("AWS::S3::BucketPolicy")
    assert len(policies) == len(fleet.resources("AWS::S3::Bucket"))
    for policy in policies:
        statements = policy["PolicyDocument"]["Statement"]
        denied = [statement["Condition"] for statement in statements if statement["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_the_load_balancer_may_write_its_records_into_its_own_folder(prod: Fleet) -> None:
    bucket = prod.one("AWS::S3::Bucket", part="network").logical_id
    statements = prod.plain("network", prod.one("AWS::S3::BucketPolicy", part="network")["PolicyDocument"]["Statement"])
    assert [statement for statement in statements if statement.get("Sid") == "LoadBalancerLogs"] == [
        {
            "Sid": "LoadBalancerLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"${{network:{bucket}.Arn}}/load-balancer/AWSLogs/${{AWS::AccountId}}/*",
            "Condition": {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}},
        }
    ]


def test_the_address_range_is_the_environments(fleet: Fleet) -> None:
    assert fleet.one("AWS::EC2::VPC")["CidrBlock"] == fleet.environment.network.cidr
