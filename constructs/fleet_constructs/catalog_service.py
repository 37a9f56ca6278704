"""One service of the catalog as it stands in AWS: role, task, service, scaling and its three alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from catalog import contract, names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.alarms import add_service_alarms
from fleet_constructs.arns import repository_uri, task_principal
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.gateway_load_balancer import GatewayLoadBalancer
from fleet_constructs.retention import Retention

USER = "10001:10001"
STOP_TIMEOUT_SECONDS = 60
SPOT_STOP_TIMEOUT_SECONDS = 120
FAILED_TASKS_TO_ROLL_BACK = 3
GATEWAY_GRACE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Platform:
    """What every service of an environment stands on; all of it lives as long as the environment."""

    catalog: Catalog
    environment: Environment
    network: FleetNetwork
    cluster: ecs.ICluster
    log_group: logs.ILogGroup
    topic_arn: str
    cache_endpoint: str
    retention: Retention


class CatalogService(Construct):
    """Everything that one enabled entry of the catalog deploys."""

    def __init__(
        self, scope: Construct, construct_id: str, *, service: Service, platform: Platform, execution_role: iam.IRole
    ) -> None:
        super().__init__(scope, construct_id)
        self._service = service
        self._platform = platform
        self._is_gateway = platform.catalog.is_gateway(service)
        task_definition = self._task_definition(execution_role)
        self.ecs_service = self._ecs_service(task_definition)
        if self._is_gateway:
            GatewayLoadBalancer(
                self,
                "LoadBalancer",
                service=service,
                ecs_service=self.ecs_service,
                environment=platform.environment,
                network=platform.network,
                deletion_protection=not platform.retention.destroy,
            )
        if service.autoscaling:
            self.ecs_service.auto_scale_task_count(
                min_capacity=service.autoscaling.min, max_capacity=service.autoscaling.max
            ).scale_on_cpu_utilization("Cpu", target_utilization_percent=service.autoscaling.target_cpu_percent)
        add_service_alarms(
            self,
            service=service,
            environment=platform.environment.name,
            service_name=self.ecs_service.service_name,
            cluster_name=platform.cluster.cluster_name,
            topic_arn=platform.topic_arn,
            container_insights=platform.environment.monitoring.container_insights,
        )
        for key, value in {
            "service": service.name,
            "group": service.group,
            "owner": service.owner,
            **service.tags,
        }.items():
            cdk.Tags.of(self).add(key, value)

    def _task_role(self) -> iam.Role:
        """Make the role of the service's own code: its certificate, and nothing that it was not given."""
        environment = self._platform.environment
        bucket = names.certificates_bucket(environment.name, cdk.Aws.ACCOUNT_ID, environment.region)
        bucket_arn = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"
        read_certificate = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    sid="ReadOwnCertificate",
                    actions=["s3:GetObject", "s3:GetObjectVersion"],
                    resources=[
                        f"{bucket_arn}/{names.certificate_prefix(self._service.name)}*",
                        f"{bucket_arn}/ca/certificates/*",
                    ],
                ),
                iam.PolicyStatement(
                    sid="DecryptCertificates",
                    actions=["kms:Decrypt"],
                    resources=[f"arn:{cdk.Aws.PARTITION}:kms:{environment.region}:{cdk.Aws.ACCOUNT_ID}:key/*"],
                    conditions={
                        "StringEquals": {"kms:ViaService": f"s3.{environment.region}.amazonaws.com"},
                        "ForAnyValue:StringEquals": {
                            "kms:ResourceAliases": names.certificates_key_alias(environment.name)
                        },
                    },
                ),
            ]
        )
        role = iam.Role(
            self,
            "TaskRole",
            role_name=names.task_role(self._service.name, environment.name),
            assumed_by=task_principal(environment),
            description=f"Code of {self._service.name}",
            inline_policies={"ReadCertificate": read_certificate},
        )
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5",
                reason="the versions below the service's own prefix change with each renewal; the key is narrowed by its alias",
            )
        )
        return role

    def _task_definition(self, execution_role: iam.IRole) -> ecs.FargateTaskDefinition:
        service, environment = self._service, self._platform.environment
        cpu_units, memory_mib = environment.task_size(service)
        task_definition = ecs.FargateTaskDefinition(
            self,
            "Task",
            family=names.task_family(service.name, environment.name),
            cpu=cpu_units,
            memory_limit_mib=memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64
                if service.architecture == "arm64"
                else ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            task_role=self._task_role(),
            execution_role=execution_role,
            volumes=[ecs.Volume(name="tmp")],
        )
        container = task_definition.add_container(
            service.name,
            container_name=service.name,
            image=ecs.ContainerImage.from_registry(self._image()),
            command=service.command,
            user=USER,
            privileged=False,
            readonly_root_filesystem=True,
            linux_parameters=ecs.LinuxParameters(self, "Linux", init_process_enabled=True),
            environment=self._variables(),
            secrets=self._secrets(),
            # Without blocking: a log service that is out of reach must not hold up the service.
            logging=ecs.LogDrivers.aws_logs(
                log_group=self._platform.log_group, stream_prefix=service.name, mode=ecs.AwsLogDriverMode.NON_BLOCKING
            ),
            health_check=self._health_check(),
            port_mappings=[ecs.PortMapping(container_port=port) for port in self._ports()],
            stop_timeout=cdk.Duration.seconds(
                SPOT_STOP_TIMEOUT_SECONDS if environment.spot_percent(service) else STOP_TIMEOUT_SECONDS
            ),
        )
        # The one place to write where the root is read-only; the image makes it with the right owner.
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108
        cdk.Validations.of(task_definition).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-ECS2",
                reason="the variables are names and addresses; the catalog refuses secrets in plain",
            )
        )
        return task_definition

    def _ports(self) -> list[int]:
        return [names.HEALTH_PORT, names.GATEWAY_PORT] if self._is_gateway else [names.HEALTH_PORT]

    def _image(self) -> str:
        image = self._service.image
        uri = repository_uri(
            names.repository(image.repository or self._service.name, self._platform.environment.name),
            self._platform.environment,
        )
        return f"{uri}@{image.digest}" if image.digest else f"{uri}:{image.tag}"

    def _variables(self) -> dict[str, str]:
        service, catalog, environment = self._service, self._platform.catalog, self._platform.environment
        variables = {
            "SERVICE_NAME": service.name,
            "FLEET_ENVIRONMENT": environment.name,
            "NATS_SERVERS": ",".join(names.nats_servers()),
            "NATS_IDENTITY": names.service_identity(service.name),
            "NATS_OUTAGE_TOLERANCE_SECONDS": str(service.health_check.nats_outage_tolerance_seconds),
            "SERVICE_CONTRACT": contract.service_contract(catalog, service),
            "HEALTH_PORT": str(names.HEALTH_PORT),
            "HEALTH_PATH": service.health_check.path,
            "CERTIFICATES_BUCKET": names.certificates_bucket(environment.name, cdk.Aws.ACCOUNT_ID, environment.region),
            "CERTIFICATES_PREFIX": names.certificate_prefix(service.name),
        }
        if service.cache:
            variables["CACHE_ENDPOINT"] = self._platform.cache_endpoint
        if self._is_gateway:
            variables["GATEWAY_ROUTES"] = contract.gateway_routes(catalog)
        return {**variables, **service.environment}

    def _secrets(self) -> Mapping[str, ecs.Secret]:
        environment = self._platform.environment.name
        secrets = {}
        for variable, secret in self._service.secrets.items():
            if secret.name:
                found = secretsmanager.Secret.from_secret_name_v2(self, f"{variable}Secret", secret.name)
            else:
                found = self._own_secret(variable)
            secrets[variable] = ecs.Secret.from_secrets_manager(found, secret.field)
        if self._service.cache:
            user = secretsmanager.Secret.from_secret_name_v2(
                self, "CacheSecret", names.cache_secret(self._service.name, environment)
            )
            secrets["CACHE_SECRET"] = ecs.Secret.from_secrets_manager(user)
        return secrets

    def _own_secret(self, variable: str) -> secretsmanager.Secret:
        environment = self._platform.environment.name
        secret = secretsmanager.Secret(
            self,
            pascal_case(variable.lower().replace("_", "-")),
            secret_name=names.secret(self._service.name, variable, environment),
            description=f"{variable} of {self._service.name}",
            # A random value, made anew with the service: a retained one would hold the name, and the service could not come back.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        cdk.Validations.of(secret).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="the owner of the service decides when its value changes; a task reads it once at its start",
            )
        )
        return secret

    def _health_check(self) -> ecs.HealthCheck:
        check = self._service.health_check
        return ecs.HealthCheck(
            # In exec form, by the program that is there anyway: the image has neither shell nor curl.
            command=[
                "CMD",
                "python",
                "-m",
                "sdk.health_check_http",
                "--probe",
                f"http://127.0.0.1:{names.HEALTH_PORT}{check.path}",
            ],
            interval=cdk.Duration.seconds(check.interval_seconds),
            timeout=cdk.Duration.seconds(check.timeout_seconds),
            retries=check.retries,
            start_period=cdk.Duration.seconds(check.start_period_seconds),
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
            health_check_grace_period=cdk.Duration.seconds(GATEWAY_GRACE_SECONDS) if self._is_gateway else None,
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
        on_demand = math.ceil(self._service.min_tasks * (100 - percent) / 100)
        if not percent:
            return [ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)]
        strategies = [ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1)]
        if on_demand:
            strategies.append(ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=on_demand, weight=0))
        return strategies
