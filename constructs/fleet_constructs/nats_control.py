"""What controls the NATS cluster from outside its machines: a function behind two custom resources and two schedules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.cluster import cluster_request
from catalog.contract import compact
from catalog.environment import Environment
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import account, arn
from fleet_constructs.bucket_access import own_bucket_statements
from fleet_constructs.log_group import retention_days
from fleet_constructs.nats_assets import NatsAssets
from fleet_constructs.nats_bucket import bucket_arn
from fleet_constructs.nats_documents import NatsDocuments
from fleet_constructs.nats_roll import role_arn
from fleet_constructs.python_function import PythonFunction
from fleet_constructs.retention import Retention
from nats_platform.configuration import render
from nats_platform.node.at_start import settings_at_start
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest

FUNCTION_TIMEOUT_SECONDS = 900
FUNCTION_MEMORY_MIB = 512
SERVICE_TIMEOUT_SECONDS = 3600
CONFIGURATION_TIMEOUT_SECONDS = FUNCTION_TIMEOUT_SECONDS + 60
BACKUP_HOURS = 6


class NatsControl(Construct):
    """The function, and what asks it to work."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        assets: NatsAssets,
        documents: NatsDocuments,
        key_arn: str,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._assets = assets
        self._retention = retention
        self._bucket_arn = bucket_arn(environment)
        self._at_start = ""
        self._function = self._make_function(documents, key_arn)
        self._schedule("Backup", "backup", cdk.Duration.hours(BACKUP_HOURS), "Back streams and buckets up")
        self._schedule("Retire", "retire", cdk.Duration.days(1), "Take away from NATS what no task uses any more")

    def configure(self, catalog: Catalog) -> cdk.CustomResource:
        """Add what has bucket and running nodes hold what the catalog asks for; it needs no machine, and the first one needs it."""
        request = cluster_request(catalog, self._environment)
        rendered = _rendered(request)
        self._at_start = _sha256("".join(f"{sorted(settings_at_start(text).items())}\n" for text in rendered))
        return cdk.CustomResource(
            self,
            "Configuration",
            resource_type="Custom::NatsConfiguration",
            service_token=self._function.function.function_arn,
            service_timeout=cdk.Duration.seconds(CONFIGURATION_TIMEOUT_SECONDS),
            properties={
                "Request": compact(request),
                "Digest": _sha256("".join(rendered)),
                "AtStart": self._at_start,
                "Server": self._assets.server,
                "Agent": self._assets.agent,
                "DestroyData": str(self._retention.destroy).lower(),
            },
        )

    def await_nodes(self, template_versions: list[str]) -> cdk.CustomResource:
        """Add what waits for the machines, and rolls them where their template or their server has changed."""
        return cdk.CustomResource(
            self,
            "Roll",
            resource_type="Custom::NatsRoll",
            service_token=self._function.function.function_arn,
            service_timeout=cdk.Duration.seconds(SERVICE_TIMEOUT_SECONDS),
            properties={
                "Templates": template_versions,
                "Server": self._assets.server_sha256,
                "AtStart": self._at_start,
                "Waits": str(self._environment.nats.wait_for_nodes).lower(),
            },
        )

    def _schedule(self, construct_id: str, task: str, every: cdk.Duration, about: str) -> None:
        events.Rule(
            self,
            construct_id,
            description=about,
            schedule=events.Schedule.rate(every),
            targets=[
                targets.LambdaFunction(
                    self._function.function, event=events.RuleTargetInput.from_object({"task": task})
                )
            ],
        )

    def _make_function(self, documents: NatsDocuments, key_arn: str) -> PythonFunction:
        environment = self._environment
        own = arn("lambda", environment, f"function:{names.nats_function(environment.name)}")
        executions = arn("ssm", environment, "automation-execution/*")
        definition = arn("ssm", environment, f"automation-definition/{names.nats_roll(environment.name)}:*")
        tasks = arn("ecs", environment, f"task/{names.cluster(environment.name)}/*")
        stack = arn("cloudformation", environment, f"stack/{names.stack(environment.name, 'nats')}/*")
        statements = [
            *own_bucket_statements(self._bucket_arn, key_arn),
            *self._assets.read_statements(),
            *documents.permissions("configure", "gate", "status", "streams", "backup", "restore"),
            *self._usage_statements(tasks, stack),
            iam.PolicyStatement(sid="StartRoll", actions=["ssm:StartAutomationExecution"], resources=[definition]),
            iam.PolicyStatement(sid="WatchRoll", actions=["ssm:GetAutomationExecution"], resources=[executions]),
            iam.PolicyStatement(
                sid="LendRollItsRole",
                actions=["iam:PassRole"],
                resources=[role_arn(environment)],
                conditions={"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
            ),
            iam.PolicyStatement(sid="GoOnWaiting", actions=["lambda:InvokeFunction"], resources=[own]),
        ]
        function = PythonFunction(
            self,
            "Function",
            function_name=names.nats_function(environment.name),
            description="Configures, rolls and backs up the NATS cluster",
            handler="functions.nats_cluster.handler",
            sources=("functions", "nats_platform", "tls"),
            architecture=environment.function_architecture,
            variables={
                "BUCKET": names.nats_bucket(environment.name, account(), environment.region),
                "CLUSTER": names.cluster(environment.name),
                "ENVIRONMENT": environment.name,
                "STACK_PREFIX": names.stack(environment.name, ""),
                "DOCUMENT_PREFIX": names.nats_document_prefix(environment.name),
                "ROLL_DOCUMENT": names.nats_roll(environment.name),
                "WAIT_FOR_NODES": str(environment.nats.wait_for_nodes).lower(),
            },
            timeout_seconds=FUNCTION_TIMEOUT_SECONDS,
            memory_mib=FUNCTION_MEMORY_MIB,
            permissions=statements,
            log_retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=self._retention.removal_policy,
        )
        cdk.Validations.of(function).acknowledge(
            *documents.acknowledgements(),
            wildcard(f"{self._bucket_arn}/*", "the bucket is the function's own"),
            wildcard(
                "*", "what lists tasks, definitions, stacks and commands knows no resource, or a cluster in a condition"
            ),
            wildcard(tasks, "the tasks of one cluster"),
            wildcard(stack, "the random part of a stack's ARN is not known; its name is"),
            wildcard(definition, "any version of one document"),
            wildcard(executions, "the id of an execution is not known before"),
        )
        return function

    def _usage_statements(self, tasks: str, stack: str) -> list[iam.PolicyStatement]:
        """Say what lets the function see who uses what, and whether a stack is on its way back."""
        cluster = arn("ecs", self._environment, f"cluster/{names.cluster(self._environment.name)}")
        return [
            iam.PolicyStatement(
                sid="SeeWhoRuns",
                actions=["ecs:ListTasks"],
                resources=["*"],
                conditions={"ArnEquals": {"ecs:cluster": cluster}},
            ),
            iam.PolicyStatement(sid="SeeTasks", actions=["ecs:DescribeTasks"], resources=[tasks]),
            iam.PolicyStatement(
                sid="SeeDefinitionsAndDeployments",
                actions=["ecs:DescribeTaskDefinition", "cloudformation:ListStacks"],
                resources=["*"],
            ),
            iam.PolicyStatement(
                sid="SeeWayBack",
                actions=["cloudformation:DescribeStacks"],
                resources=[stack],
            ),
        ]


def _rendered(request: Mapping[str, Any]) -> list[str]:
    """Return the nodes' configurations as the function renders them where nobody else is in use."""
    asked = ClusterRequest.from_plain(request)
    return [render(asked, wanted_users(asked), node.name) for node in asked.nodes]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
