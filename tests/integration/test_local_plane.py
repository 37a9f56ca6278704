"""The local plane over a real local AWS and a real NATS node: what `cdk deploy` asks for runs, heals, rolls back, and ends.

The tests of this module share one environment and run in the order in which they stand here.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet.local.plane.client import LocalPlane
from fleet.local.plane.processes import marked
from fleet.local.server import LocalAws
from tests.alert_receiver import alert_receiver
from tests.integration.local_aws_process import ACCOUNT, REGION, Assembly, Cli, LocalAwsProcess
from tests.nats_world import World, world
from tests.unit.fleet.quiet import Notes

pytestmark = pytest.mark.integration

DEADLINE_SECONDS = 120
MINUTE_SECONDS = 5
CLUSTER = "small"
STACK = "small-services"
REPOSITORY = "reference-service"
TAG = "1"
SERVICES = ("caller-nats", "quest-nats")


class Environment:
    """A local AWS, a NATS node, and the plane that follows."""

    def __init__(self, folder: Path, peers: World) -> None:
        self.peers = peers
        self.server = LocalAwsProcess(folder / "aws")
        self.plane = LocalPlane(folder / "plane", LocalAws(folder / "aws"))
        (folder / "home").mkdir()
        self.cli = Cli(self.server, folder / "home")
        self.assembly = Assembly(folder / "cdk.out")

    def put_image(self, tag: str) -> None:
        """Put a record of an image where tasks look for it."""
        ecr = self.server.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY)
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
        )
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)

    def deploy(self, *, tag: str = TAG, succeeds: bool = True) -> str:
        """Deploy a version of every service, by the real CDK CLI."""
        return self.cli.deploy(self.assembly.write({STACK: {"Resources": self._resources(tag)}}), succeeds=succeeds)

    def _resources(self, tag: str) -> dict[str, Any]:
        resources: dict[str, Any] = {
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": CLUSTER}},
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/small"}},
        }
        for name in SERVICES:
            logical = name.partition("-")[0].title()
            resources[f"{logical}Task"] = task_definition(name, tag, self.peers)
            resources[f"{logical}Service"] = {
                "Type": "AWS::ECS::Service",
                "Properties": {
                    "Cluster": {"Ref": "Cluster"},
                    "ServiceName": name,
                    "TaskDefinition": {"Ref": f"{logical}Task"},
                    "DesiredCount": 2,
                    "DeploymentConfiguration": {
                        "MinimumHealthyPercent": 100,
                        "MaximumPercent": 200,
                        "DeploymentCircuitBreaker": {
                            "Enable": True,
                            "Rollback": True,
                            "ThresholdConfiguration": {"Type": "COUNT", "Value": 2},
                        },
                    },
                },
            }
        return resources

    def service(self, name: str) -> dict[str, Any]:
        """Return what ECS tells of a service."""
        (found,) = self.server.client("ecs").describe_services(cluster=CLUSTER, services=[name])["services"]
        service: dict[str, Any] = found
        return service

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """Return what ECS tells of a service's tasks that run."""
        ecs = self.server.client("ecs")
        arns = ecs.list_tasks(cluster=CLUSTER, serviceName=name)["taskArns"]
        tasks: list[dict[str, Any]] = ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return tasks

    def pids(self, name: str) -> dict[str, int]:
        """Return the processes of a service's tasks."""
        services = self.plane.asked().ask("status")["tasks"]["services"]
        return {
            task["id"]: task["pid"]
            for service in services
            if service["name"] == name
            for task in service["tasks"]
            if task["pid"]
        }

    def is_steady(self, name: str) -> bool:
        """Tell whether a service is what it is to be, by what ECS tells."""
        service = self.service(name)
        healthy = [task for task in self.tasks(name) if task["healthStatus"] == "HEALTHY"]
        primary = service["deployments"][0]
        return bool(len(healthy) == service["runningCount"] == 2 and primary["rolloutState"] == "COMPLETED")


def task_definition(name: str, tag: str, peers: World) -> dict[str, Any]:
    variables = {**peers.variables(name), "SERVICE_CONTRACT": "{}", "HEALTH_PORT": "8080"}
    probe = ["CMD", "python", "-m", "sdk.health_check_http", "--probe", "http://127.0.0.1:8080/health"]
    container = {
        "Name": name,
        "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{tag}",
        "Essential": True,
        "Environment": [{"Name": variable, "Value": value} for variable, value in variables.items()],
        "HealthCheck": {"Command": probe, "Interval": 5, "Timeout": 5, "Retries": 3, "StartPeriod": 60},
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {"awslogs-group": {"Ref": "Logs"}, "awslogs-region": REGION, "awslogs-stream-prefix": name},
        },
    }
    properties = {"Family": name, "Cpu": "256", "Memory": "512", "ContainerDefinitions": [container]}
    return {"Type": "AWS::ECS::TaskDefinition", "Properties": properties}


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("plane")
    with world(folder / "world") as peers:
        made = Environment(folder, peers)
        made.server.start()
        try:
            made.cli.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
            made.put_image(TAG)
            yield made
        finally:
            made.plane.stop(forget=True)
            made.server.stop()


