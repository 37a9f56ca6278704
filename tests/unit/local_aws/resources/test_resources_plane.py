"""What Systems Manager, ElastiCache and functions do where a data plane is registered, and where none is."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws import data_plane
from local_aws.functions.surroundings import in_these_surroundings
from local_aws.resources.moto_repairs.ssm import DocumentNotCarriedError, script_of
from tests.unit.local_aws.resources.world import World

DEADLINE_SECONDS = 20
PASSWORD = "sixteen-characters"
DOCUMENT = {
    "schemaVersion": "2.2",
    "parameters": {"Request": {"type": "String", "allowedPattern": "^[A-Za-z0-9+/]+={0,2}$"}},
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "Say",
            "inputs": {"timeoutSeconds": "20", "runCommand": ["echo {{ Request }}", "echo {{ other }}"]},
        }
    ],
}


@dataclass
class FakePlane:
    """A plane that answers as a test says, and keeps what it was asked."""

    answers: dict[str, Any] = field(default_factory=lambda: {"cache-users": {}})
    asked: list[tuple[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def beat(self, **more: Any) -> None:
        self.told |= more
        data_plane.tell(self.told)

    def of(self, name: str) -> list[Any]:
        return [asked for by, asked in self.asked if by == name]


@pytest.fixture
def plane() -> Iterator[FakePlane]:
    """Have a plane that is registered; none is afterwards."""
    made = FakePlane()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = self.path.removeprefix("/")
            made.asked.append((name, body))
            known = name in made.answers
            told = json.dumps(made.answers[name] if known else {"error": "no such thing"}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        made.beat(control=f"http://127.0.0.1:{server.server_port}", token=f"token-{server.server_port}")
        yield made
        data_plane.tell({})
        server.shutdown()


def ended(world: World, known_as: str) -> dict[str, Any]:
    """Return how a command ended, once it has."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        told: dict[str, Any] = world.client("ssm").get_command_invocation(CommandId=known_as, InstanceId=world.instance)
        if told["Status"] != "InProgress":
            return told
        time.sleep(0.01)
    raise AssertionError("the command never ended")


def send(world: World, request: str = "aGk=") -> str:
    world.make("AWS::SSM::Document", Name="say", DocumentType="Command", Content=DOCUMENT)
    sent = world.client("ssm").send_command(
        InstanceIds=[world.instance], DocumentName="say", Parameters={"Request": [request]}, TimeoutSeconds=30
    )
    return str(sent["Command"]["CommandId"])


def test_the_plane_runs_a_documents_own_script_and_says_how_it_ended(world: World, plane: FakePlane) -> None:
    plane.answers["run-command"] = {"status": "Success", "code": 0, "output": "aGk=\n", "errors": ""}
    told = ended(world, send(world))
    assert (told["Status"], told["StandardOutputContent"]) == ("Success", "aGk=\n")
    assert plane.of("run-command") == [
        {
            "instance": world.instance,
            "script": "echo aGk=\necho {{ other }}",
            "timeout_seconds": 20.0,
            "delivery_seconds": 30.0,
        }
    ]


@pytest.mark.parametrize(
    ("said", "status", "details"),
    [
        ("Failed", "Failed", "Failed"),
        ("TimedOut", "TimedOut", "ExecutionTimedOut"),
        ("DeliveryTimedOut", "TimedOut", "DeliveryTimedOut"),
    ],
)
def test_a_command_ends_as_it_did_on_the_machine(
    world: World, plane: FakePlane, said: str, status: str, details: str
) -> None:
    plane.answers["run-command"] = {"status": said, "code": 1, "output": "", "errors": "FAILED: no"}
    told = ended(world, send(world))
    assert (told["Status"], told["StatusDetails"]) == (status, details)
    assert (told["StandardErrorContent"] == "FAILED: no") is (said != "DeliveryTimedOut")


def test_a_plane_that_breaks_off_fails_the_command(world: World, plane: FakePlane) -> None:
    told = ended(world, send(world))
    assert (told["Status"], told["StandardErrorContent"]) == ("Failed", "no such thing")
    assert plane.of("run-command")


