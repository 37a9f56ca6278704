"""A log group that a key of ours encrypts."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.environment import Environment
from fleet_constructs.arns import arn
from fleet_constructs.retention import Retention


def add_log_group(
    scope: Construct, *, name: str, environment: Environment, key: kms.Key, retention: Retention
) -> logs.LogGroup:
    """Add a log group of a literal name, and let CloudWatch Logs use the key for this group and for no other."""
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogsMayEncrypt",
            principals=[iam.ServicePrincipal(f"logs.{environment.region}.amazonaws.com")],
            actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
            resources=["*"],
            conditions={
                "ArnEquals": {"kms:EncryptionContext:aws:logs:arn": arn("logs", environment, f"log-group:{name}")}
            },
        )
    )
    return logs.LogGroup(
        scope,
        "Resource",
        log_group_name=name,
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
