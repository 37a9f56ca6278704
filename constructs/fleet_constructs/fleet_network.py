"""The VPC: subnets, the way to AWS, and the record of its traffic."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from catalog.environment import Environment
from fleet_constructs.arns import account
from fleet_constructs.retention import Retention
from fleet_constructs.security_groups import SecurityGroups

LOAD_BALANCER_LOG_PREFIX = "load-balancer"


class FleetNetwork(Construct):
    """VPC, endpoints, security groups and the bucket of traffic records.

    The public subnets stand there even where nothing uses them: they cost nothing, and adding them later would shift the
    address ranges of the private ones, which replaces those.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, retention: Retention) -> None:
        super().__init__(scope, construct_id)
        network = environment.network
        has_nat = network.nat_gateways > 0
        self.private_subnets = ec2.SubnetSelection(subnet_group_name="private")
        self.public_subnets = ec2.SubnetSelection(subnet_group_name="public")
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            availability_zones=environment.availability_zones,
            nat_gateways=network.nat_gateways,
            # The default group stays as AWS makes it, unused: CDK's helper would bring a Node function along.
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(
                    name="private",
                    subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS if has_nat else ec2.SubnetType.PRIVATE_ISOLATED,
                    cidr_mask=20,
                ),
            ],
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        self.security_groups = SecurityGroups(
            self, "SecurityGroups", vpc=self.vpc, load_balancer_cidrs=environment.gateway.allowed_cidrs
        )
        endpoint_subnets = ec2.SubnetSelection(
            subnet_group_name="private",
            availability_zones=environment.availability_zones[: network.interface_endpoint_zones],
        )
        for name in network.interface_endpoints:
            self.vpc.add_interface_endpoint(
                "".join(word.capitalize() for word in name.split(".")),
                service=ec2.InterfaceVpcEndpointAwsService(name),
                subnets=endpoint_subnets,
                security_groups=[self.security_groups.endpoints],
                open=False,
            )
        self.traffic_logs = self._traffic_logs(network.flow_log_retention_days, retention)
        self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_s3(self.traffic_logs, "flow-logs/"))

    def _traffic_logs(self, retention_days: int, retention: Retention) -> s3.Bucket:
        """Make the bucket that flow logs and the load balancer's access logs go to.

        Load balancers write to buckets with S3's own encryption only. Their permission stands here and not with the load
        balancer, so that a gateway that goes changes nothing in this stack.
        """
        bucket = s3.Bucket(
            self,
            "TrafficLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=cdk.Duration.days(retention_days))],
            removal_policy=retention.removal_policy,
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LoadBalancerLogs",
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{LOAD_BALANCER_LOG_PREFIX}/AWSLogs/{account()}/*")],
                conditions={"StringEquals": {"aws:SourceAccount": account()}},
            )
        )
        cdk.Validations.of(bucket).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-S1",
                reason="this bucket holds access logs itself; logging its own access would feed on itself",
            )
        )
        return bucket