def test_a_document_that_does_not_exist_is_refused(world: World, plane: FakePlane) -> None:
    with pytest.raises(ClientError, match="InvalidDocument"):
        world.client("ssm").send_command(InstanceIds=[world.instance], DocumentName="none")
    assert not plane.of("run-command")


@pytest.mark.parametrize("request_", ["$(reboot)", ""])
def test_a_parameter_that_its_pattern_does_not_allow_reaches_no_shell(request_: str) -> None:
    with pytest.raises(DocumentNotCarriedError, match="the parameter Request"):
        script_of(DOCUMENT, {"Request": [request_]})


def test_a_step_that_is_no_shell_is_refused_by_its_name() -> None:
    step = {"action": "aws:runPowerShellScript", "inputs": {"runCommand": ["dir"]}}
    with pytest.raises(DocumentNotCarriedError, match="aws:runPowerShellScript is not carried"):
        script_of({"mainSteps": [step]}, {})


def test_machines_that_run_are_online_and_others_are_unknown(world: World, plane: FakePlane) -> None:
    def online(*wanted: str) -> list[str]:
        filters = [{"Key": "InstanceIds", "Values": list(wanted)}] if wanted else []
        told = world.client("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
        return [one["InstanceId"] for one in told if one["PingStatus"] == "Online"]

    plane.beat(machines={"i-1": "nats-1", "i-2": "nats-2"})
    assert online() == ["i-1", "i-2"]
    assert online("i-2", "i-3") == ["i-2"]
    data_plane.tell({})
    assert online() == []


def test_the_cache_is_told_of_its_users_with_the_answer_of_the_call_that_changed_them(
    world: World, plane: FakePlane
) -> None:
    plane.beat(cache={"endpoint": "localhost:1"})
    elasticache = world.client("elasticache")
    user = {"UserId": "shop", "UserName": "shop", "Engine": "valkey", "AccessString": "on ~shop:* +@all"}
    elasticache.create_user(**user, Passwords=[PASSWORD])
    elasticache.create_user_group(UserGroupId="fleet", Engine="valkey", UserIds=["shop"])
    assert plane.of("cache-users")[-1] == {"users": []}  # no cache has this group yet
    elasticache.create_replication_group(
        ReplicationGroupId="fleet", ReplicationGroupDescription="d", Engine="valkey", UserGroupIds=["fleet"]
    )
    checksum = hashlib.sha256(PASSWORD.encode()).hexdigest()
    told = {"name": "shop", "access": "on ~shop:* +@all", "passwords": [checksum]}
    assert plane.of("cache-users")[-1] == {"users": [told]}
    count = len(plane.of("cache-users"))
    elasticache.describe_users()
    plane.beat()
    assert len(plane.of("cache-users")) == count
    elasticache.modify_user(UserId="shop", AccessString="on ~shop:* -@all")
    assert plane.of("cache-users")[-1]["users"][0]["access"] == "on ~shop:* -@all"


def test_the_node_that_leads_is_the_one_that_the_plane_says(world: World, plane: FakePlane) -> None:
    elasticache = world.client("elasticache")
    elasticache.create_replication_group(
        ReplicationGroupId="fleet", ReplicationGroupDescription="d", Engine="valkey", NumCacheClusters=2
    )

    def roles() -> list[str]:
        (group,) = elasticache.describe_replication_groups()["ReplicationGroups"]
        return [node["CurrentRole"] for node in group["NodeGroups"][0]["NodeGroupMembers"]]

    assert roles() == ["primary", "replica"]
    plane.beat(cache={"endpoint": "localhost:1", "primary": 1})
    assert roles() == ["replica", "primary"]


def test_a_plane_that_comes_later_is_told_with_its_first_beat(world: World, plane: FakePlane) -> None:
    assert world
    assert not plane.of("cache-users")
    plane.beat(cache={"endpoint": "localhost:1"})
    assert plane.of("cache-users") == [{"users": []}]


VARIABLES = {"WAIT_FOR_NODES": "true", "PROBE_FUNCTION": "probe", "CACHE_ENDPOINT": "master.cache:6379"}


def test_without_a_plane_a_function_waits_for_nobody_and_tries_no_password() -> None:
    assert in_these_surroundings(VARIABLES) == {"WAIT_FOR_NODES": "false", "CACHE_ENDPOINT": "master.cache:6379"}
    assert in_these_surroundings({}) == {}


def test_with_a_plane_a_function_is_told_where_things_are(plane: FakePlane) -> None:
    plane.beat(function_variables={"CACHE_ENDPOINT": "localhost:1"}, cache={"endpoint": "localhost:1"})
    assert in_these_surroundings(VARIABLES) == {**VARIABLES, "CACHE_ENDPOINT": "localhost:1"}


def test_with_a_plane_without_a_cache_a_function_tries_no_password(plane: FakePlane) -> None:
    assert "PROBE_FUNCTION" not in in_these_surroundings(VARIABLES)
    assert plane.told


# Automations


SCRIPT = """
import boto3

def look(events, context):
    if events["Bad"] == "true":
        raise RuntimeError("it is bad")
    own = boto3.client("ssm").get_automation_execution(AutomationExecutionId=events["Own"])["AutomationExecution"]
    return {"Name": own["DocumentName"]}
"""
AUTOMATION = {
    "schemaVersion": "0.3",
    "parameters": {"Bad": {"type": "String", "default": "false"}},
    "mainSteps": [
        {
            "name": "Look",
            "action": "aws:executeScript",
            "inputs": {
                "Runtime": "python3.11",
                "Handler": "look",
                "InputPayload": {"Own": "{{ automation:EXECUTION_ID }}", "Bad": "{{ Bad }}"},
                "Script": SCRIPT,
            },
        }
    ],
}


def executed(world: World, **more: Any) -> dict[str, Any]:
    """Return how an execution ended, once it has."""
    ssm = world.client("ssm")
    known_as = ssm.start_automation_execution(DocumentName="roll", **more)["AutomationExecutionId"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        told: dict[str, Any] = ssm.get_automation_execution(AutomationExecutionId=known_as)["AutomationExecution"]
        if told["AutomationExecutionStatus"] != "InProgress":
            return told
        time.sleep(0.02)
    raise AssertionError("the execution never ended")


@pytest.fixture
def automations(world: World) -> World:
    world.make("AWS::SSM::Document", Name="roll", DocumentType="Automation", Content=AUTOMATION)
    return world


def test_an_automation_runs_its_script_against_this_very_aws(automations: World) -> None:
    told = executed(automations)
    assert (told["AutomationExecutionStatus"], told.get("FailureMessage")) == ("Success", None)
    assert [(step["StepName"], step["StepStatus"]) for step in told["StepExecutions"]] == [("Look", "Success")]


def test_an_automation_fails_with_its_scripts_own_words_and_is_listed(automations: World) -> None:
    told = executed(automations, Parameters={"Bad": ["true"]})
    assert (told["AutomationExecutionStatus"], told["FailureMessage"]) == ("Failed", "it is bad")
    listed = automations.client("ssm").describe_automation_executions(
        Filters=[{"Key": "DocumentNamePrefix", "Values": ["ro"]}, {"Key": "ExecutionStatus", "Values": ["Failed"]}]
    )["AutomationExecutionMetadataList"]
    assert [one["AutomationExecutionId"] for one in listed] == [told["AutomationExecutionId"]]


def test_the_same_token_starts_an_automation_only_once(automations: World) -> None:
    token = "00000000-0000-0000-0000-000000000001"
    first, second = executed(automations, ClientToken=token), executed(automations, ClientToken=token)
    assert first["AutomationExecutionId"] == second["AutomationExecutionId"]


def test_what_is_no_automation_is_refused(world: World) -> None:
    world.make("AWS::SSM::Document", Name="say", DocumentType="Command", Content=DOCUMENT)
    with pytest.raises(ClientError, match="AutomationDefinitionNotFoundException"):
        world.client("ssm").start_automation_execution(DocumentName="say")
