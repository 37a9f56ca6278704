"""The function of the cluster, from the event to the answer, against S3, ECS and CloudFormation in memory."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import boto3
import pytest

from functions import nats_cluster
from functions.nats_nodes import SILENT, NodeError, Nodes
from functions.nats_state import State
from functions.nats_usage import Usage
from nats_platform.permissions import User, service_user, wanted_users
from nats_platform.request import ClusterRequest
from tests.fake_nodes import NODES, PREFIX, FakeNodes
from tests.unit.functions.conftest import BUCKET, CLUSTER, Stack
from tests.unit.functions.test_nats_configuration import SERVED, a_request, plain_request
from tls import S3Store

pytestmark = pytest.mark.usefixtures("aws")

ROLL = "gaming-system-test-roll-nats"


class Context:
    """What Lambda tells a handler."""

    def __init__(self, seconds: float = 900.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeNodes:
    """Three machines behind the function."""
    for name, value in {
        "STACK_PREFIX": "gaming-system-test-",
        "DOCUMENT_PREFIX": PREFIX,
        "ROLL_DOCUMENT": ROLL,
        "AWS_LAMBDA_FUNCTION_NAME": "gaming-system-test-nats",
    }.items():
        monkeypatch.setenv(name, value)
    nodes = FakeNodes(S3Store(BUCKET))
    monkeypatch.setattr(nats_cluster, "Commander", lambda *_: nodes.commander)
    client = boto3.client
    # Made for the commander alone, and slow to make.
    monkeypatch.setattr(boto3, "client", lambda name: None if name in {"ec2", "ssm"} else client(name))
    monkeypatch.setattr(nats_cluster, "rolls_back", lambda event: "back" in event["StackId"])
    return nodes


def asset(data: bytes) -> str:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"cdk/{data.decode()}", Body=data)
    return json.dumps({"bucket": BUCKET, "key": f"cdk/{data.decode()}", "sha256": hashlib.sha256(data).hexdigest()})


def ask(
    stack: Stack,
    kind: str,
    request_type: str,
    *services: str,
    context: Context | None = None,
    destroy: str = "false",
    back: bool = False,
    at_start: str = "5e",
    **more: Any,
) -> dict[str, Any] | None:
    """Ask as a deployment does; return the answer, if one came."""
    properties = {
        "Request": json.dumps(plain_request(*services)),
        "Server": asset(b"server"),
        "Agent": asset(b"agent"),
        "DestroyData": destroy,
        "AtStart": at_start,
    }
    event = {**stack.request(request_type, **properties), "ResourceType": kind, **more}
    if back:
        event["StackId"] = "arn:aws:cloudformation:us-east-1:1:stack/back/1"
    before = len(stack.answers)
    assert nats_cluster.handler(event, context or Context()) is None
    return stack.answers[-1] if len(stack.answers) > before else None


def configure(stack: Stack, request_type: str, *services: str, **more: Any) -> dict[str, Any]:
    answer = ask(stack, nats_cluster.CONFIGURATION, request_type, *services, **more)
    assert answer is not None
    return answer


def roll(stack: Stack, request_type: str, **more: Any) -> dict[str, Any] | None:
    return ask(stack, nats_cluster.ROLL, request_type, **more)


def commands(cluster: FakeNodes) -> list[str]:
    return [command for _, command in cluster.commands]


def test_a_first_deployment_ends_with_a_configuration_for_the_first_machine(stack: Stack, cluster: FakeNodes) -> None:
    cluster.machines.clear()

    told = configure(stack, "Create", "orders")

    assert (told["Status"], told["PhysicalResourceId"]) == ("SUCCESS", f"s3://{BUCKET}")
    assert told["Data"] == {"Version": "1", "Users": "5", "Configured": "none: no node runs"}
    assert set(State(S3Store(BUCKET)).current().configuration) == set(NODES)


def test_an_update_reaches_the_nodes_and_then_what_jetstream_keeps(stack: Stack, cluster: FakeNodes) -> None:
    configure(stack, "Create", "orders")

    assert configure(stack, "Update", "orders", "payments")["Data"]["Configured"] == "nats-1, nats-2, nats-3"

    assert commands(cluster)[-5:] == ["configure", "configure", "configure", "status", "streams"]
    assert cluster.requests[-1]["allow_data_loss"] == []


def test_streams_that_would_lose_data_fail_the_deployment_and_say_why(stack: Stack, cluster: FakeNodes) -> None:
    cluster.refusals["nats-1", "streams"] = "ORDERS: max_bytes is below what is stored"

    told = configure(stack, "Create", "orders")

    assert told["Status"] == "FAILED"
    assert "max_bytes is below what is stored" in told["Reason"]


def test_a_node_that_refuses_its_configuration_fails_the_deployment_and_says_why(
    stack: Stack, cluster: FakeNodes
) -> None:
    configure(stack, "Create", "orders")
    cluster.refusals["nats-2", "configure"] = "nats.conf:3:1: unknown field"

    told = configure(stack, "Update", "orders", "payments")

    assert told["Status"] == "FAILED"
    assert "nats-2 did not take its configuration up: Failed; FAILED: nats.conf:3:1" in told["Reason"]


def test_what_only_a_start_takes_up_is_left_to_the_roll_that_follows(stack: Stack, cluster: FakeNodes) -> None:
    """With the streams: there may be no room for them before."""
    configure(stack, "Create", "orders")
    cluster.starts_anew = set(NODES)
    cluster.commands.clear()
    before = {"OldResourceProperties": {"AtStart": "5e"}}

    told = configure(stack, "Update", "orders", "payments", at_start="5f", **before)

    assert (told["Status"], told["Data"]["Configured"]) == ("SUCCESS", "nats-1, nats-2, nats-3")
    assert commands(cluster) == ["configure"] * 3


def test_what_only_a_start_takes_up_fails_a_deployment_without_a_roll_but_not_its_way_back(
    stack: Stack, cluster: FakeNodes
) -> None:
    configure(stack, "Create", "orders")
    cluster.starts_anew = {"nats-3"}
    before = {"OldResourceProperties": {"AtStart": "5e"}}

    told = configure(stack, "Update", "orders", "payments", **before)

    assert told["Status"] == "FAILED"
    assert "nats-3: only a start of the server takes this up; run fleet nats roll, then deploy" in told["Reason"]
    assert configure(stack, "Update", "orders", "invoices", back=True, **before)["Status"] == "SUCCESS"


def test_the_way_back_of_a_stack_is_not_held_up_by_a_node(stack: Stack, cluster: FakeNodes) -> None:
    configure(stack, "Create", "orders")
    for node in NODES:
        cluster.refusals[node, "configure"] = "DeliveryTimedOut"

    assert configure(stack, "Update", "orders", "payments", back=True)["Status"] == "SUCCESS"


@pytest.mark.parametrize(("destroy", "left"), [("true", False), ("false", True)])
def test_a_removed_environment_leaves_its_bucket_unless_data_goes_too(
    stack: Stack, cluster: FakeNodes, *, destroy: str, left: bool
) -> None:
    del cluster
    configure(stack, "Create", "orders")

    assert configure(stack, "Delete", destroy=destroy)["Status"] == "SUCCESS"

    assert ("current.json" in S3Store(BUCKET).keys("")) == left


def test_a_first_creation_that_is_taken_back_leaves_no_bucket_that_could_not_go(
    stack: Stack, cluster: FakeNodes
) -> None:
    del cluster
    configure(stack, "Create", "orders")

    assert configure(stack, "Delete", back=True)["Status"] == "SUCCESS"

    assert S3Store(BUCKET).keys("") == []


def test_where_no_node_answers_both_resources_say_so_and_ask_nobody(
    stack: Stack, cluster: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIT_FOR_NODES", "false")

    told, rolled = configure(stack, "Create", "orders"), roll(stack, "Create")

    assert rolled is not None
    assert "nats.wait_for_nodes is false" in told["Data"]["Configured"]
    assert rolled["Data"]["Nodes"] == f"none: {SILENT}"
    assert cluster.commands == []


def test_the_first_machines_are_waited_for_and_then_given_what_jetstream_keeps(
    stack: Stack, cluster: FakeNodes
) -> None:
    configure(stack, "Create", "orders")
    cluster.commands.clear()

    told = roll(stack, "Create")

    assert told is not None
    assert (told["Status"], told["Data"]["Nodes"]) == ("SUCCESS", "nats-1, nats-2, nats-3")
    assert commands(cluster) == ["gate", "gate", "gate", "status", "streams"]


def test_without_a_configuration_there_is_nothing_to_wait_for(stack: Stack, cluster: FakeNodes) -> None:
    del cluster

    told = roll(stack, "Create")

    assert told is not None
    assert told["Status"] == "FAILED"
    assert "no configuration to run on" in told["Reason"]


class Ssm:
    """An Automation, and a function that is called."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.invoked: list[dict[str, Any]] = []
        self.started = 0

    def start_automation_execution(self, **_: str) -> dict[str, str]:
        self.started += 1
        return {"AutomationExecutionId": "e-1"}

    def get_automation_execution(self, **_: str) -> dict[str, Any]:
        return {
            "AutomationExecution": {"AutomationExecutionStatus": self.status, "FailureMessage": "nats-2 stays away"}
        }

    def invoke(self, **arguments: Any) -> None:
        self.invoked.append(arguments)


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Ssm:
    ssm = Ssm("Success")
    client = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: ssm if name in {"ssm", "lambda"} else client(name))
    return ssm


