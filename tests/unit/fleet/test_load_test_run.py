"""How a run is conducted: the word to begin comes when all are ready, and whatever goes wrong ends it with its reason."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from catalog import names
from catalog.environment import Objectives
from fleet.account import Account
from fleet.errors import InputError, WantingError
from fleet.load_test.command import prepare
from fleet.load_test.ecs_workers import EcsWorkers
from fleet.load_test.local_workers import LocalWorkers
from fleet.load_test.run import Timing, run_plan
from fleet.load_test.store import Store
from fleet.load_test.task import WorkerPlace, WorkerTask, check_image, worker_place, worker_task
from fleet.load_test.verdict import unknown_services
from fleet.local.server import RunningServer
from load_test.measurements import Measurements
from load_test.plan import Plan, Stage, Target
from tests.unit.fleet.quiet import Notes
from tests.unit.fleet.right_account import catalog, environment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TARGET = Target("quest-system-nats", "quest.get", "", "", 2.0, 1.0, ({},))
PLAN = Plan(
    run="20260102T030405Z-abcdef",
    environment="test",
    catalog_digest="",
    seed=1,
    workers=2,
    stages=(Stage("rate", 10, 10, 10),),
    targets=(TARGET,),
    max_in_flight=10,
)
PREFIX = "load-tests/runs/20260102T030405Z-abcdef/"


class Bucket:
    """What a store is, with the objects in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.order: list[str] = []

    def read(self, key: str) -> Any:
        return self.objects.get(key)

    def write(self, key: str, value: Any) -> datetime:
        self.objects[key] = value
        self.order.append(key.removeprefix(PREFIX))
        return NOW


def measured(answered: int) -> dict[str, Any]:
    made = Measurements(1.0)
    record = made.subject("quest.get")
    record.due = record.answered = answered
    return made.to_plain()


class Scene:
    """Workers that do at each look what the test says, and the time that passes by it."""

    ready_seconds = 30.0
    lead_seconds = 5.0

    def __init__(self, *acts: dict[str, Any], ends: dict[int, dict[int, str]] | None = None) -> None:
        self.bucket = Bucket()
        self.time = 0.0
        self.was_stopped = False
        self._acts = list(acts)
        self._ends = ends or {}
        self._looks = 0

    def start(self, plan: Plan) -> None:
        assert self.bucket.objects[f"{PREFIX}plan.json"] == plan.to_plain()

    def ended(self) -> dict[int, str]:
        return self._ends.get(self._looks, {})

    def stop(self) -> None:
        self.was_stopped = True

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self._looks += 1
        if self._acts:
            for name, value in self._acts.pop(0).items():
                self.bucket.objects[f"{PREFIX}{name}"] = value

    def play(self) -> tuple[Any, Notes]:
        notes = Notes()
        timing = Timing(lambda: self.time, self.sleep)
        return run_plan(PLAN, cast("Store", self.bucket), self, notes, timing), notes


READY: list[dict[str, Any]] = [{"ready-000.json": {}}, {"ready-001.json": {}}]
TOLD = {f"progress-{number:03}.json": {"due": 20, "answered": 18, "errors": 1, "in_flight": 1} for number in range(2)}
RESULTS = {"result-000.json": measured(50), "result-001.json": measured(49)}


def test_the_word_to_begin_comes_when_all_are_ready_and_names_a_moment_by_the_buckets_own_clock() -> None:
    scene = Scene(*READY, {}, RESULTS)

    ran, _ = scene.play()

    assert scene.bucket.order == ["plan.json", "all-ready.json", "start.json"]
    assert scene.bucket.objects[f"{PREFIX}start.json"] == {"at": NOW.timestamp() + 5}
    assert ran.measured.subjects["quest.get"].answered == 99
    assert scene.was_stopped


def test_progress_is_told_for_all_workers_together() -> None:
    scene = Scene(*READY, TOLD, {}, {}, {}, {}, RESULTS)

    _, notes = scene.play()

    assert "40 requests due, 36 answered, 2 failed, 2 under way" in notes.notes


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (Scene({"result-001.json": {"error": "chain.pem cannot be read"}}), "worker 1: chain.pem cannot be read"),
        (Scene(*READY, {"result-000.json": {"error": "NATS is gone"}}), "worker 0: NATS is gone"),
        (Scene({}, ends={1: {1: "OutOfMemory"}}), "worker 1 ended without a word: OutOfMemory"),
        (Scene(READY[0]), r"no ready from worker 1 within 30 s"),
        (Scene(*READY), r"no result from workers 0, 1 within 77 s"),
    ],
)
def test_a_worker_that_fails_ends_the_run_for_all(scene: Scene, told: str) -> None:
    with pytest.raises(WantingError, match=told):
        scene.play()

    assert scene.was_stopped
    assert f"{PREFIX}stop.json" in scene.bucket.objects


