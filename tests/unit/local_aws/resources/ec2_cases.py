"""The lives of EC2's types."""

from __future__ import annotations

import base64
from typing import Any

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.case import Case
from tests.unit.local_aws.resources.world import ACCOUNT, REGION, World


def _tags(world: World, made: Made) -> dict[str, str]:
    known_as = made.attributes.get("AllocationId", made.physical_id)
    found = world.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [known_as]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def _vpc(world: World, made: Made) -> dict[str, Any]:
    ec2 = world.client("ec2")
    described = ec2.describe_vpcs(VpcIds=[made.physical_id])["Vpcs"][0]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=made.physical_id, Attribute=name[0].lower() + name[1:])
        described[name] = answer[name]["Value"]
    return described  # type: ignore[no-any-return]


def _route(world: World, made: Made) -> Any:
    table, destination = made.physical_id.split("|")
    routes = world.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    return next((route for route in routes if route.get("DestinationCidrBlock") == destination), None)


def _association(world: World, made: Made) -> Any:
    tables = world.client("ec2").describe_route_tables(RouteTableIds=[world.route_table])["RouteTables"]
    return next((one for one in tables[0]["Associations"] if one["RouteTableAssociationId"] == made.physical_id), None)


def _attachment(world: World, _made: Made) -> Any:
    found = world.client("ec2").describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [world.vpc]}]
    )
    return found["InternetGateways"][0]["Attachments"][0] if found["InternetGateways"] else None


def _nat(world: World, made: Made) -> Any:
    found = world.client("ec2").describe_nat_gateways(NatGatewayIds=[made.physical_id])["NatGateways"]
    return next((gateway for gateway in found if gateway["State"] != "deleted"), None)


def _endpoint(world: World, made: Made) -> Any:
    found = world.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[made.physical_id])["VpcEndpoints"]
    return next((endpoint for endpoint in found if endpoint["State"] != "deleted"), None)


def _group(world: World, made: Made) -> Any:
    return world.client("ec2").describe_security_groups(GroupIds=[made.physical_id])["SecurityGroups"][0]


def _rule(world: World, made: Made) -> Any:
    return world.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[made.physical_id])[
        "SecurityGroupRules"
    ][0]


def _template(world: World, made: Made) -> Any:
    ec2 = world.client("ec2")
    described = ec2.describe_launch_template_versions(LaunchTemplateId=made.physical_id, Versions=["$Latest"])
    return described["LaunchTemplateVersions"][0]


def _instance(world: World, made: Made) -> Any:
    found = world.client("ec2").describe_instances(InstanceIds=[made.physical_id])["Reservations"][0]["Instances"][0]
    return found if found["State"]["Name"] != "terminated" else None


def _volume_attachment(world: World, made: Made) -> Any:
    attachments = world.client("ec2").describe_volumes(VolumeIds=[made.physical_id.split("|")[0]])["Volumes"][0][
        "Attachments"
    ]
    return attachments[0] if attachments else None


def _entry(world: World, made: Made) -> Any:
    acl, number, egress = made.physical_id.split("|")
    entries = world.client("ec2").describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["Entries"]
    return next((one for one in entries if (str(one["RuleNumber"]), one["Egress"]) == (number, egress == "true")), None)


def _acl_of_subnet(world: World, made: Made) -> Any:
    found = world.client("ec2").describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [world.subnets[0]]}]
    )
    acl = found["NetworkAcls"][0]
    return next((acl for one in acl["Associations"] if one["NetworkAclAssociationId"] == made.physical_id), None)


def _flow_log(world: World, made: Made) -> Any:
    found = world.client("ec2").describe_flow_logs(FlowLogIds=[made.physical_id])["FlowLogs"]
    return found[0] if found else None


def _interface_endpoint(world: World) -> dict[str, Any]:
    return {
        "VpcId": world.vpc,
        "ServiceName": f"com.amazonaws.{REGION}.logs",
        "VpcEndpointType": "Interface",
        "SubnetIds": world.subnets[:2],
        "SecurityGroupIds": [world.group()],
        "PrivateDnsEnabled": True,
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
        },
    }


_HTTP = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
_USER_DATA = base64.b64encode(b"#!/bin/sh\necho nats\n").decode()

