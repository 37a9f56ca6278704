"""EC2: networks, their subnets, routes, gateways and access lists."""

from __future__ import annotations

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.contract import Context, Made
from local_aws.resources.table import Put, Row, do
from local_aws.resources.tagging import Tagging

TAGS = Tagging(call("create_tags", Resources="[id]"), "Tags", call("delete_tags", Resources="[id]"), "Tags")


def _set_dns(task: Task) -> None:
    """EC2 takes one attribute of a VPC at a time; both are put back to what a new VPC has when they are taken away."""
    for name, usual in (("EnableDnsSupport", True), ("EnableDnsHostnames", False)):
        if name in task.changed:
            task.perform(call("modify_vpc_attribute", VpcId="id"), **{name: {"Value": task.new.get(name, usual)}})


def _subnet_switch(name: str) -> Put:
    return Put(
        call("modify_subnet_attribute", SubnetId="id", **{name: f"{{Value: {name}}}"}),
        unset=call("modify_subnet_attribute", SubnetId="id", **{name: "{Value: `false`}"}),
    )


def _associate_instance(task: Task) -> None:
    if task.old.get("InstanceId"):
        task.perform(call("disassociate_address", PublicIp="id"))
    if task.new.get("InstanceId"):
        task.perform(call("associate_address", AllocationId="AllocationId", InstanceId="InstanceId"))


def _release_instance(task: Task) -> None:
    if task.new.get("InstanceId"):
        task.perform(call("disassociate_address", PublicIp="id"))


ROUTE = {
    "RouteTableId": "RouteTableId",
    "DestinationCidrBlock": "DestinationCidrBlock",
    "DestinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "DestinationPrefixListId": "DestinationPrefixListId",
}
ACL_ENTRY = {"NetworkAclId": "NetworkAclId", "RuleNumber": "RuleNumber", "Egress": "Egress || `false`"}