class Ecs:
    """ECS as far as it starts and ends tasks."""

    def __init__(self, *, failures: list[dict[str, str]] | None = None, refuses: str = "") -> None:
        self.ran: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self._failures = failures or []
        self._refuses = refuses

    def run_task(self, **request: Any) -> dict[str, Any]:
        if self._refuses:
            raise ClientError({"Error": {"Code": self._refuses, "Message": "no"}}, "RunTask")
        self.ran.append(request)
        arn = f"arn:task/{len(self.ran)}"
        self.tasks[arn] = {"taskArn": arn, "lastStatus": "PROVISIONING"}
        return {"tasks": [] if self._failures else [self.tasks[arn]], "failures": self._failures}

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert cluster == "gaming-system-test"
        found = [self.tasks[arn] for arn in tasks if arn in self.tasks]
        return {"tasks": found, "failures": [{"arn": a, "reason": "MISSING"} for a in tasks if a not in self.tasks]}

    def stop_task(self, *, cluster: str, task: str, reason: str) -> None:
        assert cluster
        assert reason
        self.stopped.append(task)


class AccountWith:
    """An account of which only some clients are looked at."""

    def __init__(self, **clients: Any) -> None:
        self.__dict__.update(clients)


def workers(ecs: Ecs) -> EcsWorkers:
    account = cast("Account", AccountWith(ecs=ecs))
    task = WorkerTask("arn:definition", "gaming-system-test/reference-service", {"imageTag": "1"}, {})
    return EcsWorkers(account, "test", task, WorkerPlace(("subnet-1", "subnet-2"), "sg-1"))


def test_a_worker_is_a_task_in_the_private_subnets_with_no_address_of_its_own() -> None:
    ecs = Ecs()

    workers(ecs).start(PLAN)

    assert len(ecs.ran) == 2
    second = ecs.ran[1]
    assert second["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "DISABLED",
    }
    assert (second["cluster"], second["taskDefinition"]) == ("gaming-system-test", "arn:definition")
    assert second["overrides"]["containerOverrides"] == [
        {
            "name": "loadtest",
            "environment": [
                {"name": "LOAD_TEST_PREFIX", "value": PREFIX},
                {"name": "LOAD_TEST_WORKER", "value": "1"},
            ],
        }
    ]
    assert len({each["clientToken"] for each in ecs.ran}) == 2
    assert all(len(each["startedBy"]) <= 36 and len(each["clientToken"]) <= 64 for each in ecs.ran)


def test_ended_tasks_are_told_with_what_ecs_says_and_only_the_others_are_stopped() -> None:
    ecs = Ecs()
    made = workers(ecs)
    made.start(PLAN)
    ecs.tasks["arn:task/1"] |= {
        "lastStatus": "STOPPED",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"exitCode": 137, "reason": "OutOfMemoryError"}],
    }

    assert made.ended() == {0: "Essential container in task exited; OutOfMemoryError; exit code 137"}
    made.stop()
    assert ecs.stopped == ["arn:task/2"]


def test_no_room_for_a_worker_is_told_as_ecs_tells_it() -> None:
    with pytest.raises(WantingError, match="ECS could not start worker 0: RESOURCE:FARGATE"):
        workers(Ecs(failures=[{"reason": "RESOURCE:FARGATE"}])).start(PLAN)


def test_credentials_that_may_not_start_workers_are_told_what_they_lack() -> None:
    with pytest.raises(InputError, match="iam:PassRole"):
        workers(Ecs(refuses="AccessDeniedException")).start(PLAN)


def definition(image: str) -> dict[str, Any]:
    variables = [{"name": "FLEET_ENVIRONMENT", "value": "test"}]
    return {
        "taskDefinition": {
            "taskDefinitionArn": "arn:definition:7",
            "containerDefinitions": [{"image": image, "environment": variables}],
        }
    }


