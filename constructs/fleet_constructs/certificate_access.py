"""What lets a role read its own certificates: by literal name, since the bucket and its key stand in a stack of their own."""

from __future__ import annotations

from typing import NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from catalog import names
from catalog.environment import Environment
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import account, arn, partition


class CertificateAccess(NamedTuple):
    """A policy, and the findings about it that are accepted."""

    policy: iam.PolicyDocument
    acknowledgements: list[cdk.Acknowledgment]


def read_certificates(environment: Environment, *prefixes: str) -> CertificateAccess:
    """Return what reads the certificates at some prefixes of the bucket, and the authorities' that everyone may read."""
    bucket = f"arn:{partition()}:s3:::{names.certificates_bucket(environment.name, account(), environment.region)}"
    own = [f"{bucket}/{prefix}*" for prefix in prefixes]
    authorities = f"{bucket}/ca/certificates/*"
    # By alias: the key stands in a stack that this one must not hold on to.
    keys = arn("kms", environment, "key/*")
    policy = iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="ReadOwnCertificate",
                actions=["s3:GetObject", "s3:GetObjectVersion"],
                resources=[*own, authorities],
            ),
            iam.PolicyStatement(
                sid="DecryptCertificates",
                actions=["kms:Decrypt"],
                resources=[keys],
                conditions={
                    "StringEquals": {"kms:ViaService": f"s3.{environment.region}.amazonaws.com"},
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.certificates_key_alias(environment.name)},
                },
            ),
        ]
    )
    return CertificateAccess(
        policy,
        [
            *(wildcard(resource, "the versions below the own prefix change with each renewal") for resource in own),
            wildcard(authorities, "the authorities' certificates are for everyone, and change with each renewal"),
            wildcard(keys, "the policy's conditions narrow it to one alias, by way of S3 alone"),
        ],
    )
