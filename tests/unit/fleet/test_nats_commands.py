"""`fleet nats`, and what `fleet verify` makes of what the nodes say."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from catalog import CatalogError, load_environment, names
from catalog.edit_environment import pin_machine_image
from catalog.load import ENVIRONMENTS
from fleet import nats
from fleet.errors import InputError, WantingError
from fleet.functions import ask
from fleet.verify.nats import check_served
from fleet.verify.scope import Scope
from tests.unit.fleet.quiet import Quiet
from tests.unit.fleet.right_account import ACCOUNT, RightAccount, WithoutTasks, catalog, environment


class Functions:
    """Functions that answer with what they are given."""

    class exceptions:  # noqa: N801  # boto3 calls it so
        class ResourceNotFoundException(Exception):  # noqa: N818
            """There is no such function."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803  # as boto3 takes it
        event = json.loads(Payload)
        self.asked.append((FunctionName, event))
        answer = self.answers.get(event.get("task", "renew"))
        if answer is None:
            raise self.exceptions.ResourceNotFoundException
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


class Account:
    """An account of which only functions and Systems Manager are looked at."""

    def __init__(self, functions: Functions | None = None, ssm: Any = None) -> None:
        self.functions = functions or Functions()
        self.ssm = ssm
        self.region = "us-east-1"


def status(**changes: Any) -> dict[str, Any]:
    """Return what the function tells of a cluster that is whole, but for some of what its nodes say."""
    wanted = {
        "version": 3,
        "server": {"sha256": "s"},
        "configuration": {node: {"sha256": f"c-{node}"} for node in names.NATS_NODES},
    }
    served = {"fingerprint": "f", "not_after": "2026-08-29T10:00:00Z"}
    nodes: dict[str, dict[str, Any]] = {
        node: {
            "machine": f"i-{node}",
            "detail": "",
            "status": {
                "healthz": "ok",
                "meta_leader": "nats-1",
                "routes": [other for other in names.NATS_NODES if other != node],
                "configuration_sha256": f"c-{node}",
                "server_sha256": "s",
                "serves": {"server": served, "route": served},
            },
        }
        for node in names.NATS_NODES
    }
    for name, change in changes.items():
        node = name.replace("_", "-")
        if change is None:
            del nodes[node]
        elif change == "silent":
            nodes[node] |= {"status": None, "detail": "DeliveryTimedOut"}
        else:
            nodes[node]["status"] |= change
    return {"wanted": wanted, "nodes": nodes}


def test_a_whole_cluster_has_nothing_wanting() -> None:
    assert nats.cluster_findings(status()) == []
    assert [(row.node, row.leader, row.routes, row.is_current) for row in nats.node_rows(status())] == [
        ("nats-1", True, 2, True),
        ("nats-2", False, 2, True),
        ("nats-3", False, 2, True),
    ]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"nats_2": None}, "nats-2 has no machine that runs"),
        ({"nats_2": "silent"}, "nats-2: DeliveryTimedOut"),
        ({"nats_2": {"healthz": "JetStream is not current"}}, "nats-2: JetStream is not current"),
        ({"nats_2": {"routes": ["nats-1"]}}, "nats-2 sees 1 of 2 other nodes"),
        ({"nats_2": {"server_sha256": "old"}}, "nats-2 does not run on what the bucket names: deploy, or roll"),
        ({"nats_2": {"configuration_sha256": None}}, "nats-2 does not run on what the bucket names: deploy, or roll"),
        (
            {f"nats_{n}": {"meta_leader": None} for n in (1, 2, 3)},
            "no node is the meta leader: JetStream has no quorum",
        ),
    ],
)
def test_what_is_wanting_is_told(changes: dict[str, Any], finding: str) -> None:
    assert nats.cluster_findings(status(**changes)) == [finding]


def test_verify_takes_down_what_the_nodes_say(right: RightAccount) -> None:
    scope = Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT))
    good, bad = scope.checks(), scope.checks()

    check_served(scope, good, status())
    check_served(scope, bad, status(nats_3={"serves": {"server": {"error": "SSLError"}}}))

    assert {check.status for check in good.made} == {"ok"}
    assert [(check.id, check.subject) for check in bad.made if check.status == "wanting"] == [
        ("nats.tls", "nats-3")
    ] * 2


