"""One service of the catalog as it stands in AWS: task, service, scaling and its three alarms."""

from __future__ import annotations

import math

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from catalog.service import Service
from fleet_constructs.alarms import add_service_alarms
from fleet_constructs.gateway_load_balancer import GatewayLoadBalancer
from fleet_constructs.service_task import Platform, ServiceTask, seconds

FAILED_TASKS_TO_ROLL_BACK = 3
GATEWAY_GRACE_SECONDS = 90


class CatalogService(Construct):
    """Everything that one enabled entry of the catalog deploys."""

    def __init__(
        self, scope: Construct, construct_id: str, *, service: Service, platform: Platform, execution_role: iam.IRole
    ) -> None:
        super().__init__(scope, construct_id)
        self._service = service
        self._platform = platform
        self._is_gateway = platform.catalog.is_gateway(service)
        task = ServiceTask(self, "Task", service=service, platform=platform, execution_role=execution_role)
        ecs_service = self._ecs_service(task.definition)
        if self._is_gateway:
            GatewayLoadBalancer(
                self,
                "LoadBalancer",
                service=service,
                ecs_service=ecs_service,
                environment=platform.environment,
                network=platform.network,
                deletion_protection=not platform.retention.destroy,
            )
        if service.autoscaling:
            ecs_service.auto_scale_task_count(
                min_capacity=service.autoscaling.min, max_capacity=service.autoscaling.max
            ).scale_on_cpu_utilization("Cpu", target_utilization_percent=service.autoscaling.target_cpu_percent)
        add_service_alarms(
            self,
            service=service,
            environment=platform.environment.name,
            service_name=ecs_service.service_name,
            cluster_name=platform.cluster_name,
            topic_arn=platform.topic_arn,
            container_insights=platform.environment.monitoring.container_insights,
        )
        tags = cdk.Tags.of(self)
        for key, value in {
            "service": service.name,
            "group": service.group,
            "owner": service.owner,
            **service.tags,
        }.items():
            tags.add(key, value)
        cdk.Validations.of(self).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-ECS2", reason="variables are names and addresses; the catalog refuses secrets in plain"
            ),
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="the service's owner decides when its value changes; a task reads it once, at its start",
            ),
        )

    def _ecs_service(self, task_definition: ecs.FargateTaskDefinition) -> ecs.FargateService:
        service, platform = self._service, self._platform
        ecs_service = ecs.FargateService(
            self,
            "Service",
            service_name=service.name,
            cluster=platform.cluster,
            task_definition=task_definition,
            # With autoscaling, a deployment that names a count would undo what the scaling has done.
            desired_count=None if service.autoscaling else service.replicas,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            capacity_provider_strategies=self._capacity(),
            platform_version=ecs.FargatePlatformVersion.LATEST,
            assign_public_ip=False,
            vpc_subnets=platform.network.private_subnets,
            security_groups=self._security_groups(),
            # ECS refuses a grace period for a service without a load balancer.
            health_check_grace_period=seconds(GATEWAY_GRACE_SECONDS) if self._is_gateway else None,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            enable_execute_command=False,
        )
        cfn_service = ecs_service.node.default_child
        assert isinstance(cfn_service, ecs.CfnService)  # noqa: S101 (tells the type checker what the construct promises)
        # The construct does not know the threshold yet (aws-cdk#38243). Left alone, ECS derives one from the number of tasks.
        cfn_service.add_property_override(
            "DeploymentConfiguration.DeploymentCircuitBreaker.ThresholdConfiguration",
            {"Type": "COUNT", "Value": FAILED_TASKS_TO_ROLL_BACK},
        )
        return ecs_service

    def _security_groups(self) -> list[ec2.ISecurityGroup]:
        groups = self._platform.network.security_groups
        wanted: list[ec2.ISecurityGroup] = [groups.nats_client]
        if self._service.cache:
            wanted.append(groups.cache_client)
        if self._is_gateway:
            wanted.append(groups.gateway)
        return wanted

    def _capacity(self) -> list[ecs.CapacityProviderStrategy]:
        """Return how the tasks are bought.

        The share of Spot holds exactly for the least number of tasks; what autoscaling adds runs on Spot. Always a strategy and
        never a launch type, so that a change of the share changes the service in place.
        """
        percent = self._platform.environment.spot_percent(self._service)
        if not percent:
            return [ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)]
        strategies = [ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1)]
        if on_demand := math.ceil(self._service.min_tasks * (100 - percent) / 100):
            strategies.append(ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=on_demand, weight=0))
        return strategies
