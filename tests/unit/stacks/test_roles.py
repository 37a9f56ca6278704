"""Roles of tasks: who may take them on, and exactly what they allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.synthesis import Fleet, Resource, strings

ROLE = "AWS::IAM::Role"
ARN = "arn:${AWS::Partition}"
HERE = "us-east-1:${AWS::AccountId}"
BUCKET = f"{ARN}:s3:::gaming-system-prod-certificates-${{AWS::AccountId}}-us-east-1"


def trust(fleet: Fleet, role: Resource) -> Any:
    return fleet.plain(role.part, role["AssumeRolePolicyDocument"]["Statement"])


def statements(fleet: Fleet, role: Resource) -> dict[str, Any]:
    """Return the statements of a role's policies by their names."""
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    found = [each for document in documents for each in fleet.plain(role.part, document["Statement"])]
    assert {statement.pop("Effect") for statement in found} == {"Allow"}
    return {statement.pop("Sid"): statement for statement in found}


def execution_role(fleet: Fleet, part: str) -> Resource:
    (role,) = [
        fleet.followed(part, task["ExecutionRoleArn"])
        for task in fleet.resources("AWS::ECS::TaskDefinition")
        if task.part == part
    ][:1]
    return role


def roles_of_tasks(fleet: Fleet) -> list[Resource]:
    return [role for role in fleet.resources(ROLE) if role.part.startswith("services-")]


def test_only_ecs_for_this_account_may_take_on_the_roles_of_tasks(fleet: Fleet) -> None:
    expected = [
        {
            "Action": "sts:AssumeRole",
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"},
                "ArnLike": {"aws:SourceArn": f"{ARN}:ecs:{HERE}:*"},
            },
        }
    ]
    assert roles_of_tasks(fleet)
    for role in roles_of_tasks(fleet):
        assert trust(fleet, role) == expected, role.logical_id


def test_every_service_has_a_task_role_of_its_own(fleet: Fleet) -> None:
    tasks = fleet.of_service("AWS::ECS::TaskDefinition")
    names = {name: fleet.followed(task.part, task["TaskRoleArn"])["RoleName"] for name, task in tasks.items()}
    environment = fleet.environment.name
    assert names == {s.name: f"gaming-system-{environment}-{s.name}" for s in fleet.catalog.enabled}


def test_a_task_role_reads_its_own_certificate_and_nothing_else(small: Fleet) -> None:
    role = small.of_service(ROLE)["world-state-nats"]
    assert statements(small, role) == {
        "ReadOwnCertificate": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{BUCKET}/ca/certificates/*", f"{BUCKET}/client/world-state-nats/*"],
        },
        "DecryptCertificates": {
            "Action": "kms:Decrypt",
            "Resource": f"{ARN}:kms:{HERE}:key/*",
            "Condition": {
                "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/gaming-system-prod-certificates"},
            },
        },
    }


def test_no_task_role_reads_the_authorities_keys_or_anothers_certificate(fleet: Fleet) -> None:
    for service, role in fleet.of_service(ROLE).items():
        read = statements(fleet, role)["ReadOwnCertificate"]["Resource"]
        assert [arn.rpartition("us-east-1/")[2] for arn in read] == ["ca/certificates/*", f"client/{service}/*"]


def test_the_execution_role_has_exactly_what_the_stacks_tasks_need(small: Fleet) -> None:
    secret = f"{ARN}:secretsmanager:{HERE}:secret:"
    assert statements(small, execution_role(small, "services-game")) == {
        "Login": {"Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        "Logs": {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{ARN}:logs:{HERE}:log-group:/ecs/gaming-system-nats:*",
        },
        "Images": {
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": [
                f"{ARN}:ecr:{HERE}:repository/gaming-system-prod/reference-service",
                f"{ARN}:ecr:{HERE}:repository/gaming-system-prod/state-manager-nats",
            ],
        },
        "Secrets": {
            "Action": "secretsmanager:GetSecretValue",
            "Resource": [
                f"{secret}gaming-system/prod/cache/state-manager-nats/user-??????",
                f"{secret}gaming-system/prod/state-manager-nats/SIGNING_KEY-??????",
                f"{secret}somewhere/provider-??????",
            ],
        },
    }


def test_the_role_of_a_service_that_uses_the_cache_reads_its_own_password_again_and_no_others(small: Fleet) -> None:
    found = {name: statements(small, role) for name, role in small.of_service(ROLE).items()}
    assert {name for name, of_role in found.items() if "ReadCachePassword" in of_role} == {"state-manager-nats"}
    assert found["state-manager-nats"]["ReadCachePassword"] == {
        "Action": "secretsmanager:GetSecretValue",
        "Resource": f"{ARN}:secretsmanager:{HERE}:secret:gaming-system/prod/cache/state-manager-nats/user-??????",
    }


def test_an_execution_role_reads_no_secret_where_its_stack_has_none(small: Fleet) -> None:
    assert statements(small, execution_role(small, "services-game-2")).keys() == {"Login", "Logs", "Images"}


def test_a_stack_has_one_execution_role(small: Fleet) -> None:
    tasks = [task for task in small.resources("AWS::ECS::TaskDefinition") if task.part == "services-game"]
    assert len(tasks) == 2
    assert len({small.text(task.part, task["ExecutionRoleArn"]) for task in tasks}) == 1


def test_nothing_is_added_to_the_roles_of_tasks_behind_our_back(fleet: Fleet) -> None:
    policies = fleet.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
    assert [policy.part for policy in policies if policy.part.startswith("services-")] == []


@pytest.mark.parametrize("wanted", ["iam:", "sts:", "kms:Create", "s3:Put", "s3:Delete", "secretsmanager:Put"])
def test_no_task_may_change_what_it_stands_on(prod: Fleet, wanted: str) -> None:
    for role in roles_of_tasks(prod):
        actions = [text for policy in role["Policies"] for text in strings(policy["PolicyDocument"])]
        assert not [action for action in actions if action.startswith(wanted)]