def test_a_function_that_is_not_there_is_one_that_was_not_deployed() -> None:
    with pytest.raises(InputError, match="deploy first"):
        ask(Account(), "gaming-system-test-nats", {"task": "status"})  # type: ignore[arg-type]  # as much of one as is used


def test_a_function_that_fails_says_why() -> None:
    account = Account(Functions(backup={"errorMessage": "no node is well, so nothing was backed up"}))

    with pytest.raises(WantingError, match="no node is well"):
        nats.task(account, environment(), "backup")  # type: ignore[arg-type]


def test_the_user_is_retired_before_the_certificate() -> None:
    functions = Functions(retire={"retired": ["a.svc"]}, renew={"retired": ["client/a/"]})

    told = nats.retire_unused(Account(functions), environment())  # type: ignore[arg-type]

    assert list(told) == ["NATS user a.svc", "certificate client/a/"]
    assert functions.asked == [
        ("gaming-system-test-nats", {"task": "retire"}),
        ("gaming-system-test-certificates", {}),
    ]


class Automation:
    """A roll that ends as it is told to."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.started: list[dict[str, Any]] = []

    def start_automation_execution(self, **arguments: Any) -> dict[str, str]:
        self.started.append(arguments)
        return {"AutomationExecutionId": "e-1"}

    def get_automation_execution(self, **_: str) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"AutomationExecution": {"AutomationExecutionStatus": status, "FailureMessage": "nats-2 stays away"}}


class Clock:
    """A clock that sleeping moves on."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def rolled(automation: Automation, *, every: bool = False) -> str:
    clock = Clock()
    account: Any = Account(ssm=automation)
    with Quiet().step("roll") as step:
        return nats.roll(account, environment(), step, every=every, sleep=clock.sleep, clock=clock)


def test_a_roll_is_waited_for() -> None:
    automation = Automation("InProgress", "InProgress", "Success")

    assert rolled(automation, every=True) == "e-1"

    assert automation.started == [{"DocumentName": "gaming-system-test-roll-nats", "Parameters": {"Every": ["true"]}}]


@pytest.mark.parametrize(
    ("status", "told"),
    [("Failed", "ended with Failed: nats-2 stays away"), ("InProgress", "has not ended after 3600 s")],
)
def test_a_roll_that_does_not_end_well_says_how(status: str, told: str) -> None:
    with pytest.raises(WantingError, match=told):
        rolled(Automation(status))


def test_where_no_node_answers_nothing_is_rolled() -> None:
    silent = environment(nats=environment().nats.model_copy(update={"wait_for_nodes": False}))
    account: Any = Account(ssm=Automation("Success"))

    with Quiet().step("roll") as step, pytest.raises(InputError, match=r"nats\.wait_for_nodes is false"):
        nats.roll(account, silent, step, every=False)

    assert account.ssm.started == []


@pytest.mark.parametrize("name", ["prod", "dev", "local"])
def test_a_pinned_image_changes_its_value_and_no_other_byte(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.yaml"
    before = (ENVIRONMENTS / f"{name}.yaml").read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    pinned = load_environment(name).nats.ami_id

    assert pin_machine_image(file, "ami-0123456789abcdef0")
    assert not pin_machine_image(file, "ami-0123456789abcdef0")

    assert file.read_text(encoding="utf-8") == before.replace(pinned, "ami-0123456789abcdef0")
    assert load_environment(name, tmp_path).nats.ami_id == "ami-0123456789abcdef0"


def test_a_file_that_is_not_valid_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "prod.yaml"
    file.write_text("name: prod\nnats:\n  ami_id: ami-12345678\n", encoding="utf-8")

    with pytest.raises(CatalogError):
        pin_machine_image(file, "ami-0123456789abcdef0")

    assert "ami-12345678" in file.read_text(encoding="utf-8")
