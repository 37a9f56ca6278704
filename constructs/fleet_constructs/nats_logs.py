"""The log group of the NATS machines: what their servers say, and their metrics."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import arn
from fleet_constructs.log_group import add_log_group
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
        self.log_group = add_log_group(
            self, name=names.nats_log_group(environment.name), environment=environment, key=key, retention=retention
        )


def write_statement(environment: Environment) -> iam.PolicyStatement:
    """Say what lets a machine write to the group."""
    return iam.PolicyStatement(
        sid="WriteLogsAndMetrics",
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[f"{nats_log_group_arn(environment)}:*"],
    )
