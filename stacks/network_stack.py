"""The ground that everything stands on: network and cluster."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class NetworkStack(FleetStack):
    """VPC, endpoints, security groups, traffic records and the ECS cluster."""

    def __init__(self, scope: Construct, *, environment: Environment, retention: Retention) -> None:
        super().__init__(
            scope,
            "network",
            environment=environment,
            retention=retention,
            description="VPC, security groups, ECS cluster",
        )
        self.network = FleetNetwork(self, "Network", environment=environment, retention=retention)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=names.cluster(environment.name),
            vpc=self.network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED
            if environment.monitoring.container_insights
            else ecs.ContainerInsights.DISABLED,
            enable_fargate_capacity_providers=True,
        )
        cdk.Validations.of(self.cluster).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-ECS4",
                reason="whether Container Insights is worth its price is the environment's to say; production has it",
            )
        )
        vpc, groups = self.network.vpc, self.network.security_groups
        self.always_export(
            vpc.vpc_id,
            *(
                subnet.subnet_id
                for subnet in [*vpc.public_subnets, *vpc.select_subnets(subnet_group_name="private").subnets]
            ),
            *(
                group.security_group_id
                for group in (
                    groups.nats_node,
                    groups.nats_client,
                    groups.cache,
                    groups.cache_client,
                    groups.gateway,
                    groups.load_balancer,
                    groups.endpoints,
                )
            ),
            self.network.traffic_logs.bucket_name,
            self.cluster.cluster_name,
            self.cluster.cluster_arn,
        )
        # For `fleet loadtest`, which starts tasks; no stack reads them.
        subnets = vpc.select_subnets(subnet_group_name=self.network.private_subnets.subnet_group_name).subnet_ids
        cdk.CfnOutput(self, names.LOAD_TEST_SUBNETS, value=",".join(subnets))
        cdk.CfnOutput(self, names.LOAD_TEST_SECURITY_GROUP, value=groups.nats_client.security_group_id)
