"""The fleet's one log group."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import log_group_arn
from fleet_constructs.retention import Retention


class FleetLogs(Construct):
    """A log group, encrypted, with a stream a service and task."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, retention: Retention) -> None:
        super().__init__(scope, construct_id)
        key = kms.Key(
            self,
            "Key",
            description=f"Logs of {names.PLATFORM} {environment.name}",
            alias=f"alias/{names.PLATFORM}-{environment.name}-logs",
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogsMayEncrypt",
                principals=[iam.ServicePrincipal(f"logs.{environment.region}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": log_group_arn(environment)}},
            )
        )
        self.log_group = logs.LogGroup(
            self,
            "Resource",
            log_group_name=names.log_group(environment.name),
            encryption_key=key,
            retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=retention.removal_policy,
        )


RETENTION_NAMES = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    120: "FOUR_MONTHS",
    150: "FIVE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
    400: "THIRTEEN_MONTHS",
    545: "EIGHTEEN_MONTHS",
    731: "TWO_YEARS",
    1827: "FIVE_YEARS",
    3653: "TEN_YEARS",
}


def retention_days(days: int) -> logs.RetentionDays:
    """Return CDK's name for a number of days."""
    return logs.RetentionDays[RETENTION_NAMES[days]]
