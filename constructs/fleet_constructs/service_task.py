"""What runs of a service: its role, its container, and what the container is told."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from catalog import contract, names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.service import Architecture, Service
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.arns import account, repository_uri, secret_arn_pattern
from fleet_constructs.certificate_access import read_certificates
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.retention import Retention

USER = "10001:10001"
STOP_TIMEOUT_SECONDS = 60
# A Spot task is told two minutes before; this is what Fargate allows of them.
SPOT_STOP_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Platform:
    """What every service of an environment stands on; all of it lives as long as the environment."""

    catalog: Catalog
    environment: Environment
    network: FleetNetwork
    cluster: ecs.ICluster
    cluster_name: str
    log_group: logs.ILogGroup
    topic_arn: str
    cache_endpoint: str
    task_principal: iam.PrincipalBase
    retention: Retention


class ServiceTask(Construct):
    """The task definition of one service, with the role of its code."""

    def __init__(
        self, scope: Construct, construct_id: str, *, service: Service, platform: Platform, execution_role: iam.IRole
    ) -> None:
        super().__init__(scope, construct_id)
        self._service = service
        self._platform = platform
        environment = platform.environment
        cpu_units, memory_mib = environment.task_size(service)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Resource",
            family=names.task_family(service.name, environment.name),
            cpu=cpu_units,
            memory_limit_mib=memory_mib,
            runtime_platform=runtime_platform(service.architecture),
            task_role=self._role(),
            execution_role=execution_role,
            volumes=[ecs.Volume(name="tmp")],
        )
        container = self.definition.add_container(
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
                log_group=platform.log_group, stream_prefix=service.name, mode=ecs.AwsLogDriverMode.NON_BLOCKING
            ),
            health_check=self._health_check(),
            port_mappings=[ecs.PortMapping(container_port=port) for port in self._ports()],
            stop_timeout=seconds(
                SPOT_STOP_TIMEOUT_SECONDS if environment.spot_percent(service) else STOP_TIMEOUT_SECONDS
            ),
        )
        # The one place to write where the root is read-only; the image makes it with the right owner.
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108

    def _role(self) -> iam.Role:
        """Make the role of the service's own code: its certificate, and nothing that it was not given."""
        environment, service = self._platform.environment, self._service
        access = read_certificates(environment, names.certificate_prefix(service.name))
        role = iam.Role(
            self,
            "Role",
            role_name=names.task_role(service.name, environment.name),
            assumed_by=self._platform.task_principal,
            description=f"Code of {service.name}",
            inline_policies={"ReadCertificate": access.policy, **self._cache_policy()},
        )
        cdk.Validations.of(role).acknowledge(*access.acknowledgements)
        return role

    def _cache_policy(self) -> dict[str, iam.PolicyDocument]:
        """Let the service read its user's password again: it changes while the task runs."""
        if not self._service.cache:
            return {}
        environment = self._platform.environment
        name = names.cache_secret(self._service.name, environment.name)
        read = iam.PolicyStatement(
            sid="ReadCachePassword",
            actions=["secretsmanager:GetSecretValue"],
            resources=[secret_arn_pattern(name, environment)],
        )
        return {"ReadCachePassword": iam.PolicyDocument(statements=[read])}

    def _ports(self) -> list[int]:
        return [names.HEALTH_PORT, *([names.GATEWAY_PORT] if self._platform.catalog.is_gateway(self._service) else [])]

    def _image(self) -> str:
        image, environment = self._service.image, self._platform.environment
        uri = repository_uri(names.repository(image.repository or self._service.name, environment.name), environment)
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
            "CERTIFICATES_BUCKET": names.certificates_bucket(environment.name, account(), environment.region),
            "CERTIFICATES_PREFIX": names.certificate_prefix(service.name),
        }
        if service.cache:
            variables["CACHE_ENDPOINT"] = self._platform.cache_endpoint
        if catalog.is_gateway(service):
            variables["GATEWAY_ROUTES"] = contract.gateway_routes(catalog)
        return {**variables, **service.environment}

    def _secrets(self) -> dict[str, ecs.Secret]:
        secrets = {
            variable: ecs.Secret.from_secrets_manager(self._secret(variable, secret.name), secret.field)
            for variable, secret in self._service.secrets.items()
        }
        if self._service.cache:
            name = names.cache_secret(self._service.name, self._platform.environment.name)
            secrets["CACHE_SECRET"] = ecs.Secret.from_secrets_manager(self._secret("CACHE_SECRET", name))
        return secrets

    def _secret(self, variable: str, existing: str | None) -> secretsmanager.ISecret:
        """Return the secret of that name, or make one that is the service's own."""
        construct_id = pascal_case(variable.lower().replace("_", "-"))
        if existing:
            return secretsmanager.Secret.from_secret_name_v2(self, construct_id, existing)
        return secretsmanager.Secret(
            self,
            construct_id,
            secret_name=names.secret(self._service.name, variable, self._platform.environment.name),
            description=f"{variable} of {self._service.name}",
            # A random value, made anew with the service: a retained one would hold the name, and the service could not come back.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )

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
            interval=seconds(check.interval_seconds),
            timeout=seconds(check.timeout_seconds),
            retries=check.retries,
            start_period=seconds(check.start_period_seconds),
        )


@functools.cache
def seconds(number: int) -> cdk.Duration:
    """Return a duration; the same few are asked for again and again, and each is a round trip to Node."""
    return cdk.Duration.seconds(number)


@functools.cache
def runtime_platform(architecture: Architecture) -> ecs.RuntimePlatform:
    """Return the processor that a task runs on."""
    processor = ecs.CpuArchitecture.ARM64 if architecture == "arm64" else ecs.CpuArchitecture.X86_64
    return ecs.RuntimePlatform(cpu_architecture=processor, operating_system_family=ecs.OperatingSystemFamily.LINUX)
