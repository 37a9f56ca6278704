"""ECS services with a data plane: what its reports make of deployments and tasks, and what stack operations wait for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from local_aws import data_plane
from local_aws.data_plane import DataPlaneError
from local_aws.errors import ResourceFailedError
from local_aws.resources import moto_repairs
from local_aws.resources.contract import Made
from local_aws.rollouts import settling
from tests.unit.local_aws.fakes import REGION, Engine, parameter, statuses, template

CLUSTER = "small"


class Ecs:
    """A local ECS with one service of two tasks, and a plane that tells of it what a test wants."""

    def __init__(self) -> None:
        self.client: Any = boto3.client(
            "ecs", region_name=REGION, aws_access_key_id="local", aws_secret_access_key="local"
        )
        self.client.create_cluster(clusterName=CLUSTER)
        self.versions = [self._register() for _ in range(3)]
        made = self.client.create_service(
            cluster=CLUSTER, serviceName="player", taskDefinition=self.versions[0], desiredCount=2
        )["service"]
        self.arn: str = made["serviceArn"]

    def _register(self) -> str:
        definition = self.client.register_task_definition(
            family="player", containerDefinitions=[{"name": "player", "image": "player:1", "memory": 128}]
        )
        return str(definition["taskDefinition"]["taskDefinitionArn"])

    def service(self) -> dict[str, Any]:
        (found,) = self.client.describe_services(cluster=CLUSTER, services=["player"])["services"]
        service: dict[str, Any] = found
        return service

    def update(self, version: int, **changes: Any) -> str:
        """Update the service, and return its primary deployment."""
        updated = self.client.update_service(
            cluster=CLUSTER, service="player", taskDefinition=self.versions[version], **changes
        )
        return str(updated["service"]["deployments"][0]["id"])

    def tell(self, *states: tuple[str, str, int], rolled_back: tuple[str, str] | None = None, **more: Any) -> None:
        """Tell what a plane sees: deployments with their state and how many tasks run."""
        deployments = [
            {
                "id": name,
                "rolloutState": state,
                "rolloutStateReason": f"{state} it is",
                "failedTasks": 0,
                "runningCount": running,
                "pendingCount": 0,
            }
            for name, state, running in states
        ]
        told = {
            "runningCount": sum(running for _, _, running in states),
            "pendingCount": 0,
            "deployments": deployments,
            "rolledBack": rolled_back,
            "events": [{"id": "e", "createdAt": 1.5, "message": "(service player) has reached a steady state."}],
            "tasks": [],
            **more,
        }
        data_plane.tell({"control": "http://127.0.0.1:1", "token": "t", "services": {self.arn: told}})


@pytest.fixture
def ecs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ecs]:
    moto_repairs.apply()
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    data_plane.tell({})
    with mock_aws():
        yield Ecs()
    data_plane.tell({})


def primary(ecs: Ecs) -> str:
    return str(ecs.service()["deployments"][0]["id"])


def shown(ecs: Ecs) -> list[tuple[str, str, str, int]]:
    return [
        (each["id"], each["status"], each["rolloutState"], each["runningCount"])
        for each in ecs.service()["deployments"]
    ]


def task(ecs: Ecs, name: str, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {
        "taskArn": f"arn:aws:ecs:{REGION}:123456789012:task/{CLUSTER}/{name}",
        "clusterArn": f"arn:aws:ecs:{REGION}:123456789012:cluster/{CLUSTER}",
        "taskDefinitionArn": ecs.versions[0],
        "group": "service:player",
        "startedBy": primary(ecs),
        "lastStatus": status,
        "desiredStatus": "STOPPED" if status == "STOPPED" else "RUNNING",
        "healthStatus": "HEALTHY",
        "launchType": "FARGATE",
        "createdAt": 1.5,
        "containers": [{"name": "player"}],
        **more,
    }


def test_nothing_runs_without_a_plane_and_once_it_is_silent(ecs: Ecs, monkeypatch: pytest.MonkeyPatch) -> None:
    first = primary(ecs)
    assert shown(ecs) == [(first, "PRIMARY", "IN_PROGRESS", 0)]
    ecs.tell((first, "COMPLETED", 2))
    service = ecs.service()
    assert (service["runningCount"], service["pendingCount"]) == (2, 0)
    assert service["deployments"][0]["rolloutStateReason"] == "COMPLETED it is"
    assert service["events"][0]["message"] == "(service player) has reached a steady state."
    (cluster,) = ecs.client.describe_clusters(clusters=[CLUSTER])["clusters"]
    assert cluster["runningTasksCount"] == 2
    monkeypatch.setattr(data_plane, "SILENT_SECONDS", 0)
    assert shown(ecs) == [(first, "PRIMARY", "IN_PROGRESS", 0)]
    assert (ecs.service()["runningCount"], ecs.service()["events"]) == (0, [])


def test_another_version_is_a_deployment_of_its_own_and_the_completed_one_stays_until_it_is_too(ecs: Ecs) -> None:
    first = primary(ecs)
    ecs.tell((first, "COMPLETED", 2))
    second = ecs.update(1)
    assert second != first
    ecs.tell((second, "IN_PROGRESS", 1), (first, "COMPLETED", 2))
    assert shown(ecs) == [(second, "PRIMARY", "IN_PROGRESS", 1), (first, "ACTIVE", "COMPLETED", 2)]
    ecs.tell((second, "COMPLETED", 2))
    assert shown(ecs) == [(second, "PRIMARY", "COMPLETED", 2)]


@pytest.mark.parametrize(
    ("changes", "is_new"), [({}, False), ({"desiredCount": 3}, False), ({"forceNewDeployment": True}, True)]
)
def test_only_another_version_or_force_makes_a_deployment(ecs: Ecs, changes: dict[str, Any], *, is_new: bool) -> None:
    first = primary(ecs)
    assert (ecs.update(0, **changes) != first) is is_new


def test_back_to_a_version_whose_tasks_run_is_that_deployment_again(ecs: Ecs) -> None:
    first = primary(ecs)
    ecs.tell((first, "COMPLETED", 2))
    second = ecs.update(1)
    ecs.tell((second, "IN_PROGRESS", 1), (first, "COMPLETED", 2))
    assert ecs.update(0) == first
    assert shown(ecs)[0][:2] == (first, "PRIMARY")


def test_a_plane_that_rolls_back_makes_the_service_what_it_was(ecs: Ecs) -> None:
    changed: list[str] = []
    data_plane.on_change[:] = [lambda: changed.append("kept")]
    first = primary(ecs)
    ecs.tell((first, "COMPLETED", 2))
    second = ecs.update(1)
    ecs.tell((second, "FAILED", 0), (first, "IN_PROGRESS", 2), rolled_back=(second, first))
    assert ecs.service()["taskDefinition"] == ecs.versions[0]
    assert shown(ecs) == [(first, "PRIMARY", "IN_PROGRESS", 2)]
    assert changed == ["kept", "kept"], "what ECS must know after a restart is saved"


def test_tasks_are_listed_described_and_missed(ecs: Ecs) -> None:
    ecs.tell((primary(ecs), "COMPLETED", 1), tasks=[task(ecs, "one"), task(ecs, "two", "STOPPED", stoppedAt=2.5)])

    def listed(**wanted: Any) -> list[str]:
        return [arn.rpartition("/")[2] for arn in ecs.client.list_tasks(cluster=CLUSTER, **wanted)["taskArns"]]

    assert listed(serviceName="player") == ["one"]
    assert listed(family="player", desiredStatus="STOPPED") == ["two"]
    assert listed(serviceName="another") == []
    found = ecs.client.describe_tasks(cluster=CLUSTER, tasks=["one", "two", "three"])
    assert [(each["lastStatus"], each["healthStatus"]) for each in found["tasks"]] == [
        ("RUNNING", "HEALTHY"),
        ("STOPPED", "HEALTHY"),
    ]
    assert found["failures"] == [{"arn": "three", "reason": "MISSING"}]


def test_stopping_a_task_reaches_the_plane(ecs: Ecs, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def call(_plane: object, name: str, arguments: Any, _seconds: float) -> Any:
        asked.append((name, dict(arguments)))
        if len(asked) > 1:
            raise DataPlaneError("it is gone by now")
        return {}

    monkeypatch.setattr(data_plane.DataPlane, "call", call)
    one = task(ecs, "one")
    ecs.tell((primary(ecs), "COMPLETED", 1), tasks=[one])
    told = ecs.client.stop_task(cluster=CLUSTER, task="one", reason="a drill")["task"]
    assert told["desiredStatus"] == "STOPPED"
    assert asked == [("stop-task", {"task": one["taskArn"], "reason": "a drill"})]
    with pytest.raises(ClientError, match="it is gone by now"):
        ecs.client.stop_task(cluster=CLUSTER, task="one")
    with pytest.raises(ClientError, match="The referenced task was not found"):
        ecs.client.stop_task(cluster=CLUSTER, task="two")


def has_settled(ecs: Ecs) -> Callable[[], bool]:
    settled = settling("AWS::ECS::Service", Made(ecs.arn))
    assert settled is not None
    return settled


def test_a_service_is_waited_for_only_where_a_plane_is_there_to_run_it(ecs: Ecs) -> None:
    assert settling("AWS::ECS::Service", Made(ecs.arn)) is None
    ecs.tell((primary(ecs), "IN_PROGRESS", 0))
    assert settling("AWS::SSM::Parameter", Made("a-name")) is None
    assert settling("AWS::ECS::Service", Made(ecs.arn)) is not None


def test_a_service_has_settled_when_the_version_asked_for_is_all_that_runs(ecs: Ecs) -> None:
    first = primary(ecs)
    ecs.tell((first, "COMPLETED", 2))
    second = ecs.update(1)
    settled = has_settled(ecs)
    assert not settled(), "what was told before is about the version before"
    time.sleep(0.001)
    ecs.tell((second, "IN_PROGRESS", 1), (first, "COMPLETED", 2))
    assert not settled()
    ecs.tell((second, "COMPLETED", 1))
    assert not settled(), "one task of two runs"
    ecs.tell((second, "COMPLETED", 2))
    assert settled()


def test_a_version_that_failed_is_told_in_the_words_of_ecs_with_the_reason_of_its_last_task(ecs: Ecs) -> None:
    first = primary(ecs)
    ecs.tell((first, "COMPLETED", 2))
    second = ecs.update(1)
    settled = has_settled(ecs)
    stopped = [
        task(ecs, "one", "STOPPED", stoppedAt=2.5, stoppedReason="no such secret", startedBy=second),
        task(
            ecs,
            "two",
            "STOPPED",
            stoppedAt=3.5,
            stoppedReason="it ended",
            containers=[{"exitCode": 2}],
            startedBy=second,
        ),
    ]
    ecs.tell((second, "FAILED", 0), (first, "IN_PROGRESS", 2), rolled_back=(second, first), tasks=stopped)
    with pytest.raises(ResourceFailedError, match="ECS Deployment Circuit Breaker was triggered") as failed:
        settled()
    assert str(failed.value).endswith("The task that stopped last: it ended, exit code 2")


def test_a_plane_that_goes_away_meanwhile_fails_the_operation(ecs: Ecs) -> None:
    ecs.tell((primary(ecs), "IN_PROGRESS", 0))
    settled = has_settled(ecs)
    data_plane.tell({})
    with pytest.raises(ResourceFailedError, match="the local data plane went away"):
        settled()


class Slow:
    """Resources that are complete after a few looks, or fail then."""

    def __init__(self, engine: Engine, *, looks: int = 2) -> None:
        self.engine = engine
        self.looks = looks
        self.failing: set[str] = set()
        engine.world.settling = self.settling

    def settling(self, _type: str, made: Made) -> Callable[[], bool]:
        looked = itertools.count(1)

        def look() -> bool:
            done = next(looked) > self.looks
            if done and made.physical_id.partition("-")[0] in self.failing:
                raise ResourceFailedError("it did not start")
            return done

        return look


def test_those_that_do_not_stand_on_each_other_are_waited_for_at_once(engine: Engine) -> None:
    Slow(engine)
    stack = engine.deploy(
        "s",
        template(
            {"A": parameter(), "OnA": parameter({"Ref": "A"}), "B": parameter(), "OnOnA": parameter({"Ref": "OnA"})}
        ),
    )
    assert stack.status == "CREATE_COMPLETE"
    order = [
        (event.logical_id, event.status.removeprefix("CREATE_")) for event in stack.events if event.logical_id != "s"
    ]
    assert order == [
        ("A", "IN_PROGRESS"),
        ("B", "IN_PROGRESS"),
        ("A", "COMPLETE"),
        ("B", "COMPLETE"),
        ("OnA", "IN_PROGRESS"),
        ("OnA", "COMPLETE"),
        ("OnOnA", "IN_PROGRESS"),
        ("OnOnA", "COMPLETE"),
    ]


def test_one_that_does_not_settle_takes_the_others_back_with_it(engine: Engine) -> None:
    slow = Slow(engine)
    before = engine.deploy("s", template({"A": parameter("1"), "B": parameter("1")}))
    assert before.status == "CREATE_COMPLETE"
    slow.failing = {"B"}
    slow.looks = 0
    engine.handler.calls.clear()

    def heal(_name: str) -> None:
        if len(engine.handler.calls) > 2:
            slow.failing = set()

    engine.handler.before_update = heal
    slow.looks = 1
    stack = engine.deploy("s", template({"A": parameter("2"), "B": parameter("2")}))
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert {name: each["Value"] for name, each in engine.handler.inventory.items()} == {"A-1": "1", "B-2": "1"}
    assert "UPDATE_FAILED" in statuses(stack, "B")
    reasons = [event.reason for event in stack.events if event.status == "UPDATE_FAILED"]
    assert "it did not start" in reasons


def test_one_that_never_settles_fails_when_its_time_is_over(engine: Engine) -> None:
    slow = Slow(engine)
    slow.looks = 10**9
    engine.world.step_seconds = 0.01
    stack = engine.deploy("s", template({"A": parameter()}))
    assert stack.status == "ROLLBACK_COMPLETE"
    reasons = [event.reason for event in stack.events if event.status == "CREATE_FAILED"]
    assert reasons == ["Resource timed out: not stable after 0 seconds"]
