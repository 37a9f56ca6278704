"""ElastiCache: replication groups, and the users, parameters and subnets that they use."""

from __future__ import annotations

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import KEEP, Name, Put, Row, do
from local_aws.resources.tagging import Tagging


def _tagging(arn: str) -> Tagging:
    return Tagging(
        call("add_tags_to_resource", ResourceName=arn),
        "Tags",
        call("remove_tags_from_resource", ResourceName=arn),
        "TagKeys",
    )


def _arn(kind: str) -> str:
    return f"join(':', ['arn:aws:elasticache', region, account, '{kind}', id])"


def _scale_nodes(task: Task) -> None:
    """The count of nodes in a group with one shard has an operation for each direction."""
    old, new = int(task.old["NumCacheClusters"]), int(task.new["NumCacheClusters"])
    direction = "increase" if new > old else "decrease"
    task.perform(
        call(f"{direction}_replica_count", ReplicationGroupId="id", ApplyImmediately="`true`"), NewReplicaCount=new - 1
    )


def _change_user_groups(task: Task) -> None:
    old, new = task.old.get("UserGroupIds", []), task.new.get("UserGroupIds", [])
    lists = {
        "UserGroupIdsToAdd": [one for one in new if one not in old],
        "UserGroupIdsToRemove": [one for one in old if one not in new],
    }
    change = call("modify_replication_group", ReplicationGroupId="id", ApplyImmediately="`true`")
    task.perform(change, **{name: ids for name, ids in lists.items() if ids})


def _set_parameters(task: Task) -> None:
    """Set what is told, and put back to the family's default what is told no longer."""
    new, old = task.new.get("Properties", {}), task.old.get("Properties", {})
    if dropped := [{"ParameterName": name, "ParameterValue": ""} for name in old if name not in new]:
        task.perform(call("reset_cache_parameter_group", CacheParameterGroupName="id"), ParameterNameValues=dropped)
    if new:
        values = [{"ParameterName": name, "ParameterValue": value} for name, value in new.items()]
        task.perform(call("modify_cache_parameter_group", CacheParameterGroupName="id"), ParameterNameValues=values)


def _change_members(task: Task) -> None:
    old, new = task.old.get("UserIds", []), task.new.get("UserIds", [])
    lists = {
        "UserIdsToAdd": [one for one in new if one not in old],
        "UserIdsToRemove": [one for one in old if one not in new],
    }
    task.perform(call("modify_user_group", UserGroupId="id"), **{name: ids for name, ids in lists.items() if ids})


def _lower_names(properties: Properties) -> Properties:
    """ElastiCache keeps these names in lower case, whatever the template wrote."""
    names = {"CacheSubnetGroupName", "ReplicationGroupId", "UserGroupId", "UserId"}
    return {name: value.lower() if name in names else value for name, value in properties.items()}


