"""The delivery by way of Systems Manager: one node at a time, with an end, and stopped at the first that fails."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.delivery import NODE_SECONDS, SsmDelivery, delivery_parameter
from nats_platform.commander import DELIVERY_SECONDS, ENVIRONMENT_TAG, SLOT_TAG, Commander
from nats_platform.node.deliver_certificates import FILES
from nats_platform.node.deliver_certificates import Release as ScriptRelease
from tests.certificates import Clock, MemoryStore, a_request, an_issuer
from tls import Release, bring_about, pointers, require_record

NODES = [{"name": name} for name in ("nats-1", "nats-2", "nats-3")]
DOCUMENT = "gaming-system-test-deliver-certificates"


class InvocationDoesNotExist(ClientError):  # noqa: N818  # boto3 calls it so
    """boto3's own error for a command that is not known yet."""


class FakeSsm:
    """Systems Manager whose commands end as they are told to, after as many questions as they are told to."""

    class exceptions:  # noqa: N801  # boto3 calls it so
        InvocationDoesNotExist = InvocationDoesNotExist

    def __init__(self) -> None:
        self.outcomes: dict[str, list[str]] = {}
        self.commands: list[dict[str, Any]] = []
        self.under_way: set[str] = set()

    def send_command(self, **command: Any) -> dict[str, Any]:
        (machine,) = command["InstanceIds"]
        if self.outcomes[machine] == ["refused"]:
            raise ClientError({"Error": {"Code": "InvalidInstanceId", "Message": "not managed"}}, "SendCommand")
        assert not self.under_way, "two nodes at a time"
        self.under_way.add(machine)
        self.commands.append(command)
        return {"Command": {"CommandId": f"c-{machine}"}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> dict[str, str]:  # noqa: N803
        assert CommandId == f"c-{InstanceId}"
        statuses = self.outcomes[InstanceId]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status == "unknown":
            raise InvocationDoesNotExist({"Error": {"Code": "InvocationDoesNotExist"}}, "GetCommandInvocation")
        if status not in {"Pending", "InProgress", "Delayed"}:
            self.under_way.discard(InstanceId)
        return {
            "Status": {"DeliveryTimedOut": "TimedOut"}.get(status, status),
            "StatusDetails": status,
            "StandardOutputContent": "one\ntwo\nunchanged: release-1\n" if status == "Success" else "",
            "StandardErrorContent": "FAILED: the certificate has expired\n" if status == "Failed" else "",
        }


class Time:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def release() -> Release:
    store = MemoryStore()
    bring_about(an_issuer(store, Clock()), a_request(nodes=NODES))
    return Release(require_record(store).record, pointers(store))


MACHINES = {"nats-2": "i-b", "nats-1": "i-a", "nats-3": "i-c"}


class FakeEc2:
    """Answers with these machines; the test of the tags has a better one."""

    def __init__(self, machines: dict[str, str]) -> None:
        self._instances = [
            {"InstanceId": machine, "Tags": [{"Key": SLOT_TAG, "Value": node}]} for node, machine in machines.items()
        ]

    def get_paginator(self, operation: str) -> FakeEc2:
        assert operation == "describe_instances"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Reservations": [{"Instances": self._instances}]}]


Deliver = Callable[..., tuple[list[Any], FakeSsm, Time]]


@pytest.fixture
def deliver(release: Release) -> Deliver:
    """Deliver to the machines; each ends as it is said here, and well by default."""

    def run(**outcomes: tuple[str, ...]) -> tuple[list[Any], FakeSsm, Time]:
        ssm, time = FakeSsm(), Time()
        ssm.outcomes = {machine: ["Success"] for machine in MACHINES.values()}
        ssm.outcomes |= {MACHINES[name.replace("_", "-")]: list(ends) for name, ends in outcomes.items()}
        delivery = SsmDelivery(DOCUMENT, "test", Commander(FakeEc2(MACHINES), ssm, time.sleep, time))
        return list(delivery.deliver(release)), ssm, time

    return run


def test_each_node_gets_its_own_files_in_order(deliver: Deliver) -> None:
    outcomes, ssm, _ = deliver()

    assert [(outcome.node, outcome.succeeded) for outcome in outcomes] == [
        ("nats-1", True),
        ("nats-2", True),
        ("nats-3", True),
    ]
    assert [command["InstanceIds"] for command in ssm.commands] == [[MACHINES[n]] for n in sorted(MACHINES)]
    for node, command in zip(sorted(MACHINES), ssm.commands, strict=True):
        assert command["DocumentName"] == DOCUMENT
        assert command["TimeoutSeconds"] == DELIVERY_SECONDS
        (parameter,) = command["Parameters"]["Delivery"]
        assert json.loads(base64.b64decode(parameter))["node"] == node


def test_the_outcome_says_what_the_node_said_last(deliver: Deliver) -> None:
    outcomes, _, _ = deliver()

    assert outcomes[0].detail == f"{MACHINES['nats-1']}: Success; one; two; unchanged: release-1"


def test_the_first_failure_ends_it_and_the_other_nodes_keep_what_they_serve(deliver: Deliver) -> None:
    outcomes, ssm, _ = deliver(nats_2=("InProgress", "Failed"))

    assert [(outcome.node, outcome.succeeded) for outcome in outcomes] == [("nats-1", True), ("nats-2", False)]
    assert outcomes[1].detail == f"{MACHINES['nats-2']}: Failed; FAILED: the certificate has expired"
    assert len(ssm.commands) == 2


@pytest.mark.parametrize("status", ["DeliveryTimedOut", "Cancelled", "Undeliverable"])
def test_a_command_that_nobody_carried_out_is_a_failure(deliver: Deliver, status: str) -> None:
    outcomes, _, _ = deliver(nats_1=(status,))

    assert [outcome.succeeded for outcome in outcomes] == [False]
    assert outcomes[0].detail.endswith(status)


def test_a_machine_that_systems_manager_does_not_know_is_a_failure(deliver: Deliver) -> None:
    outcomes, _, _ = deliver(nats_1=("refused",))

    assert [outcome.succeeded for outcome in outcomes] == [False]
    assert "InvalidInstanceId" in outcomes[0].detail


def test_a_command_is_not_known_everywhere_at_once(deliver: Deliver) -> None:
    outcomes, _, _ = deliver(nats_1=("unknown", "Pending", "InProgress", "Delayed", "Success"))

    assert [outcome.succeeded for outcome in outcomes] == [True, True, True]


@pytest.mark.parametrize("status", ["unknown", "InProgress"])
def test_a_node_that_never_ends_is_given_up(deliver: Deliver, status: str) -> None:
    outcomes, _, time = deliver(nats_1=(status,))

    assert [outcome.succeeded for outcome in outcomes] == [False]
    assert outcomes[0].detail.endswith(f"no answer within {NODE_SECONDS} s")
    assert time.now == pytest.approx(NODE_SECONDS, abs=3)


def test_no_node_is_no_failure(release: Release, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert list(SsmDelivery(DOCUMENT, "test", Commander(FakeEc2({}), FakeSsm())).deliver(release)) == []

    assert "no NATS machine runs yet" in caplog.text


@pytest.mark.usefixtures("aws")
def test_the_nodes_are_found_by_their_tags_among_machines_that_are_none_of_our_business(release: Release) -> None:
    ec2 = boto3.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]

    def run(**tags: str) -> str:
        made = ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )
        return str(made["Instances"][0]["InstanceId"])

    ours = {name: run(**{SLOT_TAG: name, ENVIRONMENT_TAG: "test"}) for name in ("nats-2", "nats-1", "nats-3")}
    run(**{SLOT_TAG: "nats-1", ENVIRONMENT_TAG: "another"})
    run(**{ENVIRONMENT_TAG: "test"})
    ec2.terminate_instances(InstanceIds=[run(**{SLOT_TAG: "nats-1", ENVIRONMENT_TAG: "test"})])
    ssm = FakeSsm()
    ssm.outcomes = {machine: ["Success"] for machine in ours.values()}

    outcomes = SsmDelivery(DOCUMENT, "test", Commander(ec2, ssm, lambda _: None)).deliver(release)

    assert [outcome.node for outcome in outcomes] == sorted(ours)
    assert [command["InstanceIds"] for command in ssm.commands] == [[ours[node]] for node in sorted(ours)]


def test_a_node_that_nobody_asked_a_certificate_for_is_a_failure(release: Release) -> None:
    fewer = Release(release.record, {k: v for k, v in release.pointers.items() if "nats-1" not in k})

    (outcome,) = SsmDelivery(DOCUMENT, "test", Commander(FakeEc2(MACHINES), FakeSsm())).deliver(fewer)

    assert not outcome.succeeded
    assert "server/nats-1/" in outcome.detail


def test_the_script_on_the_node_takes_what_the_function_sends(release: Release) -> None:
    parameter = delivery_parameter(release, "nats-2")

    assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", parameter)
    taken = ScriptRelease.read(parameter)
    assert taken.node == "nats-2"
    assert taken.files.keys() == FILES.keys()
    chain = release.pointers["server/nats-2/"].files["chain.pem"]
    sent = taken.files["server-chain.pem"]
    assert (sent.version_id, sent.sha256) == (chain.version_id, chain.sha256)


def test_what_is_sent_has_no_key_in_it(release: Release) -> None:
    told = json.loads(base64.b64decode(delivery_parameter(release, "nats-1")))

    assert {key for file in told["files"].values() for key in file} == {"key", "version_id", "sha256"}
