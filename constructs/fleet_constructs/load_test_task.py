"""What a worker of a load test runs as. Nothing runs until `fleet loadtest` starts it, in the private subnets, and it ends by itself."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import account, repository_uri, task_principal
from fleet_constructs.certificate_access import read_certificates
from fleet_constructs.execution_role import ExecutionRole
from fleet_constructs.nats_bucket import bucket_arn
from fleet_constructs.service_task import STOP_TIMEOUT_SECONDS, USER, runtime_platform, seconds

CPU_UNITS = 1024  # the worker is one thread, and late as soon as it must share a processor
MEMORY_MIB = 2048


def runtime_of(catalog: Catalog) -> Service | None:
    """Return a service whose image is the reference runtime's, which holds the worker; none where every service has its own."""
    return next((each for each in catalog.enabled if each.image.repository == names.REFERENCE_RUNTIME), None)


class LoadTestTask(Construct):
    """A task definition with the load test's own certificate, and a prefix of the bucket to hear and tell by."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        runtime: Service,
        environment: Environment,
        log_group: logs.ILogGroup,
        key_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        execution = ExecutionRole(
            self,
            "ExecutionRole",
            repositories=[names.repository(names.REFERENCE_RUNTIME, environment.name)],
            secrets=[],
            environment=environment,
            task_principal=task_principal(environment),
        )
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Resource",
            family=names.task_family(names.LOAD_TEST_IDENTITY, environment.name),
            cpu=CPU_UNITS,
            memory_limit_mib=MEMORY_MIB,
            runtime_platform=runtime_platform(runtime.architecture),
            task_role=self._role(environment, key_arn),
            execution_role=execution.role,
            volumes=[ecs.Volume(name="tmp")],
        )
        container = self.definition.add_container(
            names.LOAD_TEST_IDENTITY,
            container_name=names.LOAD_TEST_IDENTITY,
            image=ecs.ContainerImage.from_registry(_image(runtime, environment)),
            entry_point=["python", "-m", "load_test"],
            user=USER,
            privileged=False,
            readonly_root_filesystem=True,
            linux_parameters=ecs.LinuxParameters(self, "Linux", init_process_enabled=True),
            environment={
                "FLEET_ENVIRONMENT": environment.name,
                "NATS_SERVERS": ",".join(names.nats_servers()),
                "CERTIFICATES_BUCKET": names.certificates_bucket(environment.name, account(), environment.region),
                "CERTIFICATES_PREFIX": names.certificate_prefix(names.LOAD_TEST_IDENTITY),
                "LOAD_TEST_BUCKET": names.nats_bucket(environment.name, account(), environment.region),
            },
            logging=ecs.LogDrivers.aws_logs(
                log_group=log_group, stream_prefix=names.LOAD_TEST_IDENTITY, mode=ecs.AwsLogDriverMode.NON_BLOCKING
            ),
            stop_timeout=seconds(STOP_TIMEOUT_SECONDS),
        )
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108
        cdk.Validations.of(self.definition).acknowledge(
            cdk.Acknowledgment(id="AwsSolutions-ECS2", reason="variables are names and addresses")
        )

    def _role(self, environment: Environment, key_arn: str) -> iam.Role:
        """Make the role of the worker: its certificate, and what the runs of load tests lie below; their results are not."""
        access = read_certificates(environment, names.certificate_prefix(names.LOAD_TEST_IDENTITY))
        runs = f"{bucket_arn(environment)}/{names.load_test_run('*')}*"
        exchange = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(sid="HearAndTell", actions=["s3:GetObject", "s3:PutObject"], resources=[runs]),
                iam.PolicyStatement(
                    sid="OpenAndSealObjects",
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    resources=[key_arn],
                    conditions={"StringEquals": {"kms:ViaService": f"s3.{environment.region}.amazonaws.com"}},
                ),
            ]
        )
        role = iam.Role(
            self,
            "Role",
            role_name=names.task_role(names.LOAD_TEST_IDENTITY, environment.name),
            assumed_by=task_principal(environment),
            description="Workers of a load test",
            inline_policies={"ReadCertificate": access.policy, "Exchange": exchange},
        )
        cdk.Validations.of(role).acknowledge(*access.acknowledgements, wildcard(runs, "a run is named when it begins"))
        return role


def _image(runtime: Service, environment: Environment) -> str:
    uri = repository_uri(names.repository(names.REFERENCE_RUNTIME, environment.name), environment)
    return f"{uri}@{runtime.image.digest}" if runtime.image.digest else f"{uri}:{runtime.image.tag}"