def test_a_roll_that_has_ended_well_is_answered(stack: Stack, cluster: FakeNodes, ssm: Ssm) -> None:
    configure(stack, "Create", "orders")

    told = roll(stack, "Update")

    assert told is not None
    assert told["Status"] == "SUCCESS"
    assert ssm.started == 1
    assert commands(cluster)[-1] == "streams"


def test_a_roll_that_is_not_over_is_handed_to_another_run_which_answers(
    stack: Stack, cluster: FakeNodes, ssm: Ssm
) -> None:
    del cluster
    configure(stack, "Create", "orders")
    ssm.status = "InProgress"

    assert roll(stack, "Update", context=Context(seconds=100)) is None

    (invoked,) = ssm.invoked
    assert (invoked["FunctionName"], invoked["InvocationType"]) == ("gaming-system-test-nats", "Event")
    ssm.status = "Success"
    before = len(stack.answers)
    assert nats_cluster.handler(json.loads(invoked["Payload"]), Context()) is None
    assert [answer["Status"] for answer in stack.answers[before:]] == ["SUCCESS"]
    assert ssm.started == 1


@pytest.mark.parametrize(("back", "status"), [(False, "FAILED"), (True, "SUCCESS")])
def test_a_roll_that_stops_fails_the_stack_but_not_its_way_back(
    stack: Stack, cluster: FakeNodes, ssm: Ssm, *, back: bool, status: str
) -> None:
    del cluster
    configure(stack, "Create", "orders")
    ssm.status = "Failed"

    told = roll(stack, "Update", back=back)

    assert told is not None
    assert told["Status"] == status
    assert back or "nats-2 stays away" in told["Reason"]


