"""What lets a function or an Automation send commands to the NATS machines."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import arn
from nats_platform.commander import ENVIRONMENT_TAG, SLOT_TAG


def instances_arn(environment: Environment) -> str:
    """Return the ARN of any machine; which is a node its tags say, in the policy's condition."""
    return arn("ec2", environment, "instance/*")


def command_statements(environment: Environment, documents: Sequence[str]) -> list[iam.PolicyStatement]:
    """Say what lets somebody send commands by these documents and no others, to the nodes of this environment and no other machine."""
    return [
        iam.PolicyStatement(
            sid="SendCommands",
            actions=["ssm:SendCommand"],
            resources=[arn("ssm", environment, f"document/{name}") for name in documents],
        ),
        iam.PolicyStatement(
            sid="ToNodes",
            actions=["ssm:SendCommand"],
            resources=[instances_arn(environment)],
            conditions={
                "StringEquals": {
                    f"ssm:resourceTag/{ENVIRONMENT_TAG}": environment.name,
                    f"ssm:resourceTag/{SLOT_TAG}": list(names.NATS_NODES),
                }
            },
        ),
        iam.PolicyStatement(
            sid="FindNodesAndSeeHowCommandsEnded",
            actions=["ec2:DescribeInstances", "ssm:GetCommandInvocation"],
            resources=["*"],
        ),
    ]
