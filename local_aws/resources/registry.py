"""Which resource types the local AWS carries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from local_aws.errors import UnsupportedTypeError
from local_aws.resources import (
    account,
    acm,
    application_autoscaling,
    autoscaling,
    awslambda,
    cloudwatch,
    ec2_access,
    ec2_compute,
    ec2_network,
    ec2_security,
    ecr,
    ecs,
    elasticache,
    elbv2,
    events,
    iam,
    kms,
    logs,
    route53,
    s3,
    secretsmanager,
    servicediscovery,
    sns,
    ssm,
    wafv2,
)
from local_aws.resources.contract import ResourceHandler
from local_aws.resources.custom import CustomResource
from local_aws.resources.records import RECORDS

_TABLES = (
    account,
    acm,
    application_autoscaling,
    autoscaling,
    awslambda,
    cloudwatch,
    ec2_access,
    ec2_compute,
    ec2_network,
    ec2_security,
    ecr,
    ecs,
    elasticache,
    elbv2,
    events,
    iam,
    kms,
    logs,
    route53,
    s3,
    secretsmanager,
    servicediscovery,
    sns,
    ssm,
    wafv2,
)

HANDLERS: Mapping[str, ResourceHandler] = {
    **RECORDS,
    **{row.type_name: row for row in chain.from_iterable(table.ROWS for table in _TABLES)},
    "AWS::CloudFormation::CustomResource": CustomResource("AWS::CloudFormation::CustomResource"),
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
    if resource_type.startswith("Custom::"):
        return CustomResource(resource_type)
    try:
        return HANDLERS[resource_type]
    except KeyError:
        raise UnsupportedTypeError(resource_type) from None
