"""The bucket of the NATS cluster: what its machines run on, their backups, and what load tests found."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import account, partition
from fleet_constructs.retention import Retention

ASSETS = "assets/"
CONFIGURATION = "configuration/"
BACKUPS = "backups/"
CURRENT = "current.json"
OLD_VERSIONS_DAYS = 30
LOAD_TESTS_DAYS = 90


def bucket_arn(environment: Environment) -> str:
    """Return the bucket's ARN, by its literal name."""
    return f"arn:{partition()}:s3:::{names.nats_bucket(environment.name, account(), environment.region)}"


class NatsBucket(Construct):
    """`current.json` says what a machine runs on; every version of it and of what it names can be gone back to."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        key: kms.IKey,
        access_logs: s3.IBucket,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Resource",
            bucket_name=names.nats_bucket(environment.name, account(), environment.region),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(id="OldVersions", noncurrent_version_expiration=cdk.Duration.days(OLD_VERSIONS_DAYS)),
                s3.LifecycleRule(
                    id="Backups", prefix=BACKUPS, expiration=cdk.Duration.days(environment.nats.backup_retention_days)
                ),
                s3.LifecycleRule(
                    id="LoadTests", prefix=names.LOAD_TESTS, expiration=cdk.Duration.days(LOAD_TESTS_DAYS)
                ),
                s3.LifecycleRule(id="Unfinished", abort_incomplete_multipart_upload_after=cdk.Duration.days(1)),
            ],
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="nats/",
            removal_policy=retention.removal_policy,
        )


def machine_statements(environment: Environment, node: str, key_arn: str) -> list[iam.PolicyStatement]:
    """Say what a machine may do in the bucket: read what it runs on, and keep backups; it overwrites nothing that is read."""
    arn = bucket_arn(environment)
    return [
        iam.PolicyStatement(
            sid="ReadWhatItRunsOn",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[f"{arn}/{CURRENT}", f"{arn}/{ASSETS}*", f"{arn}/{CONFIGURATION}{node}/*"],
        ),
        iam.PolicyStatement(
            sid="KeepBackups",
            actions=["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            resources=[f"{arn}/{BACKUPS}*"],
        ),
        iam.PolicyStatement(
            sid="FindBackups",
            actions=["s3:ListBucket"],
            resources=[arn],
            conditions={"StringLike": {"s3:prefix": [BACKUPS, f"{BACKUPS}*"]}},
        ),
        iam.PolicyStatement(
            sid="OpenAndSealObjects",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{environment.region}.amazonaws.com"}},
        ),
    ]
