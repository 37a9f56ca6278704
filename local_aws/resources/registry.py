"""Which resource types the local AWS carries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from local_aws.errors import UnsupportedTypeError
from local_aws.resources import (
    application_autoscaling,
    autoscaling,
    cloudwatch,
    ec2_access,
    ec2_compute,
    ec2_network,
    ec2_security,
    ecr,
    ecs,
    elasticache,
    elbv2,
    iam,
    kms,
    logs,
    route53,
    s3,
    sns,
    ssm,
)
from local_aws.resources.contract import ResourceHandler

_TABLES = (
    application_autoscaling,
    autoscaling,
    cloudwatch,
    ec2_access,
    ec2_compute,
    ec2_network,
    ec2_security,
    ecr,
    ecs,
    elasticache,
    elbv2,
    iam,
    kms,
    logs,
    route53,
    s3,
    sns,
    ssm,
)

HANDLERS: Mapping[str, ResourceHandler] = {
    **{row.type_name: row for row in chain.from_iterable(table.ROWS for table in _TABLES)},
    "AWS::EC2::SubnetNetworkAclAssociation": ec2_network.SubnetNetworkAclAssociation(),
    "AWS::IAM::Policy": iam.Policy(),
    "AWS::Route53::RecordSet": route53.RecordSet(),
    "AWS::SNS::TopicPolicy": sns.TopicPolicy(),
}


def handler_for(resource_type: str) -> ResourceHandler:
    """Return the handler of a resource type.

    Raises:
        UnsupportedTypeError: the local AWS does not carry the type.
    """
    try:
        return HANDLERS[resource_type]
    except KeyError:
        raise UnsupportedTypeError(resource_type) from None
