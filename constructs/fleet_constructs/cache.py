"""The cache: a replication group that only the services with a user of their own may use."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.cache_alarms import add_cache_alarms
from fleet_constructs.cache_users import CacheUsers
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.log_group import retention_days
from fleet_constructs.retention import Retention

# A command that takes longer is in the slow log, with the commands around it.
SLOW_MICROSECONDS = 10_000
SLOW_LOG_ENTRIES = 256


class Cache(Construct):
    """Valkey or Redis with TLS, encryption at rest, and a user a service that sees nothing but its own keys."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        catalog: Catalog,
        environment: Environment,
        network: FleetNetwork,
        topic_arn: str,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._retention = retention
        self._key = kms.Key(
            self,
            "Key",
            description=f"Cache of {names.PLATFORM} {environment.name}",
            alias=f"alias/{names.PLATFORM}-{environment.name}-cache",
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        users = CacheUsers(
            self,
            "Users",
            services=[service for service in catalog.enabled if service.cache],
            environment=environment,
            retention=retention,
        )
        self._replication_group = self._make_replication_group(network, users.group)
        users.rotate(endpoint=self.endpoint, network=network, after=self._replication_group)
        add_cache_alarms(self, environment=environment, topic_arn=topic_arn)

    @property
    def endpoint(self) -> str:
        """Host name and port that clients connect to."""
        group = self._replication_group
        clustered = self._environment.cache.cluster_mode
        address = group.attr_configuration_end_point_address if clustered else group.attr_primary_end_point_address
        return f"{address}:{names.CACHE_PORT}"

    def _make_replication_group(
        self, network: FleetNetwork, users: elasticache.CfnUserGroup
    ) -> elasticache.CfnReplicationGroup:
        cache = self._environment.cache
        subnets = elasticache.CfnSubnetGroup(
            self,
            "Subnets",
            description="Private subnets",
            subnet_ids=network.vpc.select_subnets(subnet_group_name="private").subnet_ids,
        )
        parameters = elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=f"{cache.engine}{cache.engine_version.split('.')[0]}",
            description=f"Cache of {names.PLATFORM} {self._environment.name}",
            properties={
                "maxmemory-policy": "volatile-lru",
                "slowlog-log-slower-than": str(SLOW_MICROSECONDS),
                "slowlog-max-len": str(SLOW_LOG_ENTRIES),
                **({"cluster-enabled": "yes"} if cache.cluster_mode else {}),
            },
        )
        group = elasticache.CfnReplicationGroup(
            self,
            "Resource",
            replication_group_description=f"Cache of {names.PLATFORM} {self._environment.name}",
            replication_group_id=names.cluster(self._environment.name),
            engine=cache.engine,
            engine_version=cache.engine_version,
            cache_node_type=cache.node_type,
            cluster_mode="enabled" if cache.cluster_mode else "disabled",
            num_node_groups=cache.shards,
            replicas_per_node_group=cache.replicas_per_shard,
            # With cluster mode, AWS takes nothing else.
            automatic_failover_enabled=cache.cluster_mode or cache.replicas_per_shard > 0,
            multi_az_enabled=cache.multi_az,
            port=names.CACHE_PORT,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=self._key.key_arn,
            user_group_ids=[users.ref],
            cache_parameter_group_name=parameters.ref,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[network.security_groups.cache.security_group_id],
            preferred_maintenance_window=cache.maintenance_window,
            snapshot_retention_limit=cache.snapshot_retention_days,
            snapshot_window=cache.snapshot_window if cache.snapshot_retention_days else None,
            log_delivery_configurations=[self._log("slow-log"), self._log("engine-log")],
            auto_minor_version_upgrade=True,
        )
        for kept in (group, subnets, parameters):  # a group that is retained does not let the others go
            kept.apply_removal_policy(self._retention.removal_policy)
        cdk.Validations.of(group).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-AEC4", reason="whether zones fail over is the environment's to say; production's do"
            ),
            cdk.Acknowledgment(
                id="AwsSolutions-AEC5", reason="the port is no secret: security group, TLS and users keep strangers out"
            ),
            cdk.Acknowledgment(
                id="AwsSolutions-AEC6", reason="every service has a user and a password of its own instead of one token"
            ),
        )
        return group

    def _log(self, kind: names.CacheLog) -> elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty:
        """Have the cache write one of its two logs to a group of its own, as JSON."""
        log_group = logs.LogGroup(
            self,
            "SlowLog" if kind == "slow-log" else "EngineLog",
            log_group_name=names.cache_log_group(self._environment.name, kind),
            retention=retention_days(self._environment.monitoring.log_retention_days),
            removal_policy=self._retention.removal_policy,
        )
        request = elasticache.CfnReplicationGroup
        return request.LogDeliveryConfigurationRequestProperty(
            destination_type="cloudwatch-logs",
            destination_details=request.DestinationDetailsProperty(
                cloud_watch_logs_details=request.CloudWatchLogsDestinationDetailsProperty(
                    log_group=log_group.log_group_name
                )
            ),
            log_format="json",
            log_type=kind,
        )
