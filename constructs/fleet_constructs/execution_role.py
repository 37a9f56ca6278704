"""The role by which ECS itself starts the tasks of one services stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import log_group_arn, repository_arn, secret_arn_pattern


def repositories_of(services: Iterable[Service], environment: str) -> list[str]:
    """Return the names of the repositories that the services' images come from."""
    return sorted({names.repository(service.image.repository or service.name, environment) for service in services})


def secrets_of(services: Iterable[Service], environment: str) -> list[str]:
    """Return the names of the secrets that the services' containers are given."""
    wanted = set[str]()
    for service in services:
        wanted |= {
            secret.name or names.secret(service.name, variable, environment)
            for variable, secret in service.secrets.items()
        }
        if service.cache:
            wanted.add(names.cache_secret(service.name, environment))
    return sorted(wanted)


class ExecutionRole(Construct):
    """May pull exactly the stack's images, read exactly its secrets and write to the fleet's log group.

    One a stack rather than one a service: an account has 1,000 roles. It stands also where no service is enabled, since a stack
    needs a resource.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repositories: Sequence[str],
        secrets: Sequence[str],
        environment: Environment,
        task_principal: iam.PrincipalBase,
    ) -> None:
        super().__init__(scope, construct_id)
        log_streams = f"{log_group_arn(environment)}:*"
        statements = [
            iam.PolicyStatement(sid="Login", actions=["ecr:GetAuthorizationToken"], resources=["*"]),
            iam.PolicyStatement(
                sid="Logs",
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[log_streams],
            ),
        ]
        if repositories:
            statements.append(
                iam.PolicyStatement(
                    sid="Images",
                    actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    resources=[repository_arn(name, environment) for name in repositories],
                )
            )
        if secrets:
            statements.append(
                iam.PolicyStatement(
                    sid="Secrets",
                    actions=["secretsmanager:GetSecretValue"],
                    resources=[secret_arn_pattern(name, environment) for name in secrets],
                )
            )
        role = iam.Role(
            self,
            "Resource",
            assumed_by=task_principal,
            description="Starts tasks: pulls images, reads their secrets, writes logs",
            inline_policies={"StartTasks": iam.PolicyDocument(statements=statements)},
        )
        # What a task definition would add on its own is coarser than the list above.
        self.role = role.without_policy_updates()
        cdk.Validations.of(role).acknowledge(
            wildcard("*", "ECR's login knows no resource"),
            wildcard(log_streams, "the streams of the fleet's one log group bear the ids of tasks"),
        )
