"""ARNs of what is named by `catalog.names`, for policies that must not hold on to another stack's resource."""

from __future__ import annotations

import functools

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from catalog import names
from catalog.environment import Environment


@functools.cache
def account() -> str:
    """Return the account, a token; kept, since each look at `cdk.Aws` is a round trip to Node."""
    return cdk.Aws.ACCOUNT_ID


@functools.cache
def partition() -> str:
    """Return the partition, a token."""
    return cdk.Aws.PARTITION


def arn(service: str, environment: Environment, resource: str) -> str:
    """Return the ARN of something in the environment's account and region."""
    return f"arn:{partition()}:{service}:{environment.region}:{account()}:{resource}"


def log_group_arn(environment: Environment) -> str:
    """Return the ARN of the fleet's log group."""
    return arn("logs", environment, f"log-group:{names.log_group(environment.name)}")


def repository_arn(repository_name: str, environment: Environment) -> str:
    """Return the ARN of an image repository."""
    return arn("ecr", environment, f"repository/{repository_name}")


def repository_uri(repository_name: str, environment: Environment) -> str:
    """Return where a repository's images are pulled from."""
    return f"{account()}.dkr.ecr.{environment.region}.{cdk.Aws.URL_SUFFIX}/{repository_name}"


def secret_arn(secret_name: str, environment: Environment) -> str:
    """Return a secret's ARN without its random end, as ECS takes it."""
    return arn("secretsmanager", environment, f"secret:{secret_name}")


def secret_arn_pattern(secret_name: str, environment: Environment) -> str:
    """Return a secret's ARN for a policy: the six random characters at its end, and nothing else, are free."""
    return f"{secret_arn(secret_name, environment)}-??????"


def task_principal(environment: Environment) -> iam.PrincipalBase:
    """Return who may take on the role of a task: ECS, for tasks of this account only."""
    return iam.ServicePrincipal("ecs-tasks.amazonaws.com").with_conditions(
        {
            "StringEquals": {"aws:SourceAccount": account()},
            "ArnLike": {"aws:SourceArn": arn("ecs", environment, "*")},
        }
    )
