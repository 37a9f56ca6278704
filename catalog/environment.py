"""One environment: every difference between local, dev, staging and prod.

The field descriptions are the reference of `environments/*.yaml`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from catalog import fargate
from catalog.cost import Cost
from catalog.model import Model
from catalog.service import Service, ServiceName, TagKey, TagValue

ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([/-][a-z0-9]+)*$", max_length=100)]
Cidr = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$")]
Milliseconds = Annotated[float, Field(gt=0, le=60_000)]
Percent = Annotated[float, Field(ge=0, le=100)]
FunctionArchitecture = Literal["arm64", "x86_64", "host"]
DAILY_WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
WEEKLY_WINDOW = r"^(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]$"


class Network(Model):
    """The VPC."""

    cidr: Cidr = "10.40.0.0/16"
    """Address range of the VPC."""
    nat_gateways: Annotated[int, Field(ge=0, le=3)] = 0
    """NAT gateways; with none, AWS is reached by endpoints and nothing else is."""
    interface_endpoints: list[Literal["ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm", "ssmmessages", "ec2"]] = []
    """Services of AWS that the private subnets reach without a NAT gateway; S3 has its free gateway endpoint everywhere."""
    interface_endpoint_zones: Annotated[int, Field(ge=1, le=3)] = 3
    """In how many zones each of these endpoints stands, at most; from the others it is reached across, and each zone costs."""
    flow_log_retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How long records of the network's traffic, and of the load balancer's, are kept."""


class Fargate(Model):
    """How the services' tasks are bought."""

    allow_spot: bool = False
    """Whether the services' `spot_percent` counts; without it every task runs on demand."""
    min_spot_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of Spot for services that ask for less; for environments where an interruption costs nothing."""
    max_cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16384] = 16384
    """Services that ask for more CPU units get this many."""
    max_memory: Annotated[int, Field(ge=512, le=122880)] = 122880
    """Services that ask for more memory (MiB) get this much, or what the CPU size needs at least."""


class Monitoring(Model):
    """Logs, metrics and where they lead."""

    container_insights: bool = True
    """Whether ECS reports running tasks itself; otherwise the task-count alarm counts the samples of a free metric."""
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653] = 30
    """How long the fleet's logs are kept."""


class Subscription(Model):
    """Somebody who hears of alarms."""

    protocol: Literal["email", "sms", "https"]
    """How the message is sent."""
    parameter: ParameterName
    """Name, below `/gaming-system/ENV/`, of the SSM parameter that holds the address."""


class Alerts(Model):
    """Who hears of alarms; an environment without anybody is warned of."""

    subscriptions: list[Subscription] = []
    """Subscribers of the topic that all alarms act on."""
    fallback_subscriptions: list[Subscription] = []
    """Subscribers of the topic that tells when the first one does not deliver."""


class Gateway(Model):
    """The load balancer in front of the HTTP gateway."""

    internet_facing: bool = False
    """Whether the internet reaches the gateway; otherwise only the VPC does."""
    allowed_cidrs: Annotated[list[Cidr], Field(min_length=1)] = ["10.0.0.0/8"]
    """Address ranges that the load balancer lets in."""
    certificate_parameter: ParameterName = "gateway/certificate-arn"
    """Name, below `/gaming-system/ENV/`, of the SSM parameter with the ARN of the certificate in ACM."""
    idle_timeout_seconds: Annotated[int, Field(ge=1, le=4000)] = 60
    """How long the load balancer keeps a silent connection."""


class Nats(Model):
    """The machines of the NATS cluster; there are always three."""

    instance_type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+\.[a-z0-9]+$")] = "t4g.small"
    """EC2 machine of a node; a Graviton one."""
    volume_gib: Annotated[int, Field(ge=8, le=16384)] = 20
    """Size of a node's data disk."""
    volume_iops: Annotated[int, Field(ge=3000, le=16000)] = 3000
    """Input and output operations a second of the data disk."""
    volume_throughput_mib: Annotated[int, Field(ge=125, le=1000)] = 125
    """Throughput of the data disk in MiB a second."""
    ami_id: Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]{8,17}$")]
    """Machine image of the nodes, Amazon Linux 2023 for arm64; pinned, so that a deployment replaces no machine by chance."""
    store_percent: Annotated[int, Field(ge=10, le=75)] = 75
    """Share of the data disk that JetStream may fill; the rest is for its own files and for growth of what it keeps."""
    sync_always: bool = True
    """Whether a message is on the disk before it is acknowledged; half as fast, and what a power cut takes was never promised."""
    max_connections: Annotated[int, Field(ge=100, le=65536)] = 4096
    """Clients that a node serves at most; with another node gone, two carry everybody."""
    max_payload_kib: Annotated[int, Field(ge=64, le=8192)] = 1024
    """The largest message, in KiB."""
    backup_retention_days: Annotated[int, Field(ge=1, le=365)] = 14
    """How long a backup of streams and buckets is kept; one is made every six hours."""
    wait_for_nodes: bool = True
    """Whether a deployment waits until the nodes answer."""


class Certificates(Model):
    """What the certificate authority issues."""

    key_type: Literal["p256", "p384", "rsa-3072", "rsa-4096"] = "p256"
    """Kind of the keys: elliptic curves, or RSA where somebody must verify who knows nothing else. Certificates change with the next
    deployment, their authorities with the next rollover."""