CASES = (
    Case(
        type="AWS::EC2::VPC",
        properties=lambda _: {
            "CidrBlock": "10.1.0.0/16",
            "EnableDnsHostnames": True,
            "EnableDnsSupport": True,
            "InstanceTenancy": "default",
        },
        look=_vpc,
        seen={"CidrBlock": "10.1.0.0/16", "EnableDnsHostnames": True, "EnableDnsSupport": True},
        change=lambda _: {"EnableDnsHostnames": False},
        then={"EnableDnsHostnames": False, "EnableDnsSupport": True},
        tags=_tags,
        attributes={
            "CidrBlock": "10.1.0.0/16",
            "DefaultSecurityGroup": lambda value: value.startswith("sg-"),
            "DefaultNetworkAcl": lambda value: value.startswith("acl-"),
            "CidrBlockAssociations": lambda value: value[0].startswith("vpc-cidr-assoc-"),
        },
    ),
    Case(
        type="AWS::EC2::Subnet",
        properties=lambda w: {
            "VpcId": w.vpc,
            "CidrBlock": "10.0.9.0/24",
            "AvailabilityZone": "us-east-1b",
            "MapPublicIpOnLaunch": True,
        },
        look=lambda w, m: w.client("ec2").describe_subnets(SubnetIds=[m.physical_id])["Subnets"][0],
        seen={"CidrBlock": "10.0.9.0/24", "AvailabilityZone": "us-east-1b", "MapPublicIpOnLaunch": True},
        change=lambda _: {"MapPublicIpOnLaunch": False},
        then={"MapPublicIpOnLaunch": False},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::RouteTable",
        properties=lambda w: {"VpcId": w.vpc},
        look=lambda w, m: w.client("ec2").describe_route_tables(RouteTableIds=[m.physical_id])["RouteTables"][0],
        seen={"VpcId": lambda value: value.startswith("vpc-")},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::Route",
        properties=lambda w: {
            "RouteTableId": w.route_table,
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": w.internet_gateway,
        },
        look=_route,
        seen={"GatewayId": lambda value: value.startswith("igw-")},
        change=lambda w: {
            "GatewayId": None,
            "NatGatewayId": w.make(
                "AWS::EC2::NatGateway", SubnetId=w.subnets[0], ConnectivityType="private"
            ).physical_id,
        },
        then={"NatGatewayId": lambda value: value.startswith("nat-")},
        attributes={"CidrBlock": "0.0.0.0/0"},
    ),
    Case(
        type="AWS::EC2::SubnetRouteTableAssociation",
        properties=lambda w: {"RouteTableId": w.route_table, "SubnetId": w.subnets[0]},
        look=_association,
        seen={"SubnetId": lambda value: value.startswith("subnet-")},
    ),
    Case(
        type="AWS::EC2::InternetGateway",
        properties=lambda _: {},
        look=lambda w, m: w.client("ec2").describe_internet_gateways(InternetGatewayIds=[m.physical_id])[
            "InternetGateways"
        ][0],
        seen={"Attachments": []},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::VPCGatewayAttachment",
        properties=lambda w: {"VpcId": w.vpc, "InternetGatewayId": w.make("AWS::EC2::InternetGateway").physical_id},
        look=_attachment,
        seen={"State": "available"},
        attributes={"AttachmentType": "IGW"},
    ),
    Case(
        type="AWS::EC2::NatGateway",
        properties=lambda w: {
            "SubnetId": w.subnets[0],
            "AllocationId": w.make("AWS::EC2::EIP", Domain="vpc").attributes["AllocationId"],
            "MaxDrainDurationSeconds": 60,
        },
        look=_nat,
        seen={
            "State": "available",
            "NatGatewayAddresses": [{"AllocationId": lambda value: value.startswith("eipalloc-")}],
        },
        tags=_tags,
        attributes={"EniId": lambda value: value.startswith("eni-")},
    ),
    Case(
        type="AWS::EC2::EIP",
        properties=lambda w: {"Domain": "vpc", "InstanceId": w.instance},
        look=lambda w, m: w.client("ec2").describe_addresses(PublicIps=[m.physical_id])["Addresses"][0],
        seen={"Domain": "vpc", "InstanceId": lambda value: value.startswith("i-")},
        change=lambda _: {"InstanceId": None},
        then={"InstanceId": lambda value: not value},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::VPCEndpoint",
        properties=_interface_endpoint,
        look=_endpoint,
        seen={
            "VpcEndpointType": "Interface",
            "PrivateDnsEnabled": True,
            "SubnetIds": lambda value: len(value) == 2,
            "Groups": lambda value: len(value) == 1,
        },
        change=lambda w: {"SubnetIds": w.subnets[1:], "PrivateDnsEnabled": False},
        then={"SubnetIds": lambda value: len(value) == 2, "PrivateDnsEnabled": False},
        tags=_tags,
        name="interface",
    ),
    Case(
        type="AWS::EC2::VPCEndpoint",
        properties=lambda w: {
            "VpcId": w.vpc,
            "ServiceName": f"com.amazonaws.{REGION}.s3",
            "VpcEndpointType": "Gateway",
            "RouteTableIds": [w.route_table],
        },
        look=_endpoint,
        seen={"VpcEndpointType": "Gateway", "RouteTableIds": lambda value: len(value) == 1},
        change=lambda w: {"RouteTableIds": [w.make("AWS::EC2::RouteTable", VpcId=w.vpc).physical_id, w.route_table]},
        then={"RouteTableIds": lambda value: len(value) == 2},
        name="gateway",
    ),
    Case(
        type="AWS::EC2::FlowLog",
        properties=lambda w: {
            "ResourceId": w.vpc,
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": w.log_group("/flow"),
            "DeliverLogsPermissionArn": w.role().attributes["Arn"],
        },
        look=_flow_log,
        seen={"LogGroupName": "/flow", "TrafficType": "ALL", "ResourceId": lambda value: value.startswith("vpc-")},
        tags=_tags,
        name="logs",
    ),
    Case(
        type="AWS::EC2::FlowLog",
        properties=lambda w: {
            "ResourceId": w.vpc,
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogDestinationType": "s3",
            "LogDestination": f"arn:aws:s3:::{w.bucket('flow-logs')}",
            "MaxAggregationInterval": 60,
        },
        look=_flow_log,
        seen={"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::flow-logs", "MaxAggregationInterval": 60},
        name="s3",
    ),
    Case(
        type="AWS::EC2::SecurityGroup",
        properties=lambda w: {
            "GroupDescription": "nodes",
            "VpcId": w.vpc,
            "SecurityGroupIngress": [{**_HTTP, "CidrIp": "10.0.0.0/8", "Description": "inside"}],
            "SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}],
        },
        look=_group,
        seen={
            "Description": "nodes",
            "IpPermissions": [{"FromPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}]}],
            "IpPermissionsEgress": [{"FromPort": 443}],
        },
        change=lambda w: {
            "SecurityGroupIngress": [{**_HTTP, "SourceSecurityGroupId": w.group("other"), "Description": "group"}],
            "SecurityGroupEgress": None,
        },
        then={
            "IpPermissions": [{"IpRanges": [], "UserIdGroupPairs": [{"Description": "group"}]}],
            "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        },
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::SecurityGroupIngress",
        properties=lambda w: {
            **_HTTP,
            "GroupId": w.group("to"),
            "SourceSecurityGroupId": w.group("from"),
            "Description": "first",
        },
        look=_rule,
        seen={
            "IsEgress": False,
            "FromPort": 80,
            "Description": "first",
            "ReferencedGroupInfo": lambda value: value["GroupId"].startswith("sg-"),
        },
        change=lambda _: {"Description": "second"},
        then={"Description": "second"},
    ),
    Case(
        type="AWS::EC2::SecurityGroupEgress",
        properties=lambda w: {**_HTTP, "GroupId": w.group("to"), "CidrIp": "10.0.0.0/16"},
        look=_rule,
        seen={"IsEgress": True, "CidrIpv4": "10.0.0.0/16"},
    ),
    Case(
        type="AWS::EC2::LaunchTemplate",
        properties=lambda w: {
            "LaunchTemplateData": {
                "ImageId": w.image,
                "InstanceType": "t4g.small",
                "UserData": _USER_DATA,
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": "20", "Encrypted": True}}],
                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "nats-1"}]}],
            },
            "TagSpecifications": [{"ResourceType": "launch-template", "Tags": [{"Key": "Name", "Value": "template"}]}],
        },
        look=_template,
        seen={
            "VersionNumber": 1,
            "LaunchTemplateData": {
                "InstanceType": "t4g.small",
                "UserData": _USER_DATA,
                "MetadataOptions": {"HttpTokens": "required"},
                "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 20, "Encrypted": True}}],
            },
        },
        change=lambda w: {"LaunchTemplateData": {"ImageId": w.image, "InstanceType": "t4g.large"}},
        then={"VersionNumber": 2, "LaunchTemplateData": {"InstanceType": "t4g.large"}},
        attributes={"LatestVersionNumber": "1", "DefaultVersionNumber": "1"},
    ),
    Case(
        type="AWS::EC2::NetworkInterface",
        properties=lambda w: {
            "SubnetId": w.subnets[0],
            "GroupSet": [w.group("a")],
            "PrivateIpAddress": "10.0.0.77",
            "Description": "nats-1",
        },
        look=lambda w, m: w.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[m.physical_id])[
            "NetworkInterfaces"
        ][0],
        seen={"PrivateIpAddress": "10.0.0.77", "Description": "nats-1", "Groups": lambda value: len(value) == 1},
        change=lambda w: {"GroupSet": [w.group("b"), w.group("c")], "SourceDestCheck": False},
        then={"Groups": lambda value: len(value) == 2, "SourceDestCheck": False},
        tags=_tags,
        attributes={"PrimaryPrivateIpAddress": "10.0.0.77", "SecondaryPrivateIpAddresses": []},
    ),
    Case(
        type="AWS::EC2::Volume",
        properties=lambda _: {
            "AvailabilityZone": "us-east-1a",
            "Size": 20,
            "VolumeType": "gp3",
            "Encrypted": True,
            "MultiAttachEnabled": False,
        },
        look=lambda w, m: w.client("ec2").describe_volumes(VolumeIds=[m.physical_id])["Volumes"][0],
        seen={"Size": 20, "VolumeType": "gp3", "Encrypted": True},
        change=lambda _: {"Size": 40},
        then={"Size": 40},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::VolumeAttachment",
        properties=lambda w: {
            "VolumeId": w.make("AWS::EC2::Volume", AvailabilityZone="us-east-1a", Size=1).physical_id,
            "InstanceId": w.instance,
            "Device": "/dev/sdh",
        },
        look=_volume_attachment,
        seen={"Device": "/dev/sdh", "State": "attached"},
    ),
    Case(
        type="AWS::EC2::Instance",
        properties=lambda w: {
            "ImageId": w.image,
            "InstanceType": "t3.micro",
            "SubnetId": w.subnets[0],
            "SecurityGroupIds": [w.group("a")],
            "UserData": _USER_DATA,
            "IamInstanceProfile": w.make(
                "AWS::IAM::InstanceProfile", Roles=[w.role("ec2.amazonaws.com").physical_id]
            ).physical_id,
            "Monitoring": True,
        },
        look=_instance,
        seen={"InstanceType": "t3.micro", "SecurityGroups": lambda value: len(value) == 1},
        change=lambda w: {
            "InstanceType": "t3.small",
            "SecurityGroupIds": [w.group("b"), w.group("c")],
            "SourceDestCheck": False,
        },
        then={"InstanceType": "t3.small", "SecurityGroups": lambda value: len(value) == 2, "SourceDestCheck": False},
        tags=_tags,
        attributes={"PrivateIp": lambda value: value.startswith("10.0."), "AvailabilityZone": "us-east-1a"},
    ),
    Case(
        type="AWS::EC2::NetworkAcl",
        properties=lambda w: {"VpcId": w.vpc},
        look=lambda w, m: w.client("ec2").describe_network_acls(NetworkAclIds=[m.physical_id])["NetworkAcls"][0],
        seen={"IsDefault": False},
        tags=_tags,
    ),
    Case(
        type="AWS::EC2::NetworkAclEntry",
        properties=lambda w: {
            "NetworkAclId": w.make("AWS::EC2::NetworkAcl", VpcId=w.vpc).physical_id,
            "RuleNumber": 100,
            "Protocol": 6,
            "RuleAction": "allow",
            "CidrBlock": "10.0.0.0/8",
            "PortRange": {"From": 4222, "To": 4222},
        },
        look=_entry,
        seen={"Protocol": "6", "RuleAction": "allow", "PortRange": {"From": 4222, "To": 4222}},
        change=lambda _: {"RuleAction": "deny"},
        then={"RuleAction": "deny", "CidrBlock": "10.0.0.0/8"},
    ),
    Case(
        type="AWS::EC2::SubnetNetworkAclAssociation",
        properties=lambda w: {
            "SubnetId": w.subnets[0],
            "NetworkAclId": w.make("AWS::EC2::NetworkAcl", VpcId=w.vpc).physical_id,
        },
        look=_acl_of_subnet,
        seen={"IsDefault": False, "OwnerId": ACCOUNT},
    ),
)