def test_a_backup_is_made_by_a_node_that_is_well(stack: Stack, cluster: FakeNodes) -> None:
    del stack
    cluster.machines["nats-1"].healthy = False

    told = nats_cluster.handler({"task": "backup"}, None)

    assert told == {"backup": "20260729T100000Z", "streams": 2, "bytes": 10}
    assert cluster.commands[-1] == ("nats-2", "backup")


def test_a_cluster_that_has_a_leader_is_backed_up_even_where_every_node_calls_itself_ill(cluster: FakeNodes) -> None:
    for machine in cluster.machines.values():
        machine.healthy = False
    cluster.machines["nats-1"].answers = False

    assert nats_cluster.handler({"task": "backup"}, None) is not None
    assert cluster.commands[-1] == ("nats-2", "backup")


def test_a_backup_that_nobody_makes_is_an_error(stack: Stack, cluster: FakeNodes) -> None:
    del stack
    cluster.leader = ""
    for machine in cluster.machines.values():
        machine.healthy = False

    with pytest.raises(NodeError, match="no node is well"):
        nats_cluster.handler({"task": "backup"}, None)


def test_a_backup_that_is_refused_is_an_error_that_says_why(cluster: FakeNodes) -> None:
    cluster.refusals["nats-1", "backup"] = "AccessDenied"

    with pytest.raises(NodeError, match=r"i-nats-1-1 did not back up: .*AccessDenied"):
        nats_cluster.handler({"task": "backup"}, None)


# Retirement


