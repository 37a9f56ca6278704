"""ElastiCache: the shards and nodes of a replication group, and the cache clusters that they are seen as."""

from __future__ import annotations

import secrets
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup

_SLOTS = 16384
_DIRECTIONS = {
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "central": "c",
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}


class Member(BaseModel):
    """One node of a replication group, as DescribeCacheClusters tells of it."""

    def __init__(self, backend: ElastiCacheBackend, group: ReplicationGroup, node: dict[str, Any]) -> None:
        self.cache_cluster_id = node["cache_cluster_id"]
        self.replication_group_id = group.replication_group_id
        self.arn = f"arn:{backend.partition}:elasticache:{backend.region_name}:{backend.account_id}:cluster:{self.cache_cluster_id}"
        self.preferred_availability_zone = node["preferred_availability_zone"]
        self.cache_cluster_create_time = utcnow()
        self.cache_cluster_status = "available"
        self.num_cache_nodes = 1
        self.cache_nodes = [
            {
                "CacheNodeId": "0001",
                "CacheNodeStatus": "available",
                "CacheNodeCreateTime": self.cache_cluster_create_time,
                "Endpoint": node.get("read_endpoint"),
                "ParameterGroupStatus": "in-sync",
                "CustomerAvailabilityZone": self.preferred_availability_zone,
            }
        ]
        self.take_over(group)

    def take_over(self, group: ReplicationGroup) -> None:
        """Tell what the group tells now."""
        family = group.cache_parameter_group_name or f"default.{group.engine}7"
        self.engine = group.engine
        self.engine_version = group.engine_version
        self.cache_node_type = group.cache_node_type
        self.cache_parameter_group_name = family
        self.cache_parameter_group = {
            "CacheParameterGroupName": family,
            "ParameterApplyStatus": "in-sync",
            "CacheNodeIdsToReboot": [],
        }
        self.cache_subnet_group_name = group.cache_subnet_group_name
        self.security_groups = [{"SecurityGroupId": one, "Status": "active"} for one in group.security_group_ids or []]
        self.preferred_maintenance_window = group.preferred_maintenance_window
        self.auto_minor_version_upgrade = group.auto_minor_version_upgrade
        self.auth_token_enabled = group.auth_token_enabled
        self.transit_encryption_enabled = group.transit_encryption_enabled
        self.at_rest_encryption_enabled = group.at_rest_encryption_enabled
        self.snapshot_retention_limit = group.snapshot_retention_limit
        self.snapshot_window = group.snapshot_window
        self.port = group.port


def lay_out(backend: ElastiCacheBackend, group: ReplicationGroup, *, shards: int, replicas: int) -> None:
    """Give a replication group its shards, each with a primary and replicas over the zones of its subnets."""
    domain = _domain(backend, group)
    group.node_groups = [_shard(backend, group, index, shards, replicas, domain) for index in range(shards)]
    group.member_clusters = [
        node["cache_cluster_id"] for shard in group.node_groups for node in shard["node_group_members"]
    ]
    if group.cluster_mode == "enabled":
        group.configuration_endpoint = {"address": f"clustercfg.{domain}", "port": group.port}
    know_members(backend, group)


def _domain(backend: ElastiCacheBackend, group: ReplicationGroup) -> str:
    """Return the domain of a group's endpoints; it stays when the layout changes."""
    domain: str | None = getattr(group, "domain", None)
    if domain is None:
        continent, direction, number = backend.region_name.rsplit("-", 2)
        region = f"{continent}{_DIRECTIONS[direction]}{number}"
        domain = f"{group.replication_group_id}.{secrets.token_hex(3)}.{region}.cache.amazonaws.com"
        group.domain = domain  # type: ignore[attr-defined]
    return domain


def _shard(
    backend: ElastiCacheBackend, group: ReplicationGroup, index: int, shards: int, replicas: int, domain: str
) -> dict[str, Any]:
    number = f"{index + 1:0>4}"
    clustered = group.cluster_mode == "enabled"
    stem = f"{group.replication_group_id}-{number}" if clustered else group.replication_group_id
    zones = _zones(backend, group)
    nodes: list[dict[str, Any]] = []
    for place in range(replicas + 1):
        name = f"{stem}-{place + 1:0>3}"
        node: dict[str, Any] = {
            "cache_cluster_id": name,
            "cache_node_id": "0001",
            "preferred_availability_zone": zones[place % len(zones)],
        }
        if not clustered:
            node["current_role"] = "replica" if place else "primary"
            node["read_endpoint"] = {"address": f"{name}.{domain}", "port": group.port}
        nodes.append(node)
    shard: dict[str, Any] = {"node_group_id": number, "status": "available", "node_group_members": nodes}
    if clustered:
        shard["slots"] = f"{_SLOTS * index // shards}-{_SLOTS * (index + 1) // shards - 1}"
    else:
        shard["primary_endpoint"] = {"address": f"master.{domain}", "port": group.port}
        shard["reader_endpoint"] = {"address": f"replica.{domain}", "port": group.port}
    return shard


def _zones(backend: ElastiCacheBackend, group: ReplicationGroup) -> list[str]:
    subnets = backend.cache_subnet_groups.get(group.cache_subnet_group_name or "")
    if subnets is None:
        return [f"{backend.region_name}a", f"{backend.region_name}b"]
    found = ec2_backends[backend.account_id][backend.region_name].describe_subnets(subnet_ids=subnets.subnet_ids)
    return sorted({subnet.availability_zone for subnet in found})


def know_members(backend: ElastiCacheBackend, group: ReplicationGroup) -> None:
    """Let each node of a group be seen as a cache cluster, and no other."""
    for name in [
        name
        for name, one in backend.cache_clusters.items()
        if _belongs(one, group) and name not in group.member_clusters
    ]:
        del backend.cache_clusters[name]
    for shard in group.node_groups:
        for node in shard["node_group_members"]:
            member = backend.cache_clusters.setdefault(node["cache_cluster_id"], Member(backend, group, node))
            member.take_over(group)


def forget_members(backend: ElastiCacheBackend, group: ReplicationGroup) -> None:
    """Take the nodes of a group out of the cache clusters."""
    for name in [name for name, one in backend.cache_clusters.items() if _belongs(one, group)]:
        del backend.cache_clusters[name]


def _belongs(cluster: Any, group: ReplicationGroup) -> bool:
    return getattr(cluster, "replication_group_id", None) == group.replication_group_id
