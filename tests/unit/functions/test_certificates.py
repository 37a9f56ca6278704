"""The function that issues and renews, from the request to the answer, against S3 and Secrets Manager in memory."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from functions import certificates
from functions.certificates import REQUEST_KEY, handler
from functions.nats_nodes import SILENT
from tests.certificates import plain_request
from tests.unit.functions.conftest import BUCKET, CLUSTER, PASSPHRASE, PASSPHRASE_SECRET, Stack
from tls import (
    Delivered,
    Delivery,
    Observations,
    Release,
    S3Store,
    Sources,
    observations_from_plain,
    pointers,
)

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Forget the passphrase, as a new start of the function does."""
    certificates._passphrase.cache_clear()  # noqa: SLF001
    yield
    certificates._passphrase.cache_clear()  # noqa: SLF001


def ask(stack: Stack, request_type: str, *, destroy: str = "false", **changes: Any) -> dict[str, Any]:
    """Ask as a deployment does; return the answer."""
    request = json.dumps(plain_request(**changes))
    assert handler(stack.request(request_type, Request=request, DestroyData=destroy), None) is None
    return stack.answers[-1]


def keys() -> set[str]:
    return set(S3Store(BUCKET).keys(""))


def versions() -> list[str]:
    return sorted(entry["VersionId"] for entry in boto3.client("s3").list_object_versions(Bucket=BUCKET)["Versions"])


def test_a_first_deployment_ends_with_every_certificate_in_the_bucket(stack: Stack) -> None:
    told = ask(stack, "Create")

    assert told["Status"] == "SUCCESS", told
    assert told["PhysicalResourceId"] == f"s3://{BUCKET}"
    assert told["Data"]["Certificates"] == "5"
    assert told["Data"]["Delivery"] == "none: no node runs"
    assert set(pointers(S3Store(BUCKET))) == {
        "server/nats-1/",
        "route/nats-1/",
        "client/orders/",
        "client/payments/",
        "client/operator/",
    }


def test_the_same_deployment_again_writes_nothing(stack: Stack) -> None:
    ask(stack, "Create")
    before = versions()

    assert ask(stack, "Update")["Status"] == "SUCCESS"

    assert versions() == before


def test_a_new_service_gets_its_certificate_and_a_removed_one_keeps_it(stack: Stack) -> None:
    """Its tasks still run: CloudFormation removes them after this."""
    ask(stack, "Create")

    assert ask(stack, "Update", services=["orders", "invoices"])["Data"]["Certificates"] == "5"

    assert {"client/invoices/", "client/payments/"} <= set(pointers(S3Store(BUCKET)))


@pytest.mark.parametrize(("destroy", "left"), [("true", "nothing"), ("false", "all")])
def test_a_removed_environment_leaves_its_certificates_unless_data_goes_too(
    stack: Stack, destroy: str, left: str
) -> None:
    ask(stack, "Create")
    boto3.client("s3").put_object(Bucket=BUCKET, Key="seen-no-more", Body=b"")
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="seen-no-more")

    assert ask(stack, "Delete", destroy=destroy)["Status"] == "SUCCESS"

    assert ("all" if keys() else "nothing") == left
    if left == "nothing":
        boto3.client("s3").delete_bucket(Bucket=BUCKET)


