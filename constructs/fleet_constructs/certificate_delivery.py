"""How certificates reach the NATS nodes: a document of Systems Manager that has a node fetch, try, take up and prove them."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

import nats_platform
from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import account
from fleet_constructs.node_commands import command_statements, instances_arn

SCRIPT = Path(nats_platform.__file__).parent / "node" / "deliver_certificates.py"
END = "END_OF_SCRIPT"
NODE_SECONDS = 70


class CertificateDelivery(Construct):
    """The document; who runs it says only which versions, and the node's own role says which it may read."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.instances = instances_arn(environment)
        self.document_name = names.certificates_delivery(environment.name)
        ssm.CfnDocument(
            self,
            "Resource",
            name=self.document_name,
            document_type="Command",
            # In place: a document that is replaced would need another name.
            update_method="NewVersion",
            content={
                "schemaVersion": "2.2",
                "description": "Has a NATS node fetch its certificates, try them, take them up and prove them",
                "parameters": {
                    "Delivery": {
                        "type": "String",
                        "description": "Which versions of which files, as base64 of JSON",
                        # It becomes part of a command line, where none of these characters means anything.
                        "allowedPattern": "^[A-Za-z0-9+/]+={0,2}$",
                    }
                },
                "mainSteps": [
                    {
                        "action": "aws:runShellScript",
                        "name": "Deliver",
                        "precondition": {"StringEquals": ["platformType", "Linux"]},
                        "inputs": {"timeoutSeconds": str(NODE_SECONDS), "runCommand": self._commands()},
                    }
                ],
            },
        )

    def _commands(self) -> list[str]:
        environment = self._environment
        return [
            f"export BUCKET={names.certificates_bucket(environment.name, account(), environment.region)}",
            f"export REGION={environment.region} NODE_DOMAIN={names.NATS_DOMAIN}",
            "export DELIVERY={{ Delivery }}",
            'export PATH="/usr/local/bin:$PATH"',
            f"python3 - <<'{END}'\n{SCRIPT.read_text(encoding='utf-8')}{END}",
        ]

    def permissions(self) -> list[iam.PolicyStatement]:
        """Say what lets somebody deliver, and look at what came of it: on the nodes of this environment and no others."""
        documents = [self.document_name, names.nats_document(self._environment.name, "status")]
        return command_statements(self._environment, documents)