class Cache(Model):
    """The ElastiCache replication group."""

    engine: Literal["valkey", "redis"] = "valkey"
    """Engine; Valkey is a fifth cheaper and speaks the same protocol. A Redis that stands becomes a Valkey without a pause; ElastiCache takes back Valkey 7.2 alone, to Redis 7.1."""
    engine_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$")] = "8.1"
    """Version of the engine."""
    node_type: Annotated[str, StringConstraints(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = "cache.t4g.small"
    """Machine of a node."""
    cluster_mode: bool = False
    """Whether keys are divided among shards; clients must know the cluster protocol, which the SDK's `Cache` does not. A cache that stands cannot change it."""
    shards: Annotated[int, Field(ge=1, le=90)] = 1
    """Node groups; more than one needs cluster mode."""
    replicas_per_shard: Annotated[int, Field(ge=0, le=5)] = 1
    """Replicas of each primary; with one or more, a failed primary is replaced by itself."""
    multi_az: bool = False
    """Whether primary and replicas stand in different zones."""
    maintenance_window: Annotated[str, StringConstraints(pattern=WEEKLY_WINDOW)] = "sun:04:00-sun:05:00"
    """When AWS may patch nodes, one after the other; UTC, between an hour and a day long."""
    snapshot_retention_days: Annotated[int, Field(ge=0, le=35)] = 7
    """How long daily snapshots are kept; 0 makes none."""
    snapshot_window: Annotated[str, StringConstraints(pattern=DAILY_WINDOW)] = "02:00-03:00"
    """When the daily snapshot begins; UTC, at least an hour long, outside of the maintenance window."""
    password_rotation_days: Annotated[int, Field(ge=1, le=1000)] = 30
    """How often each service's password changes; the one before stays good until the next change."""
    prove_passwords: bool = True
    """Whether a new password must have opened the cache before services are given it; false where no cache answers."""

    @property
    def has_two_processors(self) -> bool:
        """Whether what else a node's machine does takes so large a part of it that its engine alone does not tell enough."""
        return self.node_type.rpartition(".")[2] in {"micro", "small", "medium", "large"}

    @property
    def is_burstable(self) -> bool:
        """Whether a node falls to a part of its speed once it has used up its credits; ElastiCache sells it no more of them."""
        return self.node_type.startswith("cache.t")

    @property
    def members(self) -> tuple[str, ...]:
        """What each node's name has after the replication group's, as ElastiCache counts them."""
        nodes = [f"{number:03}" for number in range(1, self.replicas_per_shard + 2)]
        if not self.cluster_mode:
            return tuple(nodes)
        return tuple(f"{shard:04}-{node}" for shard in range(1, self.shards + 1) for node in nodes)


class ServiceObjectives(Model):
    """What a load test asks of one service in place of what it asks of all; a missing key is as for all."""

    max_p50_milliseconds: Milliseconds | None = None
    """Time in which half of all requests must have their answer."""
    max_p99_milliseconds: Milliseconds | None = None
    """Time in which 99 of 100 requests must have their answer."""
    max_error_percent: Percent | None = None
    """Share of requests that may fail."""


class Objectives(Model):
    """What a load test must find, for all services together and for each; `fleet loadtest` judges by it."""

    max_p50_milliseconds: Milliseconds = 50.0
    """Time in which half of all requests must have their answer."""
    max_p99_milliseconds: Milliseconds = 500.0
    """Time in which 99 of 100 requests must have their answer."""
    max_error_percent: Percent = 0.1
    """Share of requests that may fail."""
    min_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    """Requests a second, of the whole fleet, that must be answered; a test with less shows nothing."""
    services: dict[ServiceName, ServiceObjectives] = {}
    """Services of which something else is asked."""


class Environment(Model):
    """One environment."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,7}$")]
    """Name; the file's too."""
    account: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")] | None = None
    """Account that the environment belongs to; a deployment to another is refused. Any account where the key is missing."""
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """Region."""
    availability_zones: Annotated[list[str], Field(min_length=2, max_length=3)]
    """Zones that subnets are made in; three NATS nodes share two where there are but two."""
    destroy_data: bool = False
    """Whether removing the environment removes its data; the context key `destroy-data` must name the environment too."""
    function_architecture: FunctionArchitecture = "arm64"
    """Processor of the Lambda functions; `host` is the machine that deploys, for the local AWS, which runs the NATS nodes too."""
    network: Network = Network()
    """VPC and endpoints."""
    fargate: Fargate = Fargate()
    """Spot and sizes of the services' tasks."""
    monitoring: Monitoring = Monitoring()
    """Metrics and logs."""
    alerts: Alerts = Alerts()
    """Who hears of alarms."""
    gateway: Gateway = Gateway()
    """Load balancer and certificate."""
    nats: Nats
    """NATS nodes."""
    certificates: Certificates = Certificates()
    """Certificates of nodes and services."""
    cache: Cache = Cache()
    """Cache nodes."""
    objectives: Objectives = Objectives()
    """What a load test must find."""
    cost: Cost = Cost()
    """What it may cost, and what use of it is assumed."""
    tags: dict[TagKey, TagValue] = {}
    """Tags of every resource."""

    def task_size(self, service: Service) -> tuple[int, int]:
        """Return CPU units and memory (MiB) of a service's tasks here."""
        return fargate.capped_size(
            service.cpu, service.memory, max_cpu_units=self.fargate.max_cpu, max_memory_mib=self.fargate.max_memory
        )

    def spot_percent(self, service: Service) -> int:
        """Return the share of a service's tasks that runs on Spot here."""
        return max(service.spot_percent, self.fargate.min_spot_percent) if self.fargate.allow_spot else 0