ROWS = (
    Row(
        type_name="AWS::EC2::VPC",
        service="ec2",
        make=call("create_vpc"),
        id="Vpc.VpcId",
        reads=(
            (call("describe_vpcs", VpcIds="[id]"), "Vpcs[0]"),
            (
                call(
                    "describe_security_groups",
                    Filters="[{Name: 'vpc-id', Values: [id]}, {Name: 'group-name', Values: ['default']}]",
                ),
                "{DefaultSecurityGroup: SecurityGroups[0].GroupId}",
            ),
            (
                call(
                    "describe_network_acls",
                    Filters="[{Name: 'vpc-id', Values: [id]}, {Name: 'default', Values: ['true']}]",
                ),
                "{DefaultNetworkAcl: NetworkAcls[0].NetworkAclId}",
            ),
        ),
        attributes={
            "VpcId": "id",
            "CidrBlock": "CidrBlock",
            "CidrBlockAssociations": "CidrBlockAssociationSet[].AssociationId",
            "Ipv6CidrBlocks": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock || `[]`",
            "DefaultSecurityGroup": "DefaultSecurityGroup",
            "DefaultNetworkAcl": "DefaultNetworkAcl",
        },
        change=call("modify_vpc_tenancy", VpcId="id"),
        steps=(do(_set_dns, "EnableDnsSupport", "EnableDnsHostnames"),),
        tags=TAGS,
        remove=call("delete_vpc", VpcId="id"),
    ),
    Row(
        type_name="AWS::EC2::Subnet",
        service="ec2",
        make=call("create_subnet"),
        id="Subnet.SubnetId",
        reads=((call("describe_subnets", SubnetIds="[id]"), "Subnets[0]"),),
        attributes={
            "SubnetId": "id",
            "VpcId": "VpcId",
            "CidrBlock": "CidrBlock",
            "AvailabilityZone": "AvailabilityZone",
            "AvailabilityZoneId": "AvailabilityZoneId",
            "Ipv6CidrBlocks": "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock || `[]`",
        },
        steps=(
            _subnet_switch("MapPublicIpOnLaunch"),
            _subnet_switch("AssignIpv6AddressOnCreation"),
            _subnet_switch("EnableDns64"),
        ),
        tags=TAGS,
        remove=call("delete_subnet", SubnetId="id"),
    ),
    Row(
        type_name="AWS::EC2::RouteTable",
        service="ec2",
        make=call("create_route_table"),
        id="RouteTable.RouteTableId",
        attributes={"RouteTableId": "id"},
        tags=TAGS,
        remove=call("delete_route_table", RouteTableId="id"),
    ),
    Row(
        type_name="AWS::EC2::Route",
        service="ec2",
        make=call("create_route"),
        id="join('|', [RouteTableId, DestinationCidrBlock || DestinationIpv6CidrBlock || DestinationPrefixListId])",
        attributes={"CidrBlock": "DestinationCidrBlock || DestinationIpv6CidrBlock || DestinationPrefixListId"},
        change=call("replace_route", **ROUTE),
        whole=True,
        remove=call("delete_route", **ROUTE),
    ),
    Row(
        type_name="AWS::EC2::SubnetRouteTableAssociation",
        service="ec2",
        make=call("associate_route_table"),
        id="AssociationId",
        attributes={"Id": "id"},
        remove=call("disassociate_route_table", AssociationId="id"),
    ),
    Row(
        type_name="AWS::EC2::InternetGateway",
        service="ec2",
        make=call("create_internet_gateway"),
        id="InternetGateway.InternetGatewayId",
        attributes={"InternetGatewayId": "id"},
        tags=TAGS,
        remove=call("delete_internet_gateway", InternetGatewayId="id"),
    ),
    Row(
        type_name="AWS::EC2::VPCGatewayAttachment",
        service="ec2",
        make=call("attach_internet_gateway"),
        id="join('|', ['IGW', VpcId])",
        attributes={"AttachmentType": "'IGW'"},
        remove=call("detach_internet_gateway", VpcId="VpcId", InternetGatewayId="InternetGatewayId"),
    ),
    Row(
        type_name="AWS::EC2::NatGateway",
        service="ec2",
        make=call("create_nat_gateway"),
        id="NatGateway.NatGatewayId",
        reads=((call("describe_nat_gateways", NatGatewayIds="[id]"), "NatGateways[0]"),),
        attributes={"NatGatewayId": "id", "EniId": "NatGatewayAddresses[0].NetworkInterfaceId"},
        ignored=("MaxDrainDurationSeconds",),  # how long a deletion waits for secondary addresses
        tags=TAGS,
        remove=call("delete_nat_gateway", NatGatewayId="id"),
    ),
    Row(
        type_name="AWS::EC2::EIP",
        service="ec2",
        make=call("allocate_address"),
        id="PublicIp",
        attributes={"PublicIp": "id", "AllocationId": "AllocationId"},
        replaced_by=("Domain", "PublicIpv4Pool"),
        steps=(do(_associate_instance, "InstanceId"),),
        tags=Tagging(
            call("create_tags", Resources="[AllocationId]"),
            "Tags",
            call("delete_tags", Resources="[AllocationId]"),
            "Tags",
        ),
        before_remove=_release_instance,
        remove=call("release_address", AllocationId="AllocationId"),
    ),
    Row(
        type_name="AWS::EC2::NetworkAcl",
        service="ec2",
        make=call("create_network_acl"),
        id="NetworkAcl.NetworkAclId",
        attributes={"Id": "id"},
        tags=TAGS,
        remove=call("delete_network_acl", NetworkAclId="id"),
    ),
    Row(
        type_name="AWS::EC2::NetworkAclEntry",
        service="ec2",
        make=call("create_network_acl_entry", **ACL_ENTRY, IcmpTypeCode="Icmp"),
        id="join('|', [NetworkAclId, to_string(RuleNumber), to_string(Egress || `false`)])",
        attributes={"Id": "id"},
        change=call("replace_network_acl_entry", **ACL_ENTRY, IcmpTypeCode="Icmp"),
        whole=True,
        remove=call("delete_network_acl_entry", **ACL_ENTRY),
    ),
)


class SubnetNetworkAclAssociation:
    """A subnet always has an access list: to associate one is to replace another, to let go is to take the default again."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the list in the place of the subnet's present one."""
        return self._associate(context, properties["SubnetId"], properties["NetworkAclId"])

    def update(self, _context: Context, made: Made, _old: Properties, _new: Properties) -> Made:
        """Change nothing: both properties need another association."""
        return made

    def delete(self, context: Context, _made: Made, properties: Properties) -> None:
        """Put the network's default list back."""
        ec2 = context.client("ec2")
        own = ec2.describe_network_acls(NetworkAclIds=[properties["NetworkAclId"]])["NetworkAcls"][0]
        usual = [{"Name": "vpc-id", "Values": [own["VpcId"]]}, {"Name": "default", "Values": ["true"]}]
        default = ec2.describe_network_acls(Filters=usual)["NetworkAcls"][0]
        if any(association["SubnetId"] == properties["SubnetId"] for association in own["Associations"]):
            self._associate(context, properties["SubnetId"], default["NetworkAclId"])

    @staticmethod
    def _associate(context: Context, subnet: str, acl: str) -> Made:
        ec2 = context.client("ec2")
        found = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])[
            "NetworkAcls"
        ]
        present = next(one for one in found[0]["Associations"] if one["SubnetId"] == subnet)
        answer = ec2.replace_network_acl_association(AssociationId=present["NetworkAclAssociationId"], NetworkAclId=acl)
        return Made(answer["NewAssociationId"], {"AssociationId": answer["NewAssociationId"]})
