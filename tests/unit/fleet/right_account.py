"""A small account that is exactly as `tests/cases/good/small.yaml` wants it, built by hand, so that a test can break one thing.

The literals repeat what the checks derive: that is their point.
"""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import boto3

from catalog import Catalog, Environment, load_catalog
from catalog.cluster import cluster_request
from catalog.environment import Alerts, Nats, Subscription
from catalog.identities import certificate_request
from fleet.account import Account
from tests.certificates import PASSPHRASE
from tls import CertificateRequest, DirectoryStore, Issuer, Passphrase, bring_about

SMALL = Path(__file__).parents[2] / "cases" / "good" / "small.yaml"
ACCOUNT = "123456789012"
REGION = "us-east-1"
CLUSTER = "gaming-system-test"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:gaming-system-alerts-test"
FALLBACK = f"arn:aws:sns:{REGION}:{ACCOUNT}:gaming-system-alerts-fallback-test"
NATS = ",".join(f"tls://nats-{number}.nats.gaming-system.internal:4222" for number in (1, 2, 3))
NODES = ("nats-1", "nats-2", "nats-3")
NATS_BUCKET = f"gaming-system-test-nats-{ACCOUNT}-{REGION}"
CERTIFICATES = f"gaming-system-test-certificates-{ACCOUNT}-{REGION}"
NATS_ALARMS = (
    "leaderless", "routes-missing", "slow-consumers", "disk", "memory", "store", "authentication-failures",
    "replica-lag", "unhealthy", "backup-age", "node-down", "function-failed",
)  # fmt: skip
CACHE_ALARMS = (
    "cpu-001", "cpu-002", "cpu-credits-001", "cpu-credits-002", "memory-001", "memory-002", "evictions-001", "evictions-002", "replication-lag-001",
    "replication-lag-002", "connections-001", "connections-002", "authentication-failures-001", "authentication-failures-002",
)  # fmt: skip
CACHE_SECRET = "gaming-system/test/cache/state-manager-nats/user"
GET_STATE = {
    "idempotent": True,
    "reply": "gaming.game.v1.GetStateReply",
    "request": "gaming.game.v1.GetStateRequest",
    "timeout_seconds": 2.0,
}
TRUST = {"Service": "cloudwatch.amazonaws.com"}
FOR_THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def catalog() -> Catalog:
    return load_catalog(SMALL)


def environment(**changes: Any) -> Environment:
    base = Environment(
        name="test",
        region=REGION,
        availability_zones=["us-east-1a", "us-east-1b"],
        nats=Nats(ami_id="ami-12345678"),
        alerts=Alerts(subscriptions=[Subscription(protocol="email", parameter="alerts/email")]),
    )
    return base.model_copy(update=changes)


