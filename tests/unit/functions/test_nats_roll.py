"""How the function waits for nodes and for a roll: no longer than it may run, and no longer than CloudFormation waits."""

from __future__ import annotations

from typing import Any

import pytest

from functions.nats_nodes import NodeError
from functions.nats_roll import HAND_OVER_SECONDS, PATIENCE_SECONDS, RollWatch, Waiting
from tests.certificates import MemoryStore
from tests.fake_nodes import NODES, FakeNodes, Machine

DOCUMENT = "gaming-system-test-roll-nats"
RUN_SECONDS = 900.0


class Automation:
    """An Automation that ends as it is told to."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.started: list[dict[str, str]] = []

    def start_automation_execution(self, **arguments: str) -> dict[str, str]:
        self.started.append(arguments)
        return {"AutomationExecutionId": "e-1"}

    def get_automation_execution(self, *, AutomationExecutionId: str) -> dict[str, Any]:  # noqa: N803
        assert AutomationExecutionId == "e-1"
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        message = "Step fails: nats-2 does not pass the gate" if status == "Failed" else None
        return {
            "AutomationExecution": {
                "AutomationExecutionStatus": status,
                **({"FailureMessage": message} if message else {}),
            }
        }


class Runs:
    """Runs of the function, one after the other, each with its fifteen minutes."""

    def __init__(self, automation: Automation) -> None:
        self.cluster = FakeNodes(MemoryStore())
        self.automation = automation
        self.began = 0.0
        self.count = 0

    def watch(self) -> RollWatch:
        time = self.cluster.time
        return RollWatch(
            nodes=self.cluster.nodes,
            expected=frozenset(NODES),
            document=DOCUMENT,
            ssm=self.automation,
            seconds_left=lambda: RUN_SECONDS - (time.now - self.began),
            sleep=time.sleep,
            now=time,
        )

    def to_the_end(self, waiting: Waiting) -> None:
        while True:
            self.count += 1
            self.began = self.cluster.time.now
            ended = self.watch().go_on(Waiting.from_plain(waiting.to_plain()))
            assert self.cluster.time.now - self.began < RUN_SECONDS
            if ended:
                return


@pytest.fixture
def runs() -> Runs:
    return Runs(Automation("Success"))


def test_the_first_deployment_waits_until_every_node_has_passed_the_gate(runs: Runs) -> None:
    late = runs.cluster.machines.pop("nats-3")
    runs.cluster.time.at(60, lambda: runs.cluster.machines.setdefault("nats-3", late))

    runs.to_the_end(runs.watch().begin("first", "r-1"))

    assert runs.cluster.commands == [(node, "gate") for node in NODES]
    assert runs.cluster.time.now >= 60
    assert runs.automation.started == []


def test_a_gate_that_is_not_passed_is_asked_for_again_from_the_first_node_on(runs: Runs) -> None:
    runs.cluster.refusals["nats-2", "gate"] = "not current"

    def mend(node: str, command: str) -> None:
        if len(runs.cluster.commands) == 3:
            runs.cluster.refusals.clear()
        del node, command

    runs.cluster.before = mend

    runs.to_the_end(runs.watch().begin("first", "r-1"))

    assert [node for node, _ in runs.cluster.commands] == ["nats-1", "nats-2", "nats-1", "nats-2", "nats-3"]


def test_nodes_that_never_come_fail_before_cloudformation_gives_up(runs: Runs) -> None:
    runs.cluster.machines = {"nats-1": Machine("i-1")}

    with pytest.raises(NodeError, match="no machine runs for nats-2, nats-3"):
        runs.to_the_end(runs.watch().begin("first", "r-1"))

    assert PATIENCE_SECONDS < runs.cluster.time.now < PATIENCE_SECONDS + HAND_OVER_SECONDS
    assert 4 <= runs.count <= 8


def test_a_roll_is_started_once_a_request_however_often_that_comes(runs: Runs) -> None:
    for request in ("r-1", "r-1", "r-2"):
        runs.watch().begin("roll", request)

    one, again, other = (started["ClientToken"] for started in runs.automation.started)
    assert one == again != other
    assert {started["DocumentName"] for started in runs.automation.started} == {DOCUMENT}


def test_a_roll_that_takes_half_an_hour_is_waited_for_by_several_runs() -> None:
    runs = Runs(Automation(*["InProgress"] * 120, "Success"))

    runs.to_the_end(runs.watch().begin("roll", "r-1"))

    assert runs.cluster.time.now == pytest.approx(1800, rel=0.1)
    assert runs.count > 2
    assert len(runs.automation.started) == 1


@pytest.mark.parametrize("status", ["Failed", "TimedOut", "Cancelled"])
def test_a_roll_that_ends_otherwise_is_a_failure_that_says_why(status: str) -> None:
    runs = Runs(Automation("InProgress", status))

    with pytest.raises(NodeError, match=f"ended with {status}") as raised:
        runs.to_the_end(runs.watch().begin("roll", "r-1"))

    assert status != "Failed" or "nats-2 does not pass the gate" in str(raised.value)


def test_a_roll_without_an_end_fails_before_cloudformation_gives_up() -> None:
    runs = Runs(Automation("InProgress"))

    with pytest.raises(NodeError, match="e-1 has not ended"):
        runs.to_the_end(runs.watch().begin("roll", "r-1"))

    assert PATIENCE_SECONDS < runs.cluster.time.now < 3600
