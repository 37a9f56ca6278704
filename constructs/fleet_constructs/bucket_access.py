"""What lets a function keep a bucket that is its own."""

from __future__ import annotations

from aws_cdk import aws_iam as iam


def own_bucket_statements(bucket_arn: str, key_arn: str) -> list[iam.PolicyStatement]:
    """Say what lets somebody read, write and clear a bucket, older versions included, and use the key that encrypts it."""
    return [
        iam.PolicyStatement(
            sid="ListBucket", actions=["s3:ListBucket", "s3:ListBucketVersions"], resources=[bucket_arn]
        ),
        iam.PolicyStatement(
            sid="KeepBucket",
            actions=[
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:PutObject",
            ],
            resources=[f"{bucket_arn}/*"],
        ),
        iam.PolicyStatement(sid="EncryptBucket", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key_arn]),
    ]