def test_a_first_creation_that_is_taken_back_leaves_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bucket goes with it, and CloudFormation removes none that holds something."""
    ask(stack, "Create")
    monkeypatch.setattr(certificates, "rolls_back", lambda _: True)

    assert ask(stack, "Delete", destroy="false")["Status"] == "SUCCESS"

    assert keys() == set()


def test_a_removal_needs_no_passphrase(stack: Stack) -> None:
    ask(stack, "Create")
    boto3.client("secretsmanager").delete_secret(SecretId=PASSPHRASE_SECRET, ForceDeleteWithoutRecovery=True)

    assert ask(stack, "Delete", destroy="true")["Status"] == "SUCCESS"


def test_a_fault_is_answered_as_a_failure_that_names_it(stack: Stack) -> None:
    told = ask(stack, "Create", services=["Not A Name"])

    assert told["Status"] == "FAILED"
    assert "Not A Name" in told["Reason"]
    assert keys() == set()


def test_without_a_passphrase_the_deployment_fails_and_says_why(stack: Stack) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId=PASSPHRASE_SECRET, ForceDeleteWithoutRecovery=True)

    told = ask(stack, "Create")

    assert told["Status"] == "FAILED"
    assert "ResourceNotFoundException" in told["Reason"]


def test_neither_answer_nor_log_nor_output_has_a_key_or_the_passphrase(
    stack: Stack, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, logger="functions"):
        ask(stack, "Create")
        ask(stack, "Update", services=["Not A Name"])
        returned = handler({}, None)
    output, errors = capfd.readouterr()
    told = "".join([json.dumps(stack.answers), json.dumps(returned), caplog.text, output, errors])

    secrets = [PASSPHRASE, "PRIVATE KEY"]
    for prefix, pointer in pointers(S3Store(BUCKET)).items():
        stored = S3Store(BUCKET).read(f"{prefix}{pointer.version}/key.pem")
        assert stored is not None
        lines = stored.data.decode().splitlines()[1:-1]
        assert base64.b64decode("".join(lines))
        secrets += lines
    assert [secret for secret in secrets if secret in told] == []


def test_a_schedule_before_any_deployment_does_nothing(stack: Stack) -> None:
    del stack

    assert handler({"source": "aws.events"}, None) == {
        "changed": False,
        "reason": "no deployment has asked for certificates yet",
    }
    assert keys() == set()


def test_a_schedule_renews_nothing_that_is_not_due(stack: Stack) -> None:
    ask(stack, "Create")
    before = versions()

    told = handler({}, None)

    assert told is not None
    assert (told["changed"], told["findings"]) == (False, [])
    assert versions() == before


def test_a_schedule_renews_what_is_due_by_what_the_deployment_asked_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(stack, "Create")
    before = pointers(S3Store(BUCKET))
    later = datetime.now(UTC) + timedelta(days=25)
    monkeypatch.setattr(Sources, "now", lambda _: later)

    told = handler({}, None)

    assert told is not None
    assert {leaf["place"] for leaf in told["issued"]} == set(before)
    assert all(pointer.version != before[name].version for name, pointer in pointers(S3Store(BUCKET)).items())


def test_a_schedule_retires_what_nobody_asks_for_once_no_task_uses_it(stack: Stack) -> None:
    ask(stack, "Create")
    ask(stack, "Update", services=["orders"])

    told = handler({}, None)

    assert told is not None
    assert told["retired"] == ["client/payments/"]
    assert "client/payments/" not in pointers(S3Store(BUCKET))


class Usage:
    """What ECS and CloudFormation say: the tasks by family and last status, and the stacks that change just now."""

    def __init__(self, *tasks: tuple[str, str], stacks: Sequence[str] = (), then: Callable[[], object] = tuple) -> None:
        self.tasks = tasks
        self.stacks = stacks
        self.then = then

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate={"list_tasks": self._list_tasks, "list_stacks": self._list_stacks}[operation])

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert cluster == CLUSTER
        arn = "arn:aws:ecs:us-east-1:1:task-definition"
        found = [self.tasks[int(task)] for task in tasks]
        return {"tasks": [{"taskDefinitionArn": f"{arn}/{CLUSTER}-{name}:7", "lastStatus": at} for name, at in found]}

    def _list_tasks(self, *, cluster: str, desiredStatus: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        assert cluster == CLUSTER
        wanted = [n for n, task in enumerate(self.tasks) if (task[1] == "RUNNING") == (desiredStatus == "RUNNING")]
        return [{"taskArns": [str(number) for number in wanted]}]

    def _list_stacks(self, **_: Any) -> list[dict[str, Any]]:
        self.then()
        return [{"StackSummaries": [{"StackName": name} for name in self.stacks]}]


def with_usage(monkeypatch: pytest.MonkeyPatch, usage: Usage) -> None:
    client = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: usage if name in {"ecs", "cloudformation"} else client(name))


@pytest.mark.parametrize("state", ["RUNNING", "DEACTIVATING"])
def test_a_schedule_keeps_what_a_task_still_uses(stack: Stack, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    ask(stack, "Create")
    ask(stack, "Update", services=["invoices"])
    with_usage(monkeypatch, Usage(("payments", state), ("orders", "STOPPED")))

    told = handler({}, None)

    assert told is not None
    assert (told["retired"], told["superfluous"]) == (["client/orders/"], ["client/payments/"])
    assert "client/payments/" in pointers(S3Store(BUCKET))


def test_nothing_is_retired_while_a_stack_changes(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it goes back to may run on no task just then."""
    ask(stack, "Create")
    ask(stack, "Update", services=["orders"])
    with_usage(monkeypatch, Usage(stacks=["gaming-system-test-services-game"]))
    kept = handler({}, None)
    with_usage(monkeypatch, Usage(stacks=["somebody-elses"]))
    gone = handler({}, None)

    assert kept is not None
    assert gone is not None
    assert (kept["retired"], gone["retired"]) == ([], ["client/payments/"])