ROWS = (
    Row(
        type_name="AWS::ElastiCache::SubnetGroup",
        service="elasticache",
        name=Name("CacheSubnetGroupName", lower=True),
        translate=_lower_names,
        make=call("create_cache_subnet_group", CacheSubnetGroupDescription="Description"),
        id="CacheSubnetGroup.CacheSubnetGroupName",
        change=call("modify_cache_subnet_group", CacheSubnetGroupName="id", CacheSubnetGroupDescription="Description"),
        tags=_tagging(_arn("subnetgroup")),
        remove=call("delete_cache_subnet_group", CacheSubnetGroupName="id"),
    ),
    Row(
        type_name="AWS::ElastiCache::ParameterGroup",
        service="elasticache",
        name=Name("CacheParameterGroupName", lower=True),
        make=call("create_cache_parameter_group"),
        id="CacheParameterGroup.CacheParameterGroupName",
        attributes={"CacheParameterGroupName": "id"},
        replaced_by=("Description",),
        steps=(do(_set_parameters, "Properties"),),
        tags=_tagging(_arn("parametergroup")),
        remove=call("delete_cache_parameter_group", CacheParameterGroupName="id"),
    ),
    Row(
        type_name="AWS::ElastiCache::User",
        service="elasticache",
        translate=_lower_names,
        make=call("create_user"),
        id="UserId",
        reads=((call("describe_users", UserId="id"), "Users[0]"),),
        attributes={"Arn": "ARN", "Status": "Status"},
        change=call("modify_user", UserId="id"),
        defaults={"NoPasswordRequired": KEEP, "Passwords": KEEP, "AuthenticationMode": KEEP},
        tags=_tagging("Arn"),
        remove=call("delete_user", UserId="id"),
    ),
    Row(
        type_name="AWS::ElastiCache::UserGroup",
        service="elasticache",
        translate=_lower_names,
        make=call("create_user_group"),
        id="UserGroupId",
        reads=((call("describe_user_groups", UserGroupId="id"), "UserGroups[0]"),),
        attributes={"Arn": "ARN", "Status": "Status"},
        change=call("modify_user_group", UserGroupId="id"),
        changes=(do(_change_members, "UserIds"),),
        tags=_tagging("Arn"),
        remove=call("delete_user_group", UserGroupId="id"),
    ),
    Row(
        type_name="AWS::ElastiCache::ReplicationGroup",
        service="elasticache",
        name=Name("ReplicationGroupId", 40, lower=True),
        translate=_lower_names,
        make=call("create_replication_group"),
        id="ReplicationGroup.ReplicationGroupId",
        reads=((call("describe_replication_groups", ReplicationGroupId="id"), "ReplicationGroups[0]"),),
        attributes={
            "ConfigurationEndPoint.Address": "ConfigurationEndpoint.Address",
            "ConfigurationEndPoint.Port": "ConfigurationEndpoint.Port && to_string(ConfigurationEndpoint.Port)",
            "PrimaryEndPoint.Address": "NodeGroups[0].PrimaryEndpoint.Address",
            "PrimaryEndPoint.Port": "NodeGroups[0].PrimaryEndpoint.Port && to_string(NodeGroups[0].PrimaryEndpoint.Port)",
            "ReaderEndPoint.Address": "NodeGroups[0].ReaderEndpoint.Address",
            "ReaderEndPoint.Port": "NodeGroups[0].ReaderEndpoint.Port && to_string(NodeGroups[0].ReaderEndpoint.Port)",
            "ReadEndPoint.Addresses": "join(',', NodeGroups[0].NodeGroupMembers[].ReadEndpoint.Address || `[]`)",
            "ReadEndPoint.AddressesList": "NodeGroups[0].NodeGroupMembers[].ReadEndpoint.Address || `[]`",
            "ReadEndPoint.Ports": "join(',', NodeGroups[0].NodeGroupMembers[].to_string(ReadEndpoint.Port) || `[]`)",
            "ReadEndPoint.PortsList": "NodeGroups[0].NodeGroupMembers[].to_string(ReadEndpoint.Port) || `[]`",
        },
        change=call("modify_replication_group", ReplicationGroupId="id", ApplyImmediately="`true`"),
        defaults={
            "NotificationTopicArn": "",
            "LogDeliveryConfigurations": KEEP,
            "AutoMinorVersionUpgrade": True,
            "SnapshotRetentionLimit": 0,
        },
        changes=(
            do(_scale_nodes, "NumCacheClusters"),
            do(_change_user_groups, "UserGroupIds"),
            Put(
                call(
                    "modify_replication_group_shard_configuration",
                    ReplicationGroupId="id",
                    NodeGroupCount="NumNodeGroups",
                    ApplyImmediately="`true`",
                )
            ),
            Put(
                call(
                    "increase_replica_count",
                    ReplicationGroupId="id",
                    NewReplicaCount="ReplicasPerNodeGroup",
                    ApplyImmediately="`true`",
                )
            ),
        ),
        tags=_tagging(_arn("replicationgroup")),
        remove=call("delete_replication_group", ReplicationGroupId="id"),
    ),
)
