"""The log group of the NATS machines: what their servers say, and their metrics."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import arn
from fleet_constructs.fleet_logs import retention_days
from fleet_constructs.retention import Retention


def nats_log_group_arn(environment: Environment) -> str:
    """Return the log group's ARN, by its literal name."""
    return arn("logs", environment, f"log-group:{names.nats_log_group(environment.name)}")


class NatsLogs(Construct):
    """One group with a stream a machine and kind: the reason why a client was refused is told nowhere else."""

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, key: kms.Key, retention: Retention
    ) -> None:
        super().__init__(scope, construct_id)
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsMayEncrypt",
                principals=[iam.ServicePrincipal(f"logs.{environment.region}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": nats_log_group_arn(environment)}},
            )
        )
        self.log_group = logs.LogGroup(
            self,
            "Resource",
            log_group_name=names.nats_log_group(environment.name),
            encryption_key=key,
            retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=retention.removal_policy,
        )


def write_statement(environment: Environment) -> iam.PolicyStatement:
    """Say what lets a machine write to the group."""
    return iam.PolicyStatement(
        sid="WriteLogsAndMetrics",
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[f"{nats_log_group_arn(environment)}:*"],
    )