class Definitions:
    """ECS as far as it tells of task definitions."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self._answer = answer

    def describe_task_definition(self, *, taskDefinition: str) -> dict[str, Any]:  # noqa: N803  # as boto3 takes it
        assert taskDefinition == "gaming-system-test-loadtest"
        if self._answer is None:
            told = "Unable to describe task definition."
            raise ClientError({"Error": {"Code": "ClientException", "Message": told}}, "DescribeTaskDefinition")
        return self._answer


REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("version", "image_id"),
    [(":0.1.0", {"imageTag": "0.1.0"}), (f"@sha256:{'ab' * 32}", {"imageDigest": f"sha256:{'ab' * 32}"})],
)
def test_the_task_definition_says_what_a_worker_is(version: str, image_id: dict[str, str]) -> None:
    ecs = Definitions(definition(f"{REGISTRY}/gaming-system-test/reference-service{version}"))

    found = worker_task(cast("Account", AccountWith(ecs=ecs)), environment())

    assert found == WorkerTask(
        "arn:definition:7", "gaming-system-test/reference-service", image_id, {"FLEET_ENVIRONMENT": "test"}
    )


def test_an_environment_without_the_task_definition_says_how_it_comes() -> None:
    with pytest.raises(InputError, match=r"no task definition gaming-system-test-loadtest.*\n.*make deploy ENV=test"):
        worker_task(cast("Account", AccountWith(ecs=Definitions(None))), environment())


class Stacks:
    """CloudFormation as far as it tells outputs."""

    def __init__(self, *outputs: tuple[str, str]) -> None:
        self._outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs]

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803  # as boto3 takes it
        assert StackName == "gaming-system-test-network"
        return {"Stacks": [{"Outputs": self._outputs}]}


def test_the_network_says_where_workers_run() -> None:
    stacks = Stacks((names.LOAD_TEST_SUBNETS, "subnet-1,subnet-2"), (names.LOAD_TEST_SECURITY_GROUP, "sg-1"))

    found = worker_place(cast("Account", AccountWith(cloudformation=stacks)), environment())

    assert found == WorkerPlace(("subnet-1", "subnet-2"), "sg-1")


def test_a_network_that_was_deployed_before_load_tests_says_what_to_do() -> None:
    with pytest.raises(InputError, match="does not say where workers run"):
        worker_place(cast("Account", AccountWith(cloudformation=Stacks(("Other", "x")))), environment())


class Images:
    """ECR with one image, or none."""

    def __init__(self, *images: str) -> None:
        self._images = images

    def batch_get_image(self, **_: Any) -> dict[str, Any]:
        return {"images": list(self._images)}


def test_an_image_that_is_not_there_is_told_before_anything_starts() -> None:
    task = WorkerTask("arn", "gaming-system-test/reference-service", {"imageTag": "0.1.0"}, {})

    check_image(cast("Account", AccountWith(ecr=Images("one"))), environment(), task)
    with pytest.raises(InputError, match=r"reference-service, 0\.1\.0, is not there\n  push it: fleet images push"):
        check_image(cast("Account", AccountWith(ecr=Images())), environment(), task)


def test_objectives_of_a_service_that_is_not_there_are_found() -> None:
    objectives = Objectives.model_validate({"services": {"quest-nats": {}, "auth-nats": {}}})

    assert unknown_services(objectives, {"auth-nats": 1}) == ["quest-nats"]


class Bucketless:
    """S3 with buckets of some names."""

    def __init__(self, *buckets: str) -> None:
        self._buckets = buckets

    def head_bucket(self, *, Bucket: str) -> None:  # noqa: N803  # as boto3 takes it
        if Bucket not in self._buckets:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadBucket")


BUCKET = "gaming-system-test-nats-123456789012-us-east-1"


def account_of(server: RunningServer | None, *buckets: str) -> Account:
    image = f"{REGISTRY}/gaming-system-test/reference-service:0.1.0"
    stacks = Stacks((names.LOAD_TEST_SUBNETS, "subnet-1"), (names.LOAD_TEST_SECURITY_GROUP, "sg-1"))
    clients = {"ecs": Definitions(definition(image)), "ecr": Images("one"), "cloudformation": stacks}
    told = {"account_id": "123456789012", "region": "us-east-1", "server": server, "s3": Bucketless(*buckets)}
    return cast("Account", AccountWith(**clients, **told))


def test_an_environment_that_is_not_deployed_says_how_it_comes() -> None:
    with pytest.raises(InputError, match=f"test has no bucket {BUCKET}\n  deploy it: make deploy ENV=test"):
        prepare(account_of(None), environment(), catalog(), PLAN)


def test_objectives_of_a_service_that_is_not_there_are_told_before_anything_else() -> None:
    objectives = Objectives.model_validate({"services": {"state-manager-nat": {}}})

    with pytest.raises(
        InputError, match=r"environments/test\.yaml: objectives\.services: .*did you mean 'state-manager"
    ):
        prepare(account_of(None), environment(objectives=objectives), catalog(), PLAN)


def test_in_aws_workers_are_tasks() -> None:
    assert isinstance(prepare(account_of(None, BUCKET), environment(), catalog(), PLAN).workers, EcsWorkers)


def test_on_this_machine_a_worker_is_a_process_that_is_told_what_the_task_is_but_for_places(tmp_path: Path) -> None:
    server = RunningServer("http://127.0.0.1:4566", "us-east-1", "123456789012", 1)

    made = prepare(account_of(server, BUCKET), environment(), catalog(), PLAN, ["tls://localhost:4222"]).workers

    assert isinstance(made, LocalWorkers)
    wanted = {
        "FLEET_ENVIRONMENT": "test",
        "NATS_SERVERS": "tls://localhost:4222",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    }
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    showing = LocalWorkers(made.variables, tmp_path, [sys.executable, "-c", code])
    showing.start(PLAN)
    deadline = time.monotonic() + 30
    while len(showing.ended()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    told = json.loads((tmp_path / "worker-001.log").read_text())
    assert told.items() >= {**wanted, "LOAD_TEST_PREFIX": PREFIX, "LOAD_TEST_WORKER": "1"}.items()
    assert showing.ended()[0].startswith("exit code 0: {")
