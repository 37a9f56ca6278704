"""The Automation that replaces the NATS machines one at a time: our own Python, carried out step by step by Systems Manager."""

from __future__ import annotations

import ast
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import account, arn, partition
from fleet_constructs.nats_bucket import CURRENT, bucket_arn
from fleet_constructs.nats_documents import NatsDocuments
from fleet_constructs.nats_scripts import SCRIPTS

RUNTIME = "python3.11"
STEP_SECONDS = 600  # the longest that Systems Manager lets a script run


class NatsRoll(Construct):
    """A roll: a look at all, then for each machine that is outdated: leave, end, wait for the new one, gate.

    The deployment starts it, and so may an operator: it does nothing where nothing is outdated.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        documents: NatsDocuments,
        machines: list[autoscaling.AutoScalingGroup],
        key_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        role = self._role(documents, machines, key_arn)
        self.document = ssm.CfnDocument(
            self,
            "Resource",
            name=names.nats_roll(environment.name),
            document_type="Automation",
            update_method="NewVersion",
            content={
                "schemaVersion": "0.3",
                "description": "Replaces the NATS machines that are outdated, one at a time, and stops at the first that does not come back",
                "assumeRole": role.role_arn,
                "parameters": {
                    "Every": {
                        "type": "String",
                        "default": "false",
                        "allowedValues": ["true", "false"],
                        "description": "Whether machines are replaced that are not outdated, too",
                    }
                },
                "mainSteps": [
                    self._script(
                        "Plan",
                        "plan",
                        {"Execution": "{{ automation:EXECUTION_ID }}", "Every": "{{ Every }}"},
                        {"Nodes": "StringList", "Count": "Integer"},
                    ),
                    {
                        "name": "AnythingToDo",
                        "action": "aws:branch",
                        "isEnd": True,
                        "inputs": {
                            "Choices": [
                                {"NextStep": "Each", "Variable": "{{ Plan.Count }}", "NumericGreater": 0},
                            ]
                        },
                    },
                    {
                        "name": "Each",
                        "action": "aws:loop",
                        "isEnd": True,
                        "inputs": {
                            "Iterators": "{{ Plan.Nodes }}",
                            "IteratorDataType": "String",
                            "Steps": [
                                self._script("Replace", "replace", {"Node": _NODE}, {"Ended": "String"}),
                                self._script(
                                    "Await",
                                    "await_machine",
                                    {"Node": _NODE, "Ended": "{{ Replace.Ended }}"},
                                    {"Machine": "String"},
                                ),
                                self._script("Gate", "gate", {"Node": _NODE}, {}),
                            ],
                        },
                    },
                ],
            },
        )

    def _script(self, name: str, handler: str, given: dict[str, str], outputs: dict[str, str]) -> dict[str, Any]:
        environment = self._environment
        return {
            "name": name,
            "action": "aws:executeScript",
            "timeoutSeconds": STEP_SECONDS,
            "onFailure": "Abort",
            "inputs": {
                "Runtime": RUNTIME,
                "Handler": handler,
                "InputPayload": {
                    "Environment": environment.name,
                    "DocumentPrefix": names.nats_document_prefix(environment.name),
                    "Bucket": names.nats_bucket(environment.name, account(), environment.region),
                    **given,
                },
                "Script": roll_script(),
            },
            **(
                {
                    "outputs": [
                        {"Name": output, "Selector": f"$.Payload.{output}", "Type": kind}
                        for output, kind in outputs.items()
                    ]
                }
                if outputs
                else {}
            ),
        }

    def _role(self, documents: NatsDocuments, machines: list[autoscaling.AutoScalingGroup], key_arn: str) -> iam.Role:
        """Make the role that a roll runs under: its three groups, its nodes, its documents."""
        environment = self._environment
        groups = [
            arn("autoscaling", environment, f"autoScalingGroup:*:autoScalingGroupName/{group.auto_scaling_group_name}")
            for group in machines
        ]
        execution = arn("ssm", environment, "automation-execution/*")
        statements = [
            *documents.permissions("gate", "leave", "status"),
            iam.PolicyStatement(
                sid="EndMachines",
                actions=["autoscaling:TerminateInstanceInAutoScalingGroup"],
                resources=groups,
            ),
            iam.PolicyStatement(
                sid="Look",
                actions=[
                    "autoscaling:DescribeAutoScalingGroups",
                    "ssm:DescribeAutomationExecutions",
                    "ssm:DescribeInstanceInformation",
                ],
                resources=["*"],
            ),
            iam.PolicyStatement(sid="LookAtItself", actions=["ssm:GetAutomationExecution"], resources=[execution]),
            iam.PolicyStatement(
                sid="ReadWhatIsWanted", actions=["s3:GetObject"], resources=[f"{bucket_arn(environment)}/{CURRENT}"]
            ),
            iam.PolicyStatement(
                sid="OpenWhatIsWanted",
                actions=["kms:Decrypt"],
                resources=[key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{environment.region}.amazonaws.com"}},
            ),
        ]
        role = iam.Role(
            self,
            "Role",
            role_name=names.nats_roll(environment.name),
            assumed_by=iam.ServicePrincipal("ssm.amazonaws.com").with_conditions(
                {"StringEquals": {"aws:SourceAccount": account()}}
            ),
            description=f"Rolls the NATS machines of {environment.name}",
            inline_policies={"Roll": iam.PolicyDocument(statements=statements)},
        )
        cdk.Validations.of(role).acknowledge(
            *documents.acknowledgements(),
            wildcard("*", "what describes machines, groups and commands knows no resource"),
            wildcard(execution, "the id of its own execution is not known before"),
            *(
                wildcard(
                    group.replace(machine.auto_scaling_group_name, _in_report(machine)),
                    "the random part of a group's ARN is not known; its name is",
                )
                for group, machine in zip(groups, machines, strict=True)
            ),
        )
        return role


_NODE = "{{ Each.CurrentIteratorValue }}"


def role_arn(environment: Environment) -> str:
    """Return the ARN of the role that a roll runs under, by its literal name."""
    return f"arn:{partition()}:iam::{account()}:role/{names.nats_roll(environment.name)}"


def roll_script() -> str:
    """Return the steps and what they stand on as one script, which each step of the document holds once more."""
    script = "".join((SCRIPTS / name).read_text(encoding="utf-8") for name in ("commander.py", "roll_steps.py"))
    # Annotations as text would have dataclasses look for a module of this name, and nobody says how the script is loaded.
    for line in ("from __future__ import annotations\n", "from nats_platform.commander import Commander\n"):
        script = script.replace(line, "")
    return _lean(script)


def _lean(source: str) -> str:
    """Return Python without docstrings and empty lines: a document may have 64 KB."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node)
            and len(node.body) > 1
        ):
            told = node.body[0]
            left_out.update(range(told.lineno, (told.end_lineno or told.lineno) + 1))
    lines = enumerate(source.splitlines(keepends=True), start=1)
    return "".join(line for number, line in lines if number not in left_out and line.strip())


def _in_report(machine: autoscaling.AutoScalingGroup) -> str:
    """Return a group's name as cdk-nag writes it."""
    stack = cdk.Stack.of(machine)
    return f"<{stack.get_logical_id(machine.node.default_child)}>"  # type: ignore[arg-type]  # the group itself
