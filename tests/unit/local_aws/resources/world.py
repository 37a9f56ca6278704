"""A running moto with our repairs, a stack to work for, and what other resources stand on."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3

from local_aws.resources.contract import Made
from local_aws.resources.registry import handler_for

REGION = "us-east-1"
ACCOUNT = "123456789012"
HANDLER = "def handler(event, context):\n    return event\n"


def archive(source: str = HANDLER, name: str = "index.py") -> bytes:
    """Return a function's code as an archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, source)
    return packed.getvalue()


@dataclass
class StackContext:
    """What a handler is told, for one resource of one stack."""

    world: World
    logical_id: str = "Thing"
    tags: Mapping[str, str] = field(default_factory=dict)
    region: str = REGION
    account_id: str = ACCOUNT
    stack_name: str = "fleet"
    stack_id: str = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/fleet/1"

    def client(self, service: str) -> Any:
        return self.world.client(service)


class World:
    """One moto, as empty as it was started."""

    def __init__(self, endpoint: str, clients: dict[str, Any]) -> None:
        self.endpoint = endpoint
        self._clients = clients
        self._topics: dict[str, str] = {}
        self.empty()

    def empty(self) -> None:
        """Forget everything that was made."""
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")).close()  # noqa: S310
        for name in vars(type(self)):
            self.__dict__.pop(name, None)
        self._topics.clear()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            made = boto3.client(  # type: ignore[call-overload]
                service,
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id="local",
                aws_secret_access_key="local",
            )
            self._clients[service] = made
        return self._clients[service]

    @staticmethod
    def made(physical_id: str) -> Made:
        return Made(physical_id)

    def make(self, type_name: str, **properties: Any) -> Made:
        """Make a resource that another one needs."""
        return handler_for(type_name).create(StackContext(self, "Needed"), properties)

    @cached_property
    def vpc(self) -> str:
        return self.make("AWS::EC2::VPC", CidrBlock="10.0.0.0/16").physical_id

    @cached_property
    def subnets(self) -> list[str]:
        return [
            self.make(
                "AWS::EC2::Subnet", VpcId=self.vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{REGION}{zone}"
            ).physical_id
            for index, zone in enumerate("abc")
        ]

    @cached_property
    def route_table(self) -> str:
        return self.make("AWS::EC2::RouteTable", VpcId=self.vpc).physical_id

    @cached_property
    def internet_gateway(self) -> str:
        gateway = self.make("AWS::EC2::InternetGateway").physical_id
        self.make("AWS::EC2::VPCGatewayAttachment", VpcId=self.vpc, InternetGatewayId=gateway)
        return gateway

    def group(self, name: str = "first") -> str:
        return self.make("AWS::EC2::SecurityGroup", VpcId=self.vpc, GroupDescription=name, GroupName=name).physical_id

    @cached_property
    def image(self) -> str:
        return str(self.client("ec2").register_image(Name="node", RootDeviceName="/dev/xvda")["ImageId"])

    @cached_property
    def instance(self) -> str:
        return self.make(
            "AWS::EC2::Instance", ImageId=self.image, InstanceType="t3.micro", SubnetId=self.subnets[0]
        ).physical_id

    def role(self, service: str = "lambda.amazonaws.com") -> Made:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        return self.make("AWS::IAM::Role", AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [statement]})

    def topic(self, name: str = "topic") -> str:
        if name not in self._topics:
            self._topics[name] = self.make("AWS::SNS::Topic", TopicName=name).physical_id
        return self._topics[name]

    def bucket(self, name: str = "needed-bucket") -> str:
        return self.make("AWS::S3::Bucket", BucketName=name).physical_id

    def log_group(self, name: str = "/needed") -> str:
        return self.make("AWS::Logs::LogGroup", LogGroupName=name).physical_id

    def asset(self, content: bytes, key: str = "asset.zip") -> dict[str, str]:
        """Put an archive where a template's code comes from."""
        buckets = [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]]
        bucket = "assets" if "assets" in buckets else self.bucket("assets")
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return {"S3Bucket": bucket, "S3Key": key}

    def function(self, source: str = HANDLER, **properties: Any) -> Made:
        usual = {"Handler": "index.handler", "Runtime": "python3.13", "Role": self.role().attributes["Arn"]}
        code = self.asset(archive(source), f"{abs(hash(source))}.zip")
        return self.make("AWS::Lambda::Function", **usual, Code=code, **properties)

    @cached_property
    def cluster(self) -> str:
        return self.make("AWS::ECS::Cluster", ClusterName="cluster").physical_id

    def task_definition(self, family: str = "task") -> str:
        container = {"Name": "main", "Image": "image:1", "PortMappings": [{"ContainerPort": 8080}]}
        return self.make(
            "AWS::ECS::TaskDefinition",
            Family=family,
            Cpu="256",
            Memory="512",
            NetworkMode="awsvpc",
            RequiresCompatibilities=["FARGATE"],
            ContainerDefinitions=[container],
        ).physical_id

    def service(self, name: str = "needed") -> str:
        return self.make(
            "AWS::ECS::Service",
            Cluster=self.cluster,
            ServiceName=name,
            TaskDefinition=self.task_definition(),
            DesiredCount=2,
            LaunchType="FARGATE",
            NetworkConfiguration={
                "AwsvpcConfiguration": {"Subnets": self.subnets[:2], "SecurityGroups": [self.group(f"of-{name}")]}
            },
        ).physical_id

    @cached_property
    def scalable_target(self) -> str:
        self.service("scaled")
        return self.make(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId="service/cluster/scaled",
            MinCapacity=2,
            MaxCapacity=4,
        ).physical_id

    @cached_property
    def load_balancer(self) -> str:
        return self.make(
            "AWS::ElasticLoadBalancingV2::LoadBalancer", Name="needed", Subnets=self.subnets[:2], Scheme="internal"
        ).physical_id

    def target_group(self, name: str = "needed") -> str:
        return self.make(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            Name=name,
            Port=8000,
            Protocol="HTTP",
            TargetType="ip",
            VpcId=self.vpc,
        ).physical_id

    def certificate(self) -> str:
        return self.make("AWS::CertificateManager::Certificate", DomainName="example.com").physical_id

    @cached_property
    def listener(self) -> str:
        return self.make(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn=self.load_balancer,
            Port=80,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.target_group()}],
        ).physical_id

    @cached_property
    def zone(self) -> str:
        return self.make(
            "AWS::Route53::HostedZone", Name="internal.", VPCs=[{"VPCId": self.vpc, "VPCRegion": REGION}]
        ).physical_id

    @cached_property
    def launch_template(self) -> str:
        data = {"ImageId": self.image, "InstanceType": "t3.micro"}
        return self.make("AWS::EC2::LaunchTemplate", LaunchTemplateData=data).physical_id

    def auto_scaling_group(self, name: str = "group") -> str:
        template = {"LaunchTemplateId": self.launch_template, "Version": "1"}
        return self.make(
            "AWS::AutoScaling::AutoScalingGroup",
            AutoScalingGroupName=name,
            LaunchTemplate=template,
            MinSize="0",
            MaxSize="1",
            VPCZoneIdentifier=self.subnets[:1],
        ).physical_id

    @cached_property
    def cache_subnets(self) -> str:
        return self.make(
            "AWS::ElastiCache::SubnetGroup", CacheSubnetGroupName="subnets", Description="d", SubnetIds=self.subnets
        ).physical_id

    def cache_user(self, name: str) -> str:
        return self.make(
            "AWS::ElastiCache::User",
            UserId=name,
            UserName=name,
            Engine="valkey",
            AccessString="on ~* +@all",
            Passwords=["a-password-of-a-test"],
        ).physical_id

    @cached_property
    def namespace(self) -> str:
        return self.make("AWS::ServiceDiscovery::PrivateDnsNamespace", Name="map.internal", Vpc=self.vpc).physical_id

    def web_acl(self) -> Made:
        visibility = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
        return self.make(
            "AWS::WAFv2::WebACL",
            Name="list",
            Scope="REGIONAL",
            DefaultAction={"Allow": {}},
            VisibilityConfig=visibility,
        )


def document(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy with one statement."""
    return {"Version": "2012-10-17", "Statement": [statement]}


def as_json(text: str) -> Any:
    return json.loads(text)


def another_instance(world: World) -> str:
    """Make one more instance, which nobody speaks of."""
    return world.make(
        "AWS::EC2::Instance", ImageId=world.image, InstanceType="t3.micro", SubnetId=world.subnets[1]
    ).physical_id


def server_logs(world: World) -> str:
    """Make a bucket that S3 may write its logs to."""
    name = world.bucket("server-logs")
    service = {"Service": "logging.s3.amazonaws.com"}
    allow = {"Effect": "Allow", "Principal": service, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/*"}
    world.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(document(allow)))
    return name