@functools.cache
def _pointers() -> dict[str, bytes]:
    """Issue every certificate once; that is what the bucket says of each."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder))
        request = CertificateRequest.from_plain(certificate_request(catalog(), environment()))
        bring_about(Issuer(store, lambda: Passphrase(PASSPHRASE), requester="a test"), request)
        keys = [key for key in store.keys("") if key.endswith("/current.json") and not key.startswith("ca/")]
        return {key: stored.data for key in keys if (stored := store.read(key))}


class WithoutTasks(Account):
    """An account that runs no tasks, as the local AWS does not."""

    @property
    def is_local(self) -> bool:
        return True


class Clients:
    """A client for each service of AWS that a test looks into."""

    def __init__(self, session: boto3.Session) -> None:
        self.session = session
        self.ecs = session.client("ecs")
        self.cloudwatch = session.client("cloudwatch")
        self.sns = session.client("sns")
        self.kms = session.client("kms")
        self.logs = session.client("logs")
        self.ecr = session.client("ecr")
        self.ssm = session.client("ssm")
        self.cloudformation = session.client("cloudformation")
        self.scaling = session.client("application-autoscaling")
        self.ec2 = session.client("ec2")
        self.s3 = session.client("s3")
        self.elasticache = session.client("elasticache")
        self.secretsmanager = session.client("secretsmanager")


class RightAccount:
    """The account, with clients for tests that break it."""

    def __init__(self, clients: Clients) -> None:
        self.session = clients.session
        self.ecs = clients.ecs
        self.cloudwatch = clients.cloudwatch
        self.sns = clients.sns
        self.kms = clients.kms
        self.logs = clients.logs
        self.ecr = clients.ecr
        self.ssm = clients.ssm
        self.cloudformation = clients.cloudformation
        self.scaling = clients.scaling
        self.ec2 = clients.ec2
        self.s3 = clients.s3
        self.elasticache = clients.elasticache
        self.secretsmanager = clients.secretsmanager
        # moto has a network to begin with, and wants services to stand in one that is there.
        subnets = clients.ec2.describe_subnets()["Subnets"]
        self.subnets = [subnet["SubnetId"] for subnet in subnets]
        self.groups = [
            clients.ec2.create_security_group(GroupName=name, Description=name, VpcId=subnets[0]["VpcId"])["GroupId"]
            for name in ("nats-client", "other")
        ]
        self.key_id = ""

    @property
    def account(self) -> Account:
        return Account(self.session, ACCOUNT)

    def build(self) -> RightAccount:
        self.build_topics()
        self.ssm.put_parameter(Name="/gaming-system/test/alerts/email", Value="alerts@example.com", Type="String")
        self.sns.subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="alerts@example.com")
        self.logs.create_log_group(logGroupName="/ecs/gaming-system-nats-test")
        self.logs.put_retention_policy(logGroupName="/ecs/gaming-system-nats-test", retentionInDays=30)
        for name in ("reference-service", "state-manager-nats", "quest-system-nats", "http-nats-gateway"):
            self.add_repository(name)
        for part in (
            "network", "images", "monitoring", "certificates", "nats", "cache", "services-game", "services-gateway",
        ):  # fmt: skip
            self.add_stack(f"gaming-system-test-{part}")
        self.ecs.create_cluster(clusterName=CLUSTER, settings=[{"name": "containerInsights", "value": "enabled"}])
        self.put_service("state-manager-nats", state_manager_task(), groups=2)
        self.put_service("http-nats-gateway", gateway_task(), groups=2, gateway=True)
        self.scaling.register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/{CLUSTER}/http-nats-gateway",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=2,
            MaxCapacity=6,
        )
        for service in ("state-manager-nats", "http-nats-gateway"):
            for kind in ("cpu-high", "memory-high", "tasks-low"):
                self.put_alarm(service, kind)
        self.build_nats()
        self.build_cache()
        self.s3.create_bucket(Bucket=CERTIFICATES)
        for key, pointer in _pointers().items():
            self.s3.put_object(Bucket=CERTIFICATES, Key=key, Body=pointer)
        return self

    def build_cache(self) -> None:
        self.elasticache.create_user(
            UserId=f"{CLUSTER}-default", UserName="default", Engine="valkey", AccessString="off -@all",
            Passwords=["nobody knows this"],
        )  # fmt: skip
        self.elasticache.create_user(
            UserId="state-manager-nats", UserName="state-manager-nats", Engine="valkey",
            AccessString="on ~state-manager-nats:* &state-manager-nats:* -@all +@read", Passwords=["sixteen characters"],
        )  # fmt: skip
        self.elasticache.create_user_group(
            UserGroupId=CLUSTER, Engine="valkey", UserIds=[f"{CLUSTER}-default", "state-manager-nats"]
        )
        self.put_cache()
        self.secretsmanager.create_secret(Name=CACHE_SECRET, SecretString="{}")
        self.secretsmanager.rotate_secret(SecretId=CACHE_SECRET, RotationRules={"AutomaticallyAfterDays": 30})
        for kind in CACHE_ALARMS:
            self.put_platform_alarm(f"cache-{kind}")

    def put_cache(self, **changes: Any) -> None:
        self.elasticache.create_replication_group(
            **{
                "ReplicationGroupId": CLUSTER,
                "ReplicationGroupDescription": "Cache",
                "Engine": "valkey",
                "EngineVersion": "8.1",
                "CacheNodeType": "cache.t4g.small",
                "NumNodeGroups": 1,
                "ReplicasPerNodeGroup": 1,
                "AutomaticFailoverEnabled": True,
                "MultiAZEnabled": False,
                "TransitEncryptionEnabled": True,
                "TransitEncryptionMode": "required",
                "AtRestEncryptionEnabled": True,
                "UserGroupIds": [CLUSTER],
                "SnapshotRetentionLimit": 7,
                **changes,
            }
        )

    def build_nats(self) -> None:
        zone = self.ec2.describe_subnets(SubnetIds=self.subnets[:1])["Subnets"][0]["AvailabilityZone"]
        for node in NODES:
            tags = [("environment", "test"), ("nats-slot", node), ("part", "nats")]
            self.ec2.run_instances(
                ImageId="ami-12345678", MinCount=1, MaxCount=1, TagSpecifications=_tagged("instance", *tags[:2])
            )
            self.ec2.create_volume(
                AvailabilityZone=zone, Size=8, Encrypted=True, TagSpecifications=_tagged("volume", *tags)
            )
            self.ec2.create_network_interface(
                SubnetId=self.subnets[0], TagSpecifications=_tagged("network-interface", *tags)
            )
        for kind in NATS_ALARMS:
            self.put_platform_alarm(f"nats-{kind}")
        self.s3.create_bucket(Bucket=NATS_BUCKET)
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        self.s3.put_bucket_encryption(Bucket=NATS_BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
        self.put_nats("current.json", {"version": 1, "configuration": {node: {} for node in NODES}})
        self.put_nats("state/cluster.json", {"request": cluster_request(catalog(), environment()), "users": []})

    def put_nats(self, key: str, plain: Any) -> None:
        self.s3.put_object(Bucket=NATS_BUCKET, Key=key, Body=json.dumps(plain).encode())

    def put_platform_alarm(self, kind: str, **changes: Any) -> None:
        self.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": f"platform-{kind}-test",
                "AlarmDescription": f"Something. Runbook: docs/runbooks/platform-{_runbook(kind)}.md",
                "AlarmActions": [TOPIC],
                "Namespace": "GamingSystem",
                "MetricName": kind,
                "Statistic": "Maximum",
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 0,
                "EvaluationPeriods": 1,
                "Period": 60,
                **changes,
            }
        )

    def build_topics(self) -> None:
        key_policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": TRUST,
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    "Condition": FOR_THIS_ACCOUNT,
                },
            ],
        }
        self.key_id = self.kms.create_key(Policy=json.dumps(key_policy))["KeyMetadata"]["KeyId"]
        for name, arn in (("gaming-system-alerts-test", TOPIC), ("gaming-system-alerts-fallback-test", FALLBACK)):
            self.sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": self.key_id})
            self.put_topic_policy(arn, TRUST, FOR_THIS_ACCOUNT)

    def put_topic_policy(self, arn: str, principal: Any, condition: dict[str, Any]) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": condition,
        }
        refused = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement, refused]}
        self.sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))

    def add_repository(self, name: str) -> None:
        self.ecr.create_repository(
            repositoryName=f"gaming-system-test/{name}",
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
        )

    def add_stack(self, name: str) -> None:
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"of-{name}"}}}}
        self.cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))

    def put_service(
        self, name: str, task: dict[str, Any], *, groups: int = 1, gateway: bool = False, **changes: Any
    ) -> None:
        """Create a service; moto forgets what it says of deployments until it is updated once."""
        definition = self.ecs.register_task_definition(**task)["taskDefinition"]["taskDefinitionArn"]
        load_balancers = [
            {
                "targetGroupArn": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/gateway/0123456789abcdef",
                "containerName": name,
                "containerPort": 8000,
            }
        ]
        self.ecs.create_service(
            **{
                "cluster": CLUSTER,
                "serviceName": name,
                "taskDefinition": definition,
                "desiredCount": 2,
                "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
                "availabilityZoneRebalancing": "ENABLED",
                "loadBalancers": load_balancers if gateway else [],
                "networkConfiguration": self.network_configuration(groups),
                **changes,
            }
        )
        self.put_deployment_configuration(name)

    def network_configuration(self, groups: int, *, public: bool = False, subnets: int = 2) -> Any:
        return {
            "awsvpcConfiguration": {
                "subnets": self.subnets[:subnets],
                "securityGroups": self.groups[:groups],
                "assignPublicIp": "ENABLED" if public else "DISABLED",
            }
        }

    def put_deployment_configuration(self, name: str, **changes: Any) -> None:
        changed: Any = {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
            **changes,
        }
        self.ecs.update_service(cluster=CLUSTER, service=name, deploymentConfiguration=changed)

    def put_task(self, name: str, task: dict[str, Any]) -> None:
        """Let a service run another task definition."""
        definition = self.ecs.register_task_definition(**task)["taskDefinition"]["taskDefinitionArn"]
        self.ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=definition)

    def put_alarm(self, service: str, kind: str, **changes: Any) -> None:
        utilisation = {
            "Namespace": "AWS/ECS",
            "Statistic": "Average",
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 80,
            "EvaluationPeriods": 5,
            "DatapointsToAlarm": 3,
            "TreatMissingData": "missing",
        }
        kinds: dict[str, dict[str, Any]] = {
            "cpu-high": {**utilisation, "MetricName": "CPUUtilization"},
            "memory-high": {**utilisation, "MetricName": "MemoryUtilization"},
            "tasks-low": {
                "Namespace": "ECS/ContainerInsights",
                "MetricName": "RunningTaskCount",
                "Statistic": "Minimum",
                "ComparisonOperator": "LessThanThreshold",
                "Threshold": 2,
                "EvaluationPeriods": 3,
                "DatapointsToAlarm": 3,
                "TreatMissingData": "breaching",
            },
        }
        self.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": f"{service}-{kind}-test",
                "AlarmDescription": f"Something. Runbook: docs/runbooks/{kind}.md",
                "AlarmActions": [TOPIC],
                "OKActions": [TOPIC],
                "Period": 60,
                "Dimensions": [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": service}],
                **kinds[kind],
                **changes,
            }
        )


def _runbook(kind: str) -> str:
    """Return the kind without the node of the cache."""
    return kind.removesuffix("-001").removesuffix("-002")


def _tagged(kind: str, *tags: tuple[str, str]) -> Any:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags]}]


def state_manager_task(**changes: Any) -> dict[str, Any]:
    variables = {
        "CACHE_ENDPOINT": "cache.example.internal:6379",
        "SERVICE_CONTRACT": json.dumps({"serves": {"game.state.get": GET_STATE}}, separators=(",", ":")),
    }
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:gaming-system/test/cache/state-manager-nats/user"
    container = _container("state-manager-nats", variables, [8080])
    container["secrets"] = [{"name": "CACHE_SECRET", "valueFrom": secret}]
    return _task("state-manager-nats", "512", "1024", {**container, **changes})


def gateway_task(**changes: Any) -> dict[str, Any]:
    route = {"allow": ["player"], "method": "GET", "path": "/v1/games/{game_id}", "subject": "game.state.get"}
    variables = {
        "SERVICE_CONTRACT": json.dumps({"calls": {"game.state.get": GET_STATE}}, separators=(",", ":")),
        "GATEWAY_ROUTES": json.dumps([route], separators=(",", ":")),
    }
    return _task(
        "http-nats-gateway", "256", "512", {**_container("http-nats-gateway", variables, [8080, 8000]), **changes}
    )


def _task(name: str, cpu: str, memory: str, container: dict[str, Any]) -> dict[str, Any]:
    return {
        "family": f"gaming-system-test-{name}",
        "cpu": cpu,
        "memory": memory,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/gaming-system-test-{name}",
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/execution",
        "containerDefinitions": [container],
    }


def _container(name: str, variables: dict[str, str], ports: list[int]) -> dict[str, Any]:
    given = {
        "SERVICE_NAME": name,
        "FLEET_ENVIRONMENT": "test",
        "NATS_SERVERS": NATS,
        "NATS_IDENTITY": f"{name}.svc.gaming-system.internal",
        "NATS_OUTAGE_TOLERANCE_SECONDS": "180",
        "HEALTH_PORT": "8080",
        "HEALTH_PATH": "/health",
        "CERTIFICATES_BUCKET": f"gaming-system-test-certificates-{ACCOUNT}-{REGION}",
        "CERTIFICATES_PREFIX": f"client/{name}/",
        **variables,
    }
    return {
        "name": name,
        "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/gaming-system-test/{name}:1.0.0",
        "user": "10001:10001",
        "readonlyRootFilesystem": True,
        "privileged": False,
        "portMappings": [{"containerPort": port} for port in ports],
        "environment": [{"name": key, "value": value} for key, value in given.items()],
        "healthCheck": {
            "command": ["CMD", "python", "-m", "sdk.health_check_http", "--probe", "http://127.0.0.1:8080/health"],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 60,
        },
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/ecs/gaming-system-nats-test",
                "awslogs-region": REGION,
                "awslogs-stream-prefix": name,
            },
        },
    }