class Ecs:
    """Tasks by state, each with the contract that its container was told."""

    def __init__(self, *tasks: tuple[str, str, dict[str, Any]]) -> None:
        self.tasks = tasks

    def get_paginator(self, operation: str) -> Ecs:
        assert operation == "list_tasks"
        return self

    def paginate(self, *, cluster: str, desiredStatus: str, PaginationConfig: Any) -> list[dict[str, Any]]:  # noqa: N803
        assert cluster == CLUSTER
        del PaginationConfig
        wanted = [n for n, task in enumerate(self.tasks) if (task[1] == "RUNNING") == (desiredStatus == "RUNNING")]
        return [{"taskArns": [f"task/{number}" for number in wanted]}]

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert cluster == CLUSTER
        numbers = [int(task.partition("/")[2]) for task in tasks]
        return {"tasks": [{"taskDefinitionArn": f"d/{n}", "lastStatus": self.tasks[n][1]} for n in numbers]}

    def describe_task_definition(self, *, taskDefinition: str) -> dict[str, Any]:  # noqa: N803
        service, _, contract = self.tasks[int(taskDefinition.partition("/")[2])]
        variables = {"SERVICE_NAME": service, "SERVICE_CONTRACT": json.dumps(contract)} if service else {}
        environment = [{"name": name, "value": value} for name, value in variables.items()]
        return {"taskDefinition": {"containerDefinitions": [{"name": "c", "environment": environment}]}}


class Stacks:
    """Stacks that change just now."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def get_paginator(self, operation: str) -> Stacks:
        assert operation == "list_stacks"
        return self

    def paginate(self, *, StackStatusFilter: list[str]) -> list[dict[str, Any]]:  # noqa: N803
        assert all(status.endswith("IN_PROGRESS") for status in StackStatusFilter)
        return [{"StackSummaries": [{"StackName": name} for name in self.names]}]


def with_usage(monkeypatch: pytest.MonkeyPatch, ecs: Ecs, *stacks: str) -> None:
    client = boto3.client
    found: dict[str, Any] = {"ecs": ecs, "cloudformation": Stacks(*stacks)}
    monkeypatch.setattr(boto3, "client", lambda name: found.get(name) or client(name))


ORDERS = {"serves": {"orders.get": SERVED}}
PAYMENTS = {"serves": {"payments.get": SERVED}}


@pytest.mark.parametrize("state", ["RUNNING", "DEACTIVATING"])
def test_a_removed_service_goes_only_when_its_last_task_has_ended(
    stack: Stack, cluster: FakeNodes, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    configure(stack, "Create", "orders", "payments")
    configure(stack, "Update", "orders")

    with_usage(monkeypatch, Ecs(("payments", state, PAYMENTS)))
    kept = nats_cluster.handler({"task": "retire"}, None)
    with_usage(monkeypatch, Ecs(("payments", "STOPPED", PAYMENTS)))
    gone = nats_cluster.handler({"task": "retire"}, None)

    assert kept is not None
    assert gone is not None
    assert kept["retired"] == []
    assert (gone["retired"], gone["changed"]) == (["payments.svc.example.internal"], True)
    assert "payments.svc" not in cluster.machines["nats-1"].configuration


def test_a_narrowed_service_loses_what_no_running_task_was_told(
    stack: Stack, cluster: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"serves": {"orders.get": SERVED, "orders.put": SERVED}}
    configure(stack, "Create", "orders")
    state = State(S3Store(BUCKET))
    request = a_request("orders")
    wider = service_user(request, "orders", wide)
    others = [user for user in wanted_users(request) if not user.identity.startswith("orders")]
    state.put_cluster(state.cluster(), request, sorted([wider, *others], key=lambda user: user.identity))

    with_usage(monkeypatch, Ecs(("orders", "RUNNING", wide), ("orders", "RUNNING", ORDERS)))
    nats_cluster.handler({"task": "retire"}, None)
    assert "orders.put q" in cluster.machines["nats-3"].configuration

    with_usage(monkeypatch, Ecs(("orders", "STOPPED", wide), ("orders", "RUNNING", ORDERS)))
    nats_cluster.handler({"task": "retire"}, None)
    assert "orders.put q" not in cluster.machines["nats-3"].configuration


def test_while_a_deployment_is_under_way_nothing_is_retired(
    stack: Stack, cluster: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stack goes back to may run on no task just now."""
    configure(stack, "Create", "orders", "payments")
    configure(stack, "Update", "orders")
    cluster.commands.clear()

    with_usage(monkeypatch, Ecs(), "gaming-system-test-services-game", "somebody-elses")
    told = nats_cluster.handler({"task": "retire"}, None)

    assert told == {"changed": False, "reason": "a deployment is under way: gaming-system-test-services-game"}
    assert cluster.commands == []


