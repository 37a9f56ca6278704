"""The cache: a replication group that only the services with a user of their own may use."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.retention import Retention

PASSWORD_LENGTH = 64


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
        self._replication_group = self._make_replication_group(
            network, self._user_group([s for s in catalog.enabled if s.cache])
        )

    @property
    def endpoint(self) -> str:
        """Host name and port that clients connect to."""
        group = self._replication_group
        clustered = self._environment.cache.shards > 1
        address = group.attr_configuration_end_point_address if clustered else group.attr_primary_end_point_address
        return f"{address}:{names.CACHE_PORT}"

    def _user_group(self, services: list[Service]) -> elasticache.CfnUserGroup:
        prefix = names.cluster(self._environment.name)
        # Every group needs a user called default; ours may do nothing, so that whoever comes without a name is nobody.
        default = elasticache.CfnUser(
            self,
            "DefaultUser",
            engine=self._environment.cache.engine,
            user_id=f"{prefix}-default",
            user_name="default",
            access_string="off -@all",
            no_password_required=True,
        )
        users = [default, *(self._user(service) for service in services)]
        return elasticache.CfnUserGroup(
            self,
            "Users",
            engine=self._environment.cache.engine,
            user_group_id=prefix,
            user_ids=[user.ref for user in users],
        )

    def _user(self, service: Service) -> elasticache.CfnUser:
        environment = self._environment.name
        secret = secretsmanager.Secret(
            self,
            f"{pascal_case(service.name)}Secret",
            secret_name=names.cache_secret(service.name, environment),
            description=f"User of {service.name} in the cache",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=f'{{"username":"{service.name}"}}',
                generate_string_key="password",
                exclude_punctuation=True,
                password_length=PASSWORD_LENGTH,
            ),
            # Made anew with the service: a retained one would hold the name, and the service could not come back.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        cdk.Validations.of(secret).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4", reason="a rotation through two passwords comes with the cache's own function"
            )
        )
        return elasticache.CfnUser(
            self,
            f"{pascal_case(service.name)}User",
            engine=self._environment.cache.engine,
            user_id=service.name,
            user_name=service.name,
            access_string=f"on ~{service.name}:* &{service.name}:* +@all -@admin -@dangerous",
            passwords=[secret.secret_value_from_json("password").unsafe_unwrap()],
        )

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
            properties={"maxmemory-policy": "volatile-lru", **({"cluster-enabled": "yes"} if cache.shards > 1 else {})},
        )
        group = elasticache.CfnReplicationGroup(
            self,
            "Resource",
            replication_group_description=f"Cache of {names.PLATFORM} {self._environment.name}",
            replication_group_id=names.cluster(self._environment.name),
            engine=cache.engine,
            engine_version=cache.engine_version,
            cache_node_type=cache.node_type,
            num_node_groups=cache.shards,
            replicas_per_node_group=cache.replicas_per_shard,
            automatic_failover_enabled=cache.replicas_per_shard > 0,
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
            snapshot_retention_limit=cache.snapshot_retention_days,
            auto_minor_version_upgrade=True,
        )
        group.apply_removal_policy(self._retention.removal_policy)
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
