"""How certificates reach the NATS nodes, as far as it is deployed: the document, who may run it, and what a node may read."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet_constructs.certificate_delivery import NODE_SECONDS, SCRIPT
from functions import delivery
from nats_platform.commander import ENVIRONMENT_TAG, SLOT_TAG
from tests.synthesis import Fleet, Resource, small_fleet, strings

ARN = "arn:${AWS::Partition}"
HERE = "us-east-1:${AWS::AccountId}"
BUCKET = f"{ARN}:s3:::gaming-system-prod-certificates-${{AWS::AccountId}}-us-east-1"
MOST_BYTES = 64 * 1024


def document(fleet: Fleet) -> Resource:
    return fleet.one("AWS::SSM::Document", Name=f"gaming-system-{fleet.environment.name}-deliver-certificates")


def commands(fleet: Fleet) -> list[str]:
    found = document(fleet)
    (step,) = found["Content"]["mainSteps"]
    return [fleet.text(found.part, command) for command in step["inputs"]["runCommand"]]


def statements(fleet: Fleet) -> dict[str, Any]:
    function = fleet.one("AWS::Lambda::Function", FunctionName=f"gaming-system-{fleet.environment.name}-certificates")
    role = fleet.followed(function.part, function["Role"])
    (policy,) = role["Policies"]
    found = fleet.plain(role.part, policy["PolicyDocument"]["Statement"])
    return {statement["Sid"]: statement for statement in found}


def test_no_template_holds_a_key_or_a_passphrase(fleet: Fleet) -> None:
    """Nor would one be filled in while it is deployed: then it would stand in the configuration of what it is for."""
    marks = ("-----BEGIN", "{{resolve:secretsmanager", "{{resolve:ssm-secure")
    for resource in fleet.resources():
        assert not [text for text in strings(resource.body) if any(mark in text for mark in marks)], resource.logical_id
    for secret in fleet.resources("AWS::SecretsManager::Secret"):
        assert "SecretString" not in secret.properties, secret.logical_id
    passphrase = fleet.one(
        "AWS::SecretsManager::Secret", Name=f"gaming-system/{fleet.environment.name}/certificates/passphrase"
    )
    assert passphrase["GenerateSecretString"]["PasswordLength"] == 64


def test_the_document_is_a_command_that_is_changed_in_place(fleet: Fleet) -> None:
    found = document(fleet)

    assert (found["DocumentType"], found["Content"]["schemaVersion"]) == ("Command", "2.2")
    # A document with a name cannot be replaced: the new one would need the name while the old one has it.
    assert found["UpdateMethod"] == "NewVersion"
    assert len(str(found["Content"]).encode()) < MOST_BYTES


@pytest.mark.parametrize("text", ["$(id)", "a;b", "`id`", "a b", "a'b", "", "=a", "a\nb", "{{x}}"])
def test_what_the_document_is_given_cannot_become_a_command(text: str) -> None:
    pattern = document(small_fleet("prod"))["Content"]["parameters"]["Delivery"]["allowedPattern"]

    assert not re.fullmatch(pattern, text)
    assert re.fullmatch(pattern, "eyJub2RlIjoibmF0cy0xIn0=")


def test_the_script_has_nothing_that_systems_manager_would_replace() -> None:
    assert "{{" not in SCRIPT.read_text(encoding="utf-8")


def test_the_documents_commands_run_the_script_with_what_it_needs(tmp_path: Path, prod: Fleet) -> None:
    """In a shell as the node's: with all that the document says, the script gets as far as to refuse what it is given."""
    script = "\n".join(commands(prod)).replace("${AWS::AccountId}", "123456789012").replace("{{ Delivery }}", "e30=")
    assert "{{" not in script

    result = subprocess.run(
        ["sh", "-eu"],
        input=script,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr == "FAILED: DELIVERY holds no release: KeyError: 'node'\n"


def test_the_document_says_where_to_fetch_from(prod: Fleet) -> None:
    assert commands(prod)[0] == "export BUCKET=gaming-system-prod-certificates-${AWS::AccountId}-us-east-1"
    assert commands(prod)[1] == "export REGION=us-east-1 NODE_DOMAIN=nats.gaming-system.internal"


def test_the_function_waits_longer_than_the_document_lasts() -> None:
    assert delivery.NODE_SECONDS > NODE_SECONDS


def test_the_function_may_deliver_to_the_nodes_of_this_environment_and_look_at_them_and_nothing_else(
    prod: Fleet,
) -> None:
    found = statements(prod)

    assert [s["Resource"] for s in found.values() if "ssm:SendCommand" in s["Action"]] == [
        [
            f"{ARN}:ssm:{HERE}:document/gaming-system-prod-deliver-certificates",
            f"{ARN}:ssm:{HERE}:document/gaming-system-prod-nats-status",
        ],
        f"{ARN}:ec2:{HERE}:instance/*",
    ]
    assert found["ToNodes"]["Condition"] == {
        "StringEquals": {
            "ssm:resourceTag/environment": "prod",
            "ssm:resourceTag/nats-slot": ["nats-1", "nats-2", "nats-3"],
        }
    }
    assert "Condition" not in found["SendCommands"]
    assert found["FindNodesAndSeeHowCommandsEnded"]["Action"] == ["ec2:DescribeInstances", "ssm:GetCommandInvocation"]


@pytest.mark.parametrize("environment", ["prod", "local"])
def test_the_function_knows_the_document_and_whether_nodes_answer(environment: str) -> None:
    fleet = small_fleet(environment)
    function = fleet.one("AWS::Lambda::Function", FunctionName=f"gaming-system-{environment}-certificates")
    variables = function["Environment"]["Variables"]

    assert variables["DELIVERY_DOCUMENT"] == document(fleet)["Name"]
    assert variables["WAIT_FOR_NODES"] == "true"


def test_the_document_is_there_before_the_first_certificate(fleet: Fleet) -> None:
    issued = fleet.one("Custom::Certificates")

    assert document(fleet).logical_id in issued.body["DependsOn"]


def test_the_machines_carry_the_tags_that_the_function_finds_them_by(fleet: Fleet) -> None:
    tags = []
    for template in fleet.resources("AWS::EC2::LaunchTemplate"):
        of_instance = next(
            specification["Tags"]
            for specification in template["LaunchTemplateData"]["TagSpecifications"]
            if specification["ResourceType"] == "instance"
        )
        tags.append({tag["Key"]: tag["Value"] for tag in of_instance})
    assert [(t[SLOT_TAG], t[ENVIRONMENT_TAG]) for t in tags] == [
        (f"nats-{number}", fleet.environment.name) for number in (1, 2, 3)
    ]


def test_a_node_reads_its_own_certificates_and_the_provisioners_and_nothing_else(prod: Fleet) -> None:
    templates = prod.resources("AWS::EC2::LaunchTemplate")
    for number, template in enumerate(templates, start=1):
        profile = prod.followed("nats", template["LaunchTemplateData"]["IamInstanceProfile"]["Arn"])
        role = prod.followed("nats", profile["Roles"][0])
        (policy,) = [p for p in role["Policies"] if p["PolicyName"] == "ReadCertificates"]
        read, decrypt = prod.plain("nats", policy["PolicyDocument"]["Statement"])
        assert read["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
        assert sorted(read["Resource"]) == [
            f"{BUCKET}/ca/certificates/*",
            f"{BUCKET}/client/provisioner/*",
            f"{BUCKET}/route/nats-{number}/*",
            f"{BUCKET}/server/nats-{number}/*",
        ]
        assert decrypt["Condition"] == {
            "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/gaming-system-prod-certificates"},
        }
