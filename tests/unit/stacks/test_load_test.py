"""What a worker of a load test runs as, and where."""

from __future__ import annotations

from typing import Any

import pytest

from catalog import load_environment
from tests.synthesis import Fleet, Resource, changed, small_catalog, synthesise

TASK_DEFINITION = "AWS::ECS::TaskDefinition"
ARN = "arn:${AWS::Partition}"
HERE = "us-east-1:${AWS::AccountId}"
NATS_BUCKET = f"{ARN}:s3:::gaming-system-prod-nats-${{AWS::AccountId}}-us-east-1"
CERTIFICATES = f"{ARN}:s3:::gaming-system-prod-certificates-${{AWS::AccountId}}-us-east-1"


def task(fleet: Fleet) -> Resource:
    return fleet.one(TASK_DEFINITION, part="nats")


def container(fleet: Fleet) -> dict[str, Any]:
    (found,) = task(fleet)["ContainerDefinitions"]
    return dict(found)


def statements(fleet: Fleet, role: Resource) -> dict[str, Any]:
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    found = [each for document in documents for each in fleet.plain(role.part, document["Statement"])]
    assert {statement.pop("Effect") for statement in found} == {"Allow"}
    return {statement.pop("Sid"): statement for statement in found}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Name", "loadtest"),
        ("EntryPoint", ["python", "-m", "load_test"]),
        ("User", "10001:10001"),
        ("Privileged", False),
        ("ReadonlyRootFilesystem", True),
        ("LinuxParameters", {"Capabilities": {}, "InitProcessEnabled": True}),
        ("MountPoints", [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}]),  # noqa: S108
        ("Secrets", None),
        ("PortMappings", None),
    ],
)
def test_a_worker_runs_with_as_little_as_a_service(fleet: Fleet, name: str, value: Any) -> None:
    assert container(fleet).get(name) == value


def test_a_worker_has_a_processor_of_its_own(fleet: Fleet) -> None:
    assert (task(fleet)["Cpu"], task(fleet)["Family"]) == ("1024", f"gaming-system-{fleet.environment.name}-loadtest")


def test_a_worker_is_told_where_things_are_and_nothing_secret(prod: Fleet) -> None:
    told = {each["Name"]: prod.text("nats", each["Value"]) for each in container(prod)["Environment"]}

    assert told == {
        "FLEET_ENVIRONMENT": "prod",
        "NATS_SERVERS": ",".join(f"tls://nats-{n}.nats.gaming-system.internal:4222" for n in (1, 2, 3)),
        "CERTIFICATES_BUCKET": "gaming-system-prod-certificates-${AWS::AccountId}-us-east-1",
        "CERTIFICATES_PREFIX": "client/loadtest/",
        "LOAD_TEST_BUCKET": "gaming-system-prod-nats-${AWS::AccountId}-us-east-1",
    }


def test_a_worker_reads_its_certificate_and_writes_below_the_runs_alone(prod: Fleet) -> None:
    role = prod.followed("nats", task(prod)["TaskRoleArn"])
    found = statements(prod, role)

    assert "ClusterKey" in found["OpenAndSealObjects"].pop("Resource")
    assert found == {
        "ReadOwnCertificate": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{CERTIFICATES}/ca/certificates/*", f"{CERTIFICATES}/client/loadtest/*"],
        },
        "DecryptCertificates": {
            "Action": "kms:Decrypt",
            "Resource": f"{ARN}:kms:{HERE}:key/*",
            "Condition": {
                "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/gaming-system-prod-certificates"},
            },
        },
        "HearAndTell": {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{NATS_BUCKET}/load-tests/runs/*/*"},
        "OpenAndSealObjects": {
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        },
    }


def test_a_worker_is_started_with_one_image_and_no_secret(prod: Fleet) -> None:
    found = statements(prod, prod.followed("nats", task(prod)["ExecutionRoleArn"]))

    assert found.keys() == {"Login", "Logs", "Images"}
    assert found["Images"]["Resource"] == f"{ARN}:ecr:{HERE}:repository/gaming-system-prod/reference-service"


def test_a_worker_runs_the_image_of_the_reference_runtime(prod: Fleet) -> None:
    assert prod.text("nats", container(prod)["Image"]).endswith("/gaming-system-prod/reference-service:0.1.0")


def test_workers_have_no_place_where_no_service_runs_the_image_that_holds_them() -> None:
    catalog = small_catalog()
    for service in catalog.enabled:
        image = service.image.model_copy(update={"repository": None})
        catalog = changed(catalog, service.name, image=image)

    fleet = synthesise(catalog, load_environment("prod"))

    assert [each for each in fleet.resources(TASK_DEFINITION) if each.part == "nats"] == []


def test_the_network_says_where_workers_run(fleet: Fleet) -> None:
    outputs = fleet.templates["network"]["Outputs"]
    told = {
        name: fleet.text("network", outputs[name]["Value"]) for name in ("LoadTestSubnets", "LoadTestSecurityGroup")
    }

    assert told["LoadTestSubnets"].count("privateSubnet") == len(fleet.environment.availability_zones)
    assert "NatsClient" in told["LoadTestSecurityGroup"]
    assert not any("Export" in outputs[name] for name in told)
