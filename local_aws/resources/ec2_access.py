"""EC2: endpoints to AWS's services, and flow logs."""

from __future__ import annotations

from local_aws.resources.calls import Task, call
from local_aws.resources.ec2_network import TAGS
from local_aws.resources.table import Row, do

_MEMBERS = ("RouteTableIds", "SubnetIds", "SecurityGroupIds")


def _change_members(task: Task) -> None:
    """EC2 is told which members to add and which to remove, not which there are to be."""
    wanted = {}
    for name in _MEMBERS:
        old, new = task.old.get(name, []), task.new.get(name, [])
        wanted[f"Add{name}"] = [one for one in new if one not in old]
        wanted[f"Remove{name}"] = [one for one in old if one not in new]
    task.perform(
        call("modify_vpc_endpoint", VpcEndpointId="id"), **{name: value for name, value in wanted.items() if value}
    )


ROWS = (
    Row(
        type_name="AWS::EC2::VPCEndpoint",
        service="ec2",
        make=call("create_vpc_endpoint"),
        id="VpcEndpoint.VpcEndpointId",
        reads=((call("describe_vpc_endpoints", VpcEndpointIds="[id]"), "VpcEndpoints[0]"),),
        attributes={
            "Id": "id",
            "CreationTimestamp": "to_string(CreationTimestamp)",
            "NetworkInterfaceIds": "NetworkInterfaceIds || `[]`",
            "DnsEntries": "DnsEntries[].join(':', [HostedZoneId || '', DnsName]) || `[]`",
        },
        change=call("modify_vpc_endpoint", VpcEndpointId="id"),
        changes=(do(_change_members, *_MEMBERS),),
        tags=TAGS,
        remove=call("delete_vpc_endpoints", VpcEndpointIds="[id]"),
    ),
    Row(
        type_name="AWS::EC2::FlowLog",
        service="ec2",
        make=call("create_flow_logs", ResourceIds="[ResourceId]"),
        id="FlowLogIds[0]",
        attributes={"Id": "id"},
        tags=TAGS,
        remove=call("delete_flow_logs", FlowLogIds="[id]"),
    ),
)
