"""EC2: launch templates, interfaces, volumes and instances."""

from __future__ import annotations

import base64
from typing import Any

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.ec2_network import TAGS
from local_aws.resources.table import Name, Put, Row, do


def _template_properties(properties: Properties) -> Properties:
    """The template's own tags come wrapped in a specification for the one type that it may name."""
    specifications = properties.get("TagSpecifications", [])
    rest = {name: value for name, value in properties.items() if name != "TagSpecifications"}
    tags = [tag for specification in specifications for tag in specification.get("Tags", [])]
    return {**rest, "Tags": tags} if tags else rest


def _instance_properties(properties: Properties) -> Properties:
    """EC2 nests some of what CloudFormation has flat, and encodes user data itself."""
    result: dict[str, Any] = dict(properties)
    placement = {
        theirs: result.pop(ours)
        for ours, theirs in (
            ("AvailabilityZone", "AvailabilityZone"),
            ("Tenancy", "Tenancy"),
            ("HostId", "HostId"),
            ("Affinity", "Affinity"),
            ("PlacementGroupName", "GroupName"),
        )
        if ours in result
    }
    if placement:
        result["Placement"] = placement
    if "IamInstanceProfile" in result:
        result["IamInstanceProfile"] = {"Name": result["IamInstanceProfile"]}
    if "Monitoring" in result:
        result["Monitoring"] = {"Enabled": result["Monitoring"]}
    if "UserData" in result:
        result["UserData"] = base64.b64decode(result["UserData"])
    return result


def _change_profile(task: Task) -> None:
    found = task.client.describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [task.id]}]
    )
    for association in found["IamInstanceProfileAssociations"]:
        task.client.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
    if "IamInstanceProfile" in task.new:
        task.perform(call("associate_iam_instance_profile", InstanceId="id", IamInstanceProfile="IamInstanceProfile"))


def _change_stopped(task: Task) -> None:
    """What EC2 changes only while the instance stands still."""
    task.client.stop_instances(InstanceIds=[task.id])
    if "InstanceType" in task.changed:
        task.perform(call("modify_instance_attribute", InstanceId="id", InstanceType="{Value: InstanceType}"))
    if "UserData" in task.changed:
        task.perform(call("modify_instance_attribute", InstanceId="id", UserData="{Value: UserData}"))
    task.client.start_instances(InstanceIds=[task.id])


def _wait_until_terminated(task: Task) -> None:
    task.client.terminate_instances(InstanceIds=[task.id])
    task.client.get_waiter("instance_terminated").wait(
        InstanceIds=[task.id], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def _switch(operation: str, key: str, name: str) -> Put:
    """A yes or no that has an operation of its own, and is true where nothing is said."""
    return Put(
        call(operation, **{key: "id", name: f"{{Value: {name}}}"}),
        unset=call(operation, **{key: "id", name: "{Value: `true`}"}),
    )


ROWS = (
    Row(
        type_name="AWS::EC2::LaunchTemplate",
        service="ec2",
        name=Name("LaunchTemplateName", 128),
        translate=_template_properties,
        make=call("create_launch_template"),
        id="LaunchTemplate.LaunchTemplateId",
        reads=((call("describe_launch_templates", LaunchTemplateIds="[id]"), "LaunchTemplates[0]"),),
        attributes={
            "LaunchTemplateId": "id",
            "LatestVersionNumber": "to_string(LatestVersionNumber)",
            "DefaultVersionNumber": "to_string(DefaultVersionNumber)",
        },
        change=call("create_launch_template_version", LaunchTemplateId="id"),
        whole=True,
        tags=TAGS,
        remove=call("delete_launch_template", LaunchTemplateId="id"),
    ),
    Row(
        type_name="AWS::EC2::NetworkInterface",
        service="ec2",
        make=call("create_network_interface", Groups="GroupSet"),
        id="NetworkInterface.NetworkInterfaceId",
        reads=((call("describe_network_interfaces", NetworkInterfaceIds="[id]"), "NetworkInterfaces[0]"),),
        attributes={
            "Id": "id",
            "VpcId": "VpcId",
            "PrimaryPrivateIpAddress": "PrivateIpAddress",
            "SecondaryPrivateIpAddresses": "PrivateIpAddresses[?!Primary].PrivateIpAddress",
        },
        steps=(_switch("modify_network_interface_attribute", "NetworkInterfaceId", "SourceDestCheck"),),
        changes=(
            Put(call("modify_network_interface_attribute", NetworkInterfaceId="id", Groups="GroupSet")),
            Put(
                call("modify_network_interface_attribute", NetworkInterfaceId="id", Description="{Value: Description}")
            ),
        ),
        tags=TAGS,
        remove=call("delete_network_interface", NetworkInterfaceId="id"),
    ),
    Row(
        type_name="AWS::EC2::Volume",
        service="ec2",
        make=call("create_volume"),
        id="VolumeId",
        attributes={"VolumeId": "id"},
        change=call("modify_volume", VolumeId="id"),
        replaced_by=(
            "AvailabilityZone",
            "AvailabilityZoneId",
            "Encrypted",
            "KmsKeyId",
            "OutpostArn",
            "SnapshotId",
            "SourceVolumeId",
        ),
        tags=TAGS,
        remove=call("delete_volume", VolumeId="id"),
    ),
    Row(
        type_name="AWS::EC2::VolumeAttachment",
        service="ec2",
        make=call("attach_volume"),
        id="join('|', [VolumeId, InstanceId])",
        remove=call("detach_volume", VolumeId="VolumeId", InstanceId="InstanceId"),
    ),
    Row(
        type_name="AWS::EC2::Instance",
        service="ec2",
        translate=_instance_properties,
        make=call("run_instances", MinCount="`1`", MaxCount="`1`"),
        id="Instances[0].InstanceId",
        reads=((call("describe_instances", InstanceIds="[id]"), "Reservations[0].Instances[0]"),),
        attributes={
            "InstanceId": "id",
            "AvailabilityZone": "Placement.AvailabilityZone",
            "PrivateIp": "PrivateIpAddress",
            "PrivateDnsName": "PrivateDnsName",
            "PublicIp": "PublicIpAddress || ''",
            "PublicDnsName": "PublicDnsName || ''",
            "VpcId": "VpcId",
            "State": "State",
        },
        steps=(_switch("modify_instance_attribute", "InstanceId", "SourceDestCheck"),),
        changes=(
            Put(call("modify_instance_attribute", InstanceId="id", Groups="SecurityGroupIds")),
            Put(
                call(
                    "modify_instance_attribute", InstanceId="id", DisableApiTermination="{Value: DisableApiTermination}"
                )
            ),
            do(_change_profile, "IamInstanceProfile"),
            do(_change_stopped, "InstanceType", "UserData"),
        ),
        replaced_by=("BlockDeviceMappings", "Placement"),
        tags=TAGS,
        before_remove=_wait_until_terminated,
    ),
)
