"""The certificate authority of an environment: its bucket, its key, and the function that issues and renews."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.identities import certificate_request
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.alarms import Condition, Metric, add_alarm, add_function_alarm
from fleet_constructs.arns import account, arn, partition
from fleet_constructs.bucket_access import own_bucket_statements
from fleet_constructs.certificate_delivery import CertificateDelivery
from fleet_constructs.log_group import retention_days
from fleet_constructs.python_function import PythonFunction
from fleet_constructs.retention import Retention

FUNCTION_TIMEOUT_SECONDS = 600  # three nodes that take their time to answer, to a delivery and to two looks
FUNCTION_MEMORY_MIB = 512
PASSPHRASE_LENGTH = 64
DAY_SECONDS = 86_400
UNDELIVERED_PERIOD_SECONDS = 300
METRICS_NAMESPACE = "GamingSystem"
KINDS = ("root", "issuing", "server", "route", "client")
WARNING_DAYS = (21, 7)


class CertificateIssuer(Construct):
    """Everything that certificates need before the first node or task starts."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        catalog: Catalog,
        environment: Environment,
        access_logs: s3.IBucket,
        delivery: CertificateDelivery,
        topic_arn: str,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._delivery = delivery
        self._retention = retention
        self._bucket_name = names.certificates_bucket(environment.name, account(), environment.region)
        self._bucket_arn = f"arn:{partition()}:s3:::{self._bucket_name}"
        self._tasks = arn("ecs", environment, f"task/{names.cluster(environment.name)}/*")
        self._stack = arn("cloudformation", environment, f"stack/{names.stack(environment.name, 'certificates')}/*")
        self._key = kms.Key(
            self,
            "Key",
            description=f"Certificates of {names.PLATFORM} {environment.name}",
            alias=names.certificates_key_alias(environment.name),
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        bucket = self._bucket(access_logs)
        function = self._function(bucket, self._passphrase())
        events.Rule(
            self,
            "Daily",
            description="Renew certificates that are due",
            schedule=events.Schedule.rate(cdk.Duration.days(1)),
            targets=[targets.LambdaFunction(function)],
        )
        issued = cdk.CustomResource(
            self,
            "Issued",
            resource_type="Custom::Certificates",
            service_token=function.function_arn,
            service_timeout=cdk.Duration.seconds(FUNCTION_TIMEOUT_SECONDS + 60),
            properties={
                "Request": json.dumps(certificate_request(catalog, environment), separators=(",", ":"), sort_keys=True),
                "DestroyData": str(retention.destroy).lower(),
            },
        )
        # The bucket with its policy, before the first certificate and until it has been emptied.
        issued.node.add_dependency(bucket, self._delivery)
        self._alarms(topic_arn, issued)

    def _bucket(self, access_logs: s3.IBucket) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Bucket",
            bucket_name=self._bucket_name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="certificates/",
            removal_policy=self._retention.removal_policy,
        )

    def _passphrase(self) -> secretsmanager.Secret:
        """Make the passphrase of the authority's keys; without it they are lost, so it stays where data stays."""
        secret = secretsmanager.Secret(
            self,
            "Passphrase",
            secret_name=names.certificates_passphrase(self._environment.name),
            description="Passphrase of the certificate authority's keys",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                exclude_punctuation=True, password_length=PASSPHRASE_LENGTH
            ),
            removal_policy=self._retention.removal_policy,
        )
        cdk.Validations.of(secret).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="the keys are encrypted with it; it changes with the authority, by a rollover",
            )
        )
        return secret

    def _function(self, bucket: s3.Bucket, passphrase: secretsmanager.Secret) -> lambda_.Function:
        environment = self._environment
        function = PythonFunction(
            self,
            "Function",
            function_name=names.certificates_function(environment.name),
            description="Issues and renews the certificates",
            handler="functions.certificates.handler",
            sources=("functions", "nats_platform", "tls"),
            architecture=environment.function_architecture,
            variables={
                "BUCKET": bucket.bucket_name,
                "PASSPHRASE_SECRET": names.certificates_passphrase(environment.name),
                "CLUSTER": names.cluster(environment.name),
                "STACK_PREFIX": names.stack(environment.name, ""),
                "ENVIRONMENT": environment.name,
                "DELIVERY_DOCUMENT": self._delivery.document_name,
                "DOCUMENT_PREFIX": names.nats_document_prefix(environment.name),
                "WAIT_FOR_NODES": str(environment.nats.wait_for_nodes).lower(),
            },
            timeout_seconds=FUNCTION_TIMEOUT_SECONDS,
            memory_mib=FUNCTION_MEMORY_MIB,
            permissions=[*self._permissions(passphrase), *self._delivery.permissions()],
            log_retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=self._retention.removal_policy,
        )
        cdk.Validations.of(function).acknowledge(
            wildcard(f"{self._bucket_arn}/*", "the store is the whole bucket"),
            wildcard(
                "*",
                "ECS lists tasks by cluster in a condition only; stacks, instances and commands are listed by no resource",
            ),
            wildcard(self._tasks, "the tasks of one cluster"),
            wildcard(self._stack, "the random part of a stack's ARN is not known; its name is"),
            wildcard(self._delivery.instances, "which machine is a node its tags say, in the policy's condition"),
        )
        return function.function

    def _permissions(self, passphrase: secretsmanager.Secret) -> list[iam.PolicyStatement]:
        """Say what the function may do: all that a store does in its own bucket, and see whose tasks run."""
        return [
            *own_bucket_statements(self._bucket_arn, self._key.key_arn),
            iam.PolicyStatement(
                sid="ReadPassphrase", actions=["secretsmanager:GetSecretValue"], resources=[passphrase.secret_arn]
            ),
            iam.PolicyStatement(
                sid="SeeWhoRuns",
                actions=["ecs:ListTasks"],
                resources=["*"],
                conditions={
                    "ArnEquals": {
                        "ecs:cluster": arn("ecs", self._environment, f"cluster/{names.cluster(self._environment.name)}")
                    }
                },
            ),
            iam.PolicyStatement(sid="SeeSinceWhen", actions=["ecs:DescribeTasks"], resources=[self._tasks]),
            iam.PolicyStatement(sid="SeeDeployments", actions=["cloudformation:ListStacks"], resources=["*"]),
            iam.PolicyStatement(sid="SeeWayBack", actions=["cloudformation:DescribeStacks"], resources=[self._stack]),
        ]

    def _alarms(self, topic_arn: str, issued: cdk.CustomResource) -> None:
        """Watch the days that are left, the deliveries, and the function itself.

        A renewal begins with ten days of thirty, so that 7 means that it has failed for days. Leaves have no alarm at 21: it would
        ring through the last third of every healthy life.
        """
        environment = self._environment.name
        for kind in KINDS:
            for days in WARNING_DAYS:
                if kind in {"server", "route", "client"} and days != min(WARNING_DAYS):
                    continue
                alarm = add_alarm(
                    self,
                    f"{kind.capitalize()}Expires{days}",
                    alarm_name=f"{names.PLATFORM_ALARM_PREFIX}certificates-{kind}-expires-{days}-{environment}",
                    description=f"A {kind} certificate has fewer than {days} days left.",
                    runbook="platform-certificates-expire",
                    topic_arn=topic_arn,
                    metric=Metric(
                        METRICS_NAMESPACE,
                        f"{kind}_days_left",
                        "Minimum",
                        {"Environment": environment, "Service": "certificates"},
                        DAY_SECONDS,
                    ),
                    # Days without a figure are days on which nothing was renewed. One period, or the first day of an
                    # environment, which has but one figure, would be an alarm.
                    condition=Condition("LessThanThreshold", days, 1, 1, "breaching"),
                )
                # The first figure comes with the first certificates.
                alarm.node.add_dependency(issued)
        add_alarm(
            self,
            "ServedExpires",
            alarm_name=f"{names.PLATFORM_ALARM_PREFIX}certificates-served-expires-{min(WARNING_DAYS)}-{environment}",
            description=f"A certificate that is served or presented has fewer than {min(WARNING_DAYS)} days left.",
            runbook="platform-certificates-expire",
            topic_arn=topic_arn,
            metric=Metric(
                METRICS_NAMESPACE,
                "days_left",
                "Minimum",
                {"Environment": environment, "Service": "certificates-wire"},
                DAY_SECONDS,
            ),
            # Where no node answers there is nothing to see; that one is down is told by its own alarm.
            condition=Condition("LessThanThreshold", min(WARNING_DAYS), 2, 1, "notBreaching"),
        )
        add_alarm(
            self,
            "Undelivered",
            alarm_name=f"{names.PLATFORM_ALARM_PREFIX}certificates-undelivered-{environment}",
            description="A NATS node did not take its new certificates and serves the old ones.",
            runbook="platform-certificates-undelivered",
            topic_arn=topic_arn,
            metric=Metric(
                METRICS_NAMESPACE,
                "failed_deliveries",
                "Maximum",
                {"Environment": environment, "Service": "certificates"},
                UNDELIVERED_PERIOD_SECONDS,
            ),
            # Only the next delivery, a day later, tells that all is well again.
            condition=Condition("GreaterThanThreshold", 0, 1, 1, "ignore"),
        )
        add_function_alarm(
            self,
            "FunctionFailed",
            alarm_name=f"{names.PLATFORM_ALARM_PREFIX}certificates-function-failed-{environment}",
            function_name=names.certificates_function(environment),
            description="The function that renews and retires certificates failed.",
            runbook="platform-certificates-function-failed",
            topic_arn=topic_arn,
        )