def test_before_the_first_deployment_there_is_nothing_to_retire(stack: Stack, cluster: FakeNodes) -> None:
    del stack, cluster

    assert nats_cluster.handler({"task": "retire"}, None) == {
        "changed": False,
        "reason": "no deployment has asked for a cluster yet",
    }


def test_tasks_that_are_none_of_the_catalogs_change_nothing() -> None:
    usage = Usage(CLUSTER, "gaming-system-test-", Ecs(("", "RUNNING", {}), ("orders", "RUNNING", ORDERS)), Stacks())

    assert usage.contracts() == [("orders", ORDERS)]


def test_a_service_that_is_asked_for_keeps_its_user_without_any_task() -> None:
    request: ClusterRequest = a_request("orders", "payments")

    assert nats_cluster.users_in_use(request, []) == wanted_users(request)


def test_whom_a_removed_service_asks_may_answer_it_while_its_last_task_runs() -> None:
    request = a_request("orders")
    leaving: dict[str, Any] = {**PAYMENTS, "calls": ["orders.get"]}

    def users(*running: tuple[str, dict[str, Any]]) -> dict[str, User]:
        found = nats_cluster.users_in_use(request, list(running))
        return {user.identity.partition(".")[0]: user for user in found}

    before, after = users(("payments", leaving)), users()

    assert "_INBOX.payments.>" in before["orders"].publish
    assert "_INBOX.payments.>" not in after["orders"].publish
    assert {name for name in before if before[name] != after.get(name)} <= {"orders", "payments", "loadtest"}


def test_the_nodes_are_those_of_the_environment(stack: Stack, cluster: FakeNodes) -> None:
    del stack, cluster
    nodes = nats_cluster._nodes()  # noqa: SLF001

    assert isinstance(nodes, Nodes)
    assert (nodes.environment, nodes.document_prefix) == ("test", PREFIX)


# What an operator asks for


def test_the_status_says_what_is_wanted_and_what_each_node_says(stack: Stack, cluster: FakeNodes) -> None:
    configure(stack, "Create", "orders")
    cluster.machines["nats-2"].answers = False

    told = nats_cluster.handler({"task": "status"}, None)

    assert told is not None
    assert told["wanted"]["version"] == 1
    assert told["nodes"]["nats-1"]["status"]["healthz"] == "ok"
    assert told["nodes"]["nats-2"] == {"machine": "i-nats-2-1", "status": None, "detail": "DeliveryTimedOut"}


def test_a_restore_is_done_by_a_node_that_is_well_as_it_is_asked_for(cluster: FakeNodes) -> None:
    wanted = {"backup": "latest", "streams": ["ORDERS"], "overwrite": False}

    told = nats_cluster.handler({"task": "restore", **wanted}, None)

    assert told == {"backup": "20260729T100000Z", "restored": ["ORDERS"]}
    assert cluster.requests[-1] == wanted


def test_a_restore_that_is_refused_says_why(cluster: FakeNodes) -> None:
    cluster.refusals["nats-1", "restore"] = "ORDERS holds 12 messages"

    with pytest.raises(NodeError, match="ORDERS holds 12 messages"):
        nats_cluster.handler({"task": "restore", "backup": "latest", "streams": [], "overwrite": False}, None)


def test_data_is_lost_only_by_a_stream_that_is_named(stack: Stack, cluster: FakeNodes) -> None:
    configure(stack, "Create", "orders")

    nats_cluster.handler({"task": "streams", "allow_data_loss": ["ORDERS"], "dry_run": True}, None)

    assert (cluster.requests[-1]["allow_data_loss"], cluster.requests[-1]["dry_run"]) == (["ORDERS"], True)


@pytest.mark.parametrize("task", ["backup", "streams", "status", "restore"])
def test_where_no_node_answers_each_task_says_so_and_asks_nobody(
    cluster: FakeNodes, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setenv("WAIT_FOR_NODES", "false")

    told = nats_cluster.handler({"task": task, "backup": "latest", "streams": [], "overwrite": False}, None)

    assert told is not None
    assert told["reason"] == SILENT
    assert cluster.commands == []