def test_a_service_that_a_deployment_brings_back_meanwhile_is_not_retired(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks are about to start, and its certificate was there, so that none was issued."""
    ask(stack, "Create")
    ask(stack, "Update", services=["orders"])
    with_usage(monkeypatch, Usage(then=lambda: ask(stack, "Update")))

    told = handler({}, None)

    assert told is not None
    assert told["retired"] == []
    assert "client/payments/" in pointers(S3Store(BUCKET))


def test_what_was_asked_for_is_remembered_in_the_bucket(stack: Stack) -> None:
    ask(stack, "Create")

    stored = S3Store(BUCKET).read(REQUEST_KEY)
    assert stored is not None
    assert json.loads(stored.data)["services"] == ["orders", "payments"]


class Nodes(Delivery):
    """Two nodes, of which the second refuses."""

    def __init__(self) -> None:
        self.releases: list[Release] = []

    def deliver(self, release: Release) -> Sequence[Delivered]:
        self.releases.append(release)
        return [
            Delivered("nats-1", succeeded=True, detail="delivered: release-1"),
            Delivered("nats-2", succeeded=False, detail="FAILED: it has expired"),
        ]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Nodes in the place of Systems Manager's."""
    nodes = Nodes()

    def make(document: str, environment: str, _: object) -> Nodes:
        assert (document, environment) == ("gaming-system-test-deliver-certificates", "test")
        return nodes

    monkeypatch.setattr(certificates, "SsmDelivery", make)
    return nodes


def test_deployment_and_schedule_both_deliver(stack: Stack, nodes: Nodes) -> None:
    ask(stack, "Create")
    handler({}, None)

    assert [set(release.pointers) == set(pointers(S3Store(BUCKET))) for release in nodes.releases] == [True, True]


def test_an_operator_has_delivered_what_the_bucket_holds_and_nothing_else_is_done(
    stack: Stack, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(stack, "Create")
    before = versions()
    monkeypatch.setattr(certificates, "_passphrase", lambda: pytest.fail("it would issue"))

    told = handler({"task": "deliver"}, None)

    assert told == {
        "delivered": [
            {"node": "nats-1", "succeeded": True, "detail": "delivered: release-1"},
            {"node": "nats-2", "succeeded": False, "detail": "FAILED: it has expired"},
        ]
    }
    assert nodes.releases[-1].pointers == pointers(S3Store(BUCKET))
    assert versions() == before


@pytest.mark.usefixtures("nodes")
def test_a_node_that_took_no_delivery_fails_the_deployment_once_all_is_in_the_bucket(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certificates, "rolls_back", lambda _: False)

    told = ask(stack, "Create")

    assert told["Status"] == "FAILED"
    assert "a node did not take them: nats-2: FAILED: it has expired" in told["Reason"]
    assert len(pointers(S3Store(BUCKET))) == 5
    assert REQUEST_KEY in keys()
    assert metrics(capsys)["failed_deliveries"] == 1


@pytest.mark.usefixtures("nodes")
def test_a_node_that_took_no_delivery_does_not_hold_up_a_stack_on_its_way_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "rolls_back", lambda _: True)

    told = ask(stack, "Update")

    assert (told["Status"], told["Data"]["Delivery"]) == ("SUCCESS", "nats-1 done, nats-2 FAILED")


@pytest.mark.usefixtures("nodes")
def test_a_node_that_took_no_delivery_is_told_of_by_the_schedule_which_goes_on(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certificates, "rolls_back", lambda _: False)
    ask(stack, "Create")
    capsys.readouterr()

    assert handler({}, None) is not None

    assert metrics(capsys)["failed_deliveries"] == 1


def test_the_days_that_are_left_are_measured_by_deployment_and_schedule(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(stack, "Create")
    deployed = metrics(capsys)
    handler({}, None)

    assert deployed.keys() == metrics(capsys).keys()
    assert {name.partition("_days")[0] for name in deployed if name.endswith("_days_left")} == {
        "root",
        "issuing",
        "server",
        "route",
        "client",
    }
    assert deployed["failed_deliveries"] == 0


def test_where_no_node_answers_nothing_waits_for_one_and_it_is_said(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WAIT_FOR_NODES", "false")
    monkeypatch.setattr(certificates, "SsmDelivery", lambda *_: pytest.fail("it looked for nodes"))

    with caplog.at_level(logging.INFO, logger="functions"):
        told = ask(stack, "Create")

    assert told["Status"] == "SUCCESS"
    assert told["Data"]["Delivery"] == f"none: {SILENT}"
    assert "nats.wait_for_nodes is false" in caplog.text


class Observer:
    """Nodes that say what they serve: one certificate that the store does not hold, with three days left; one says nothing."""

    class nodes:  # noqa: N801  # it stands for an attribute
        @staticmethod
        def machines() -> dict[str, str]:
            return {"nats-1": "i-1"}

    def observe(self) -> Observations:
        return observations_from_plain(self.look()[0], where="the test")

    def look(self) -> tuple[dict[str, Any], list[str]]:
        now = datetime.now(UTC)
        served = {"fingerprint": "5e" * 32, "not_after": (now + timedelta(days=3)).isoformat()}
        node = {"name": "node/nats-1", "serves": {"server": served}, "trusts": {}, "peers": []}
        return {"taken_at": now.isoformat(), "consumers": [node]}, ["nats-2 did not say what it serves: TimedOut"]


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_observer", lambda _: Observer())


@pytest.mark.usefixtures("observer")
def test_the_schedule_tells_where_the_wire_shows_something_else_than_the_store_holds(
    stack: Stack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ask(stack, "Create")
    capsys.readouterr()

    with caplog.at_level(logging.WARNING, logger="functions"):
        told = handler({}, None)

    assert told is not None
    missed, silent = told["findings"]
    assert "node/nats-1 serves the server certificate 5e5e5e5e5e5e5e5e" in missed
    assert silent == "nats-2 did not say what it serves: TimedOut"
    assert missed in caplog.text
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Service"], round(line.get("days_left", 0))) for line in lines][1] == ("certificates-wire", 3)


@pytest.mark.usefixtures("observer")
def test_an_operator_is_given_what_was_seen(stack: Stack) -> None:
    ask(stack, "Create")

    told = handler({"task": "observe"}, None)

    assert told is not None
    assert [consumer["name"] for consumer in told["observations"]["consumers"]] == ["node/nats-1"]
    assert len(told["silent"]) == 1


def test_where_no_node_answers_an_operator_is_told_that_nothing_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIT_FOR_NODES", "false")

    assert handler({"task": "observe"}, None) == {"observations": None, "silent": [SILENT]}


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Return the metrics of the only line that was printed."""
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    names = [metric["Name"] for metric in told["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    return {name: told[name] for name in names}
