"""The load balancer in front of a service of the gateway group."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.account_inputs import account_input
from fleet_constructs.fleet_network import LOAD_BALANCER_LOG_PREFIX, FleetNetwork

HTTPS_PORT = 443
DEREGISTRATION_DELAY_SECONDS = 30


class GatewayLoadBalancer(Construct):
    """HTTPS in, the tasks of one service behind; internal unless the environment says otherwise."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: Service,
        ecs_service: ecs.FargateService,
        environment: Environment,
        network: FleetNetwork,
        deletion_protection: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        gateway = environment.gateway
        load_balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Resource",
            vpc=network.vpc,
            internet_facing=gateway.internet_facing,
            vpc_subnets=network.public_subnets if gateway.internet_facing else network.private_subnets,
            security_group=network.security_groups.load_balancer,
            deletion_protection=deletion_protection,
            drop_invalid_header_fields=True,
            idle_timeout=cdk.Duration.seconds(gateway.idle_timeout_seconds),
        )
        for attribute, value in {
            "access_logs.s3.enabled": "true",
            "access_logs.s3.bucket": network.traffic_logs.bucket_name,
            "access_logs.s3.prefix": LOAD_BALANCER_LOG_PREFIX,
        }.items():
            load_balancer.set_attribute(attribute, value)
        target_group = elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=network.vpc,
            port=names.GATEWAY_PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(DEREGISTRATION_DELAY_SECONDS),
            health_check=elbv2.HealthCheck(
                path=service.health_check.path,
                port=str(names.HEALTH_PORT),
                protocol=elbv2.Protocol.HTTP,
                interval=cdk.Duration.seconds(service.health_check.interval_seconds),
                timeout=cdk.Duration.seconds(service.health_check.timeout_seconds),
                unhealthy_threshold_count=max(service.health_check.retries, 2),
                healthy_threshold_count=2,
            ),
            targets=[ecs_service.load_balancer_target(container_name=service.name, container_port=names.GATEWAY_PORT)],
        )
        load_balancer.add_listener(
            "Https",
            port=HTTPS_PORT,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            certificates=[
                elbv2.ListenerCertificate.from_arn(account_input(self, environment.name, gateway.certificate_parameter))
            ],
            ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
            default_target_groups=[target_group],
            open=False,
        )