def test_a_deployment_is_complete_when_its_tasks_are_healthy(environment: Environment) -> None:
    environment.plane.start(Notes(), minute_seconds=MINUTE_SECONDS)
    until(lambda: environment.plane.asked().ask("status")["tasks"]["follows"], "the plane followed")
    environment.deploy()
    for name in SERVICES:
        assert environment.is_steady(name), environment.service(name)
        assert len(environment.pids(name)) == 2


def test_a_task_that_is_killed_is_replaced_and_ecs_tells_of_it(environment: Environment) -> None:
    task, pid = next(iter(environment.pids("quest-nats").items()))
    os.kill(pid, signal.SIGKILL)
    until(lambda: task not in environment.pids("quest-nats"), "the task had ended")
    until(lambda: environment.is_steady("quest-nats"), "the task was replaced")
    (stopped,) = environment.server.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
    assert stopped["lastStatus"] == "STOPPED"
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["containers"][0]["exitCode"] == 137
    assert any("has started 1 tasks" in event["message"] for event in environment.service("quest-nats")["events"])


def test_what_a_task_prints_is_in_its_log_group(environment: Environment) -> None:
    task = next(iter(environment.pids("quest-nats")))
    logs = environment.server.client("logs")

    def lines() -> list[str]:
        try:
            told = logs.get_log_events(logGroupName="/small", logStreamName=f"quest-nats/quest-nats/{task}")
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in told["events"]]

    until(lambda: any('"serving"' in line for line in lines()), "the task's first lines were shipped")


def test_a_task_that_somebody_stops_is_replaced(environment: Environment) -> None:
    task = next(iter(environment.pids("caller-nats")))
    ecs = environment.server.client("ecs")
    told = ecs.stop_task(cluster=CLUSTER, task=task, reason="to see what happens")["task"]
    assert told["desiredStatus"] == "STOPPED"
    until(lambda: task not in environment.pids("caller-nats"), "the task had ended")
    until(lambda: environment.is_steady("caller-nats"), "the task was replaced")
    (stopped,) = ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "to see what happens")


def test_a_task_that_is_killed_wakes_somebody_and_lets_them_sleep_again_when_it_is_healed(
    environment: Environment,
) -> None:
    cloudwatch, sns = environment.server.client("cloudwatch"), environment.server.client("sns")
    plane = environment.plane.asked()
    plane.ask("settings", minute_seconds=2)
    with alert_receiver() as receiver:
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
        receiver.wait(lambda one: "SubscribeURL" in one.body, "the request to confirm")
        cloudwatch.put_metric_alarm(
            AlarmName="quest-nats-tasks-low",
            Namespace="ECS/ContainerInsights",
            MetricName="RunningTaskCount",
            Dimensions=[{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": "quest-nats"}],
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=1,
            DatapointsToAlarm=1,
            Threshold=2.0,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
            AlarmActions=[topic],
            OKActions=[topic],
        )
        receiver.notification("OK", "quest-nats-tasks-low")
        receiver.requests.clear()
        os.kill(next(iter(environment.pids("quest-nats").values())), signal.SIGKILL)
        raised = receiver.notification("ALARM", "quest-nats-tasks-low")
        healed = receiver.notification("OK", "quest-nats-tasks-low")
    plane.ask("settings", minute_seconds=MINUTE_SECONDS)
    assert "[1.0 (" in raised.alarm["NewStateReason"]
    assert (raised.alarm["OldStateValue"], healed.alarm["OldStateValue"]) == ("OK", "ALARM")
    until(lambda: environment.is_steady("quest-nats"), "the task was replaced")


def test_a_version_that_does_not_start_fails_the_deployment_and_is_rolled_back(environment: Environment) -> None:
    before = {name: environment.pids(name) for name in SERVICES}
    printed = environment.deploy(tag="missing", succeeds=False)
    assert "ECS Deployment Circuit Breaker was triggered" in printed
    assert environment.server.status(STACK) == "UPDATE_ROLLBACK_COMPLETE"
    for name in SERVICES:
        assert environment.is_steady(name), environment.service(name)
        assert environment.pids(name) == before[name], "what served goes on without a pause"
        image = environment.server.client("ecs").describe_task_definition(
            taskDefinition=environment.service(name)["taskDefinition"]
        )["taskDefinition"]["containerDefinitions"][0]["image"]
        assert image.endswith(f":{TAG}")


def test_what_runs_goes_on_while_the_local_aws_is_away(environment: Environment) -> None:
    before = environment.pids("quest-nats")
    environment.server.stop()
    environment.server.start()
    until(lambda: environment.is_steady("quest-nats"), "the plane told the new local AWS")
    assert environment.pids("quest-nats") == before


def test_a_plane_that_was_killed_leaves_nothing_behind(environment: Environment) -> None:
    plane = environment.plane.asked()
    # Not those that carry the mark: one that lost it is what this is to find.
    running = psutil.Process(plane.pid).children(recursive=True)
    assert len(running) >= 4
    os.kill(plane.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(plane.pid)], timeout=DEADLINE_SECONDS)
    assert environment.plane.stop(forget=True)
    assert marked(environment.plane.state) == []
    _, alive = psutil.wait_procs(running, timeout=DEADLINE_SECONDS)
    assert alive == []
    assert not environment.plane.state.exists()
