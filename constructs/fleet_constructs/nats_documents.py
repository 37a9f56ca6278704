"""The documents of Systems Manager by which a NATS machine is told to run a command of its agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.nats_scripts import run_agent
from fleet_constructs.node_commands import command_statements, instances_arn
from nats_platform.commander import PARAMETER
from nats_platform.limits import COMMAND_SECONDS

WITH_REQUEST: frozenset[names.NatsCommand] = frozenset({"configure", "streams", "restore"})
_ABOUT: dict[names.NatsCommand, str] = {
    "configure": "Has a NATS machine fetch a configuration, try it, take it up and prove it",
    "gate": "Waits until a NATS machine is a full member of its cluster, and everything on it is current",
    "leave": "Has a NATS machine leave its cluster: leaders step down first, clients go elsewhere",
    "status": "Asks a NATS machine what it serves, trusts and sees",
    "streams": "Has a NATS machine make streams, consumers and buckets as the catalog says",
    "backup": "Has a NATS machine back all streams and buckets up",
    "restore": "Has a NATS machine restore streams and buckets from a backup",
}


class NatsDocuments(Construct):
    """A document a command; who runs one says what is to be done, and the machine's own role says what it may."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.instances = instances_arn(environment)
        for command in names.NATS_COMMANDS:
            ssm.CfnDocument(
                self,
                pascal_case(command),
                name=names.nats_document(environment.name, command),
                document_type="Command",
                # In place: a document that is replaced would need another name.
                update_method="NewVersion",
                content=document_content(command),
            )

    def permissions(self, *commands: names.NatsCommand) -> list[iam.PolicyStatement]:
        """Say what lets somebody send commands: these and no others, to the machines of this environment and no others."""
        documents = [names.nats_document(self._environment.name, command) for command in commands]
        return command_statements(self._environment, documents)

    def acknowledgements(self) -> Sequence[cdk.Acknowledgment]:
        """Return the findings about these permissions that are accepted."""
        return [
            wildcard(self.instances, "which machine is a node its tags say, in the policy's condition"),
        ]


def document_content(command: names.NatsCommand) -> dict[str, Any]:
    """Return what a command's document says."""
    takes_request = command in WITH_REQUEST
    parameter = {
        PARAMETER: {
            "type": "String",
            "description": "What is wanted, as base64 of JSON",
            # It becomes part of a command line, where none of these characters means anything.
            "allowedPattern": "^[A-Za-z0-9+/]+={0,2}$",
        }
    }
    arguments = [command, *(["{{ " + PARAMETER + " }}"] if takes_request else [])]
    return {
        "schemaVersion": "2.2",
        "description": _ABOUT[command],
        **({"parameters": parameter} if takes_request else {}),
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": pascal_case(command),
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {
                    "timeoutSeconds": str(COMMAND_SECONDS[command]),
                    "runCommand": [run_agent(*arguments)],
                },
            }
        ],
    }
