"""ElastiCache: replication groups as AWS tells, changes and deletes them, and subnet groups that can be changed and deleted.

moto 5.2.5

- makes one node where NumCacheClusters asks for several, and takes the zones of nodes from nowhere;
- has no reader endpoint, and no cache clusters for the members that it lists;
- takes parameter, subnet and user groups that do not exist;
- changes seven properties of a replication group and drops the others, and cannot change the count of replicas or shards;
- leaves a deleted replication group in the state «deleting» for ever;
- has neither ModifyCacheSubnetGroup nor DeleteCacheSubnetGroup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.exceptions import CacheSubnetGroupNotFound, ReplicationGroupNotFound
from moto.elasticache.models import CacheSubnetGroup, ElastiCacheBackend, ReplicationGroup
from moto.elasticache.responses import ElastiCacheResponse

from local_aws.resources.moto_repairs.elasticache_errors import NoOperationError, SubnetGroupInUseError
from local_aws.resources.moto_repairs.elasticache_members import forget_members, know_members, lay_out
from local_aws.resources.moto_repairs.elasticache_parameters import parameter_group
from local_aws.resources.moto_repairs.elasticache_users import user_group
from local_aws.resources.moto_repairs.patching import add, around

_ENABLED = {"AutomaticFailoverEnabled": "automatic_failover", "MultiAZEnabled": "multi_az"}
_TAKEN_OVER = {
    "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
    "CacheNodeType": "cache_node_type",
    "CacheParameterGroupName": "cache_parameter_group_name",
    "CacheSecurityGroupNames": "cache_security_group_names",
    "ClusterMode": "cluster_mode",
    "Engine": "engine",
    "EngineVersion": "engine_version",
    "IpDiscovery": "ip_discovery",
    "NotificationTopicArn": "notification_topic_arn",
    "PreferredMaintenanceWindow": "preferred_maintenance_window",
    "ReplicationGroupDescription": "description",
    "SecurityGroupIds": "security_group_ids",
    "SnapshotRetentionLimit": "snapshot_retention_limit",
    "SnapshotWindow": "snapshot_window",
    "SnapshottingClusterId": "snapshotting_cluster_id",
    "TransitEncryptionEnabled": "transit_encryption_enabled",
    "TransitEncryptionMode": "transit_encryption_mode",
}


def replication_group(backend: ElastiCacheBackend, name: str) -> ReplicationGroup:
    """Return a replication group by its id."""
    try:
        return backend.replication_groups[name]
    except KeyError:
        raise ReplicationGroupNotFound(name) from None


def subnet_group(backend: ElastiCacheBackend, name: str) -> CacheSubnetGroup:
    """Return a subnet group by its name."""
    try:
        return backend.cache_subnet_groups[name]
    except KeyError:
        raise CacheSubnetGroupNotFound(name) from None


def _use_user_groups(backend: ElastiCacheBackend, group: ReplicationGroup, names: list[str]) -> None:
    for name in names:
        user_group(backend, name)
    group.user_group_ids = names
    for one in backend.user_groups.values():  # type: ignore[attr-defined]
        others = [user for user in one.replication_groups if user != group.replication_group_id]
        one.replication_groups = [*others, group.replication_group_id] if one.user_group_id in names else others


def modify_replication_group(self: ElastiCacheResponse) -> ActionResult:
    """ModifyReplicationGroup."""
    backend = self.elasticache_backend
    parameters = self._get_params()
    group = replication_group(backend, parameters["ReplicationGroupId"])
    if "CacheParameterGroupName" in parameters:
        parameter_group(backend, parameters["CacheParameterGroupName"])
    for name, attribute in _TAKEN_OVER.items():
        if name in parameters:
            setattr(group, attribute, parameters[name])
    for name, attribute in _ENABLED.items():
        if name in parameters:
            setattr(group, attribute, "enabled" if self._get_bool_param(name) else "disabled")
    if "AuthToken" in parameters:
        group.auth_token_enabled = True
    if "LogDeliveryConfigurations" in parameters:
        told = parameters["LogDeliveryConfigurations"]
        group.log_delivery_configurations = group._get_log_delivery_configurations(told)  # noqa: SLF001
    gone = (
        group.user_group_ids if self._get_bool_param("RemoveUserGroups") else parameters.get("UserGroupIdsToRemove", [])
    )
    kept = [name for name in group.user_group_ids if name not in gone]
    _use_user_groups(
        backend, group, [*kept, *(name for name in parameters.get("UserGroupIdsToAdd", []) if name not in kept)]
    )
    know_members(backend, group)
    return ActionResult({"ReplicationGroup": group})


def _count_replicas(self: ElastiCacheResponse, *, more: bool) -> ActionResult:
    backend = self.elasticache_backend
    group = replication_group(backend, self._get_param("ReplicationGroupId"))
    wanted = int(self._get_param("NewReplicaCount"))
    present = len(group.node_groups[0]["node_group_members"]) - 1
    if (wanted > present) != more or wanted == present:
        raise NoOperationError(f"The replication group has {present} replicas a shard, {wanted} are asked for.")
    lay_out(backend, group, shards=len(group.node_groups), replicas=wanted)
    return ActionResult({"ReplicationGroup": group})


def increase_replica_count(self: ElastiCacheResponse) -> ActionResult:
    """IncreaseReplicaCount."""
    return _count_replicas(self, more=True)


def decrease_replica_count(self: ElastiCacheResponse) -> ActionResult:
    """DecreaseReplicaCount."""
    return _count_replicas(self, more=False)


def modify_replication_group_shard_configuration(self: ElastiCacheResponse) -> ActionResult:
    """ModifyReplicationGroupShardConfiguration."""
    backend = self.elasticache_backend
    group = replication_group(backend, self._get_param("ReplicationGroupId"))
    replicas = len(group.node_groups[0]["node_group_members"]) - 1
    lay_out(backend, group, shards=int(self._get_param("NodeGroupCount")), replicas=replicas)
    return ActionResult({"ReplicationGroup": group})


def modify_cache_subnet_group(self: ElastiCacheResponse) -> ActionResult:
    """ModifyCacheSubnetGroup."""
    backend = self.elasticache_backend
    old = subnet_group(backend, self._get_param("CacheSubnetGroupName"))
    new = CacheSubnetGroup(
        account_id=backend.account_id,
        region_name=backend.region_name,
        cache_subnet_group_name=old.cache_subnet_group_name,
        cache_subnet_group_description=self._get_param(
            "CacheSubnetGroupDescription", old.cache_subnet_group_description
        ),
        subnet_ids=self._get_param("SubnetIds", old.subnet_ids),
        tags=old.tags,
    )
    backend.cache_subnet_groups[old.cache_subnet_group_name] = new
    return ActionResult({"CacheSubnetGroup": new})


def delete_cache_subnet_group(self: ElastiCacheResponse) -> EmptyResult:
    """DeleteCacheSubnetGroup."""
    backend = self.elasticache_backend
    group = subnet_group(backend, self._get_param("CacheSubnetGroupName"))
    name = group.cache_subnet_group_name
    if any(one.cache_subnet_group_name == name for one in backend.replication_groups.values()):
        raise SubnetGroupInUseError(name)
    del backend.cache_subnet_groups[name]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()


def apply() -> None:
    """Mend replication groups, add what is missing."""
    add(
        ElastiCacheResponse,
        modify_replication_group,
        increase_replica_count,
        decrease_replica_count,
        modify_replication_group_shard_configuration,
        modify_cache_subnet_group,
        delete_cache_subnet_group,
    )

    @around(ElastiCacheBackend, "create_replication_group")
    def create_replication_group(
        original: Callable[..., ReplicationGroup], backend: ElastiCacheBackend, **named: Any
    ) -> ReplicationGroup:
        if named["cache_parameter_group_name"]:
            own = parameter_group(backend, named["cache_parameter_group_name"])
            if own.values.get("cluster-enabled") == "yes" and not named["cluster_mode"]:
                named["cluster_mode"] = "enabled"
        if named["cache_subnet_group_name"]:
            subnet_group(backend, named["cache_subnet_group_name"])
        user_groups = list(named["user_group_ids"] or [])
        for name in user_groups:
            user_group(backend, name)
        group = original(backend, **named)
        shards = named["num_node_groups"] or 1
        lay_out(
            backend,
            group,
            shards=shards,
            replicas=named["replicas_per_node_group"] or (named["num_cache_clusters"] or 1) - 1,
        )
        _use_user_groups(backend, group, user_groups)
        return group

    @around(ElastiCacheBackend, "delete_replication_group")
    def delete_replication_group(
        original: Callable[..., ReplicationGroup], backend: ElastiCacheBackend, **named: Any
    ) -> ReplicationGroup:
        group = original(backend, **named)
        forget_members(backend, group)
        _use_user_groups(backend, group, [])
        del backend.replication_groups[group.replication_group_id]
        backend.tagging_service.delete_all_tags_for_resource(group.arn)
        return group

    @around(ElastiCacheBackend, "__init__")
    def tag_what_was_added(
        original: Callable[..., None], backend: ElastiCacheBackend, *arguments: Any, **named: Any
    ) -> None:
        original(backend, *arguments, **named)
        backend.arn_regex = re.compile(backend.arn_regex.pattern.replace("|user)", "|user|usergroup|parametergroup)"))
