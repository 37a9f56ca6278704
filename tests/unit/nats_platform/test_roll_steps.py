"""The steps of a roll, against machines, groups and Systems Manager in memory: whom it replaces, in which order, and where it stops."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from nats_platform.roll_steps import STEP_SECONDS, Roll, RollStoppedError
from tests.certificates import MemoryStore
from tests.fake_nodes import NODES, PREFIX, FakeNodes, Machine

EXECUTION = "e-1"


class Account(FakeNodes):
    """Machines in their groups; one that was ended is seen once more, and its group brings a new one at the third look."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.versions: dict[str, str] = {machine.id: "1" for machine in self.machines.values()}
        self.group_version = "1"
        self.ended: list[str] = []
        self.others: list[str] = []
        self.offline: set[str] = set()
        self.comes_back = True
        self._asked = ""
        self._looks = 0
        self._going = ""

    def get_paginator(self, operation: str) -> FakeNodes:
        self._asked = operation
        return self

    def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
        if self._asked == "describe_instances":
            self._bring_back()
            return super().paginate(**arguments)
        assert arguments["Filters"][0] == {"Name": "tag:environment", "Values": ["test"]}
        return [{"AutoScalingGroups": [self._group(node) for node in NODES]}]

    def _group(self, node: str) -> dict[str, Any]:
        machine = self.machines.get(node)
        instances = (
            [{"InstanceId": machine.id, "LaunchTemplate": {"Version": self.versions[machine.id]}}] if machine else []
        )
        return {
            "LaunchTemplate": {"Version": self.group_version},
            "Instances": instances,
            "Tags": [{"Key": "nats-slot", "Value": node}, {"Key": "environment", "Value": "test"}],
        }

    def terminate_instance_in_auto_scaling_group(
        self,
        *,
        InstanceId: str,  # noqa: N803  # as boto3 takes it
        ShouldDecrementDesiredCapacity: bool,  # noqa: N803
    ) -> None:
        assert ShouldDecrementDesiredCapacity is False
        self.ended.append(next(node for node, machine in self.machines.items() if machine.id == InstanceId))
        if self._going != self.ended[-1]:
            self._going, self._looks = self.ended[-1], 0

    def _bring_back(self) -> None:
        self._looks += 1
        if self._looks > 1:
            self.machines.pop(self._going, None)
            self._going = ""
        if self._looks < 3 or not self.comes_back:
            return
        for node in NODES:
            if node not in self.machines and node in self.ended:
                machine = Machine(f"i-{node}-2", self.wanted_configuration, server="server-2")
                self.versions[machine.id] = self.group_version
                self.machines[node] = machine

    def describe_instance_information(self, *, Filters: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        (machine,) = Filters[0]["Values"]
        status = "ConnectionLost" if machine in self.offline else "Online"
        return {"InstanceInformationList": [{"PingStatus": status}]}

    def get_automation_execution(self, *, AutomationExecutionId: str) -> dict[str, Any]:  # noqa: N803
        assert AutomationExecutionId == EXECUTION
        return {"AutomationExecution": {"DocumentName": "gaming-system-test-roll-nats"}}

    def describe_automation_executions(self, *, Filters: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert Filters[0] == {"Key": "DocumentNamePrefix", "Values": ["gaming-system-test-roll-nats"]}
        return {"AutomationExecutionMetadataList": [{"AutomationExecutionId": e} for e in [EXECUTION, *self.others]]}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == ("nats", "current.json")
        wanted = {"sha256": hashlib.sha256(self.wanted_configuration.encode()).hexdigest()}
        current = {"server": {"sha256": self.wanted_server}, "configuration": dict.fromkeys(NODES, wanted)}
        return {"Body": io.BytesIO(json.dumps(current).encode())}

    wanted_server, wanted_configuration = "server-1", ""

    @property
    def roll(self) -> Roll:
        return Roll("test", PREFIX, "nats", self.commander, self, self, self.time.sleep, self.time)

    def run(self, *, every: bool = False) -> list[str]:
        """Carry the whole document out; return the nodes that were replaced."""
        roll = self.roll
        for node in roll.plan(EXECUTION, every=every)["Nodes"]:
            ended = roll.replace(node)["Ended"]
            roll.await_machine(node, ended)
            roll.gate(node)
        return self.ended


@pytest.fixture
def account() -> Account:
    return Account()


def test_where_nothing_is_outdated_nothing_is_replaced(account: Account) -> None:
    assert account.roll.plan(EXECUTION, every=False) == {"Nodes": [], "Count": 0}
    assert account.ended == []


@pytest.mark.parametrize(("leader", "order"), [("nats-1", [2, 3, 1]), ("nats-2", [1, 3, 2]), ("nats-3", [1, 2, 3])])
def test_a_new_template_replaces_all_the_meta_leaders_machine_last(
    account: Account, leader: str, order: list[int]
) -> None:
    account.group_version, account.leader = "2", leader

    assert account.run() == [f"nats-{number}" for number in order]


def test_a_new_server_replaces_the_machines_that_run_another(account: Account) -> None:
    account.wanted_server = "server-2"
    account.machines["nats-2"].server = "server-2"

    assert account.run() == ["nats-3", "nats-1"]


def test_a_machine_whose_server_has_not_taken_its_configuration_up_is_replaced(account: Account) -> None:
    """As what only a start takes up, or what it was left behind with on the way back of a stack."""
    account.wanted_configuration = "sync_interval: always"
    account.machines["nats-1"].configuration = account.wanted_configuration

    assert account.run() == ["nats-2", "nats-3"]


def test_a_roll_that_was_stopped_goes_on_with_what_is_left(account: Account) -> None:
    account.group_version = "2"
    account.refusals["nats-3", "gate"] = "replica of ORDERS is not current"
    with pytest.raises(RollStoppedError):
        account.run()
    account.refusals.clear()
    account.ended.clear()

    assert account.run() == ["nats-2", "nats-3", "nats-1"]


def test_every_machine_is_replaced_where_an_operator_wants_it(account: Account) -> None:
    assert account.run(every=True) == ["nats-2", "nats-3", "nats-1"]


def test_a_machine_leaves_before_it_is_ended_and_the_gate_is_passed_before_the_next(account: Account) -> None:
    account.group_version = "2"

    account.run()

    after_plan = [(node, command) for node, command in account.commands if command != "status"][len(NODES) :]
    assert after_plan == [(node, command) for node in ("nats-2", "nats-3", "nats-1") for command in ("leave", "gate")]


def test_a_cluster_of_which_a_healthy_machine_does_not_pass_the_gate_is_not_touched(account: Account) -> None:
    account.group_version = "2"
    account.refusals["nats-3", "gate"] = "replica of ORDERS is 12 messages behind"

    with pytest.raises(RollStoppedError, match=r"nothing was replaced: nats-3 .*12 messages behind"):
        account.run()

    assert account.ended == []


@pytest.mark.parametrize("what", ["sick", "silent", "gone"])
def test_the_one_node_that_is_not_well_is_replaced_first_where_it_is_outdated(account: Account, what: str) -> None:
    """The way back from a version that does not start: the gate of the others cannot be passed while it is missing."""
    account.group_version = "2"
    spoil(account, "nats-3", what)
    if what == "gone":
        account.ended.append("nats-3")  # its group has ended it, and brings another

    account.run()

    assert account.ended[:1] == ["nats-3"]
    assert {"nats-1", "nats-2"} <= set(account.ended)


def spoil(account: Account, node: str, what: str) -> None:
    if what == "gone":
        del account.machines[node]
    else:
        account.machines[node].healthy = what != "sick"
        account.machines[node].answers = what != "silent"


@pytest.mark.parametrize("what", ["sick", "silent", "gone"])
def test_with_two_nodes_that_are_not_well_nothing_is_touched(account: Account, what: str) -> None:
    account.group_version = "2"
    account.comes_back = False
    for node in ("nats-2", "nats-3"):
        spoil(account, node, what)

    with pytest.raises(RollStoppedError, match="the cluster is not whole, so nothing was replaced: nats-2, nats-3"):
        account.run()

    assert account.ended == []


def test_a_node_that_is_not_well_and_up_to_date_is_none_that_a_roll_would_help(account: Account) -> None:
    account.wanted_server = "server-2"
    account.machines["nats-3"].server = "server-2"
    account.machines["nats-3"].healthy = False

    with pytest.raises(RollStoppedError, match="not whole"):
        account.run()


def test_without_a_meta_leader_nothing_is_touched(account: Account) -> None:
    account.group_version, account.leader = "2", ""

    with pytest.raises(RollStoppedError, match="not whole"):
        account.run()


def test_a_second_roll_does_not_begin(account: Account) -> None:
    account.group_version, account.others = "2", ["e-0"]

    with pytest.raises(RollStoppedError, match="another roll is under way: e-0"):
        account.run()

    assert account.commands == []


def test_a_healthy_node_that_does_not_leave_is_not_ended(account: Account) -> None:
    account.group_version = "2"
    account.refusals["nats-2", "leave"] = "clients are still there"

    with pytest.raises(RollStoppedError, match=r"nats-2 did not leave its cluster: .*clients are still there"):
        account.run()

    assert account.ended == []


def test_a_node_that_does_not_come_back_stops_the_roll_in_time(account: Account) -> None:
    account.group_version, account.comes_back = "2", False

    with pytest.raises(RollStoppedError, match="nats-2 got no new machine"):
        account.run()

    assert account.ended == ["nats-2"]
    assert account.time.now < 2 * STEP_SECONDS


def test_a_machine_that_systems_manager_does_not_reach_stops_the_roll(account: Account) -> None:
    account.group_version, account.offline = "2", {"i-nats-2-2"}

    with pytest.raises(RollStoppedError, match="no new machine that Systems Manager reaches"):
        account.run()

    assert account.ended == ["nats-2"]


def test_a_node_that_does_not_pass_the_gate_afterwards_stops_the_roll(account: Account) -> None:
    account.group_version = "2"
    roll = account.roll
    assert roll.plan(EXECUTION, every=False)["Nodes"][0] == "nats-2"
    ended = roll.replace("nats-2")["Ended"]
    roll.await_machine("nats-2", ended)
    account.refusals["nats-2", "gate"] = "route to nats-1 is missing"
    began = account.time.now

    with pytest.raises(RollStoppedError, match=r"nats-2 does not pass the gate: .*route to nats-1"):
        roll.gate("nats-2")

    assert account.time.now - began <= STEP_SECONDS


def test_the_gate_is_tried_again_while_a_machine_is_still_booting(account: Account) -> None:
    account.refusals["nats-2", "gate"] = "run `boot` first"

    def after_a_while(node: str, command: str) -> None:
        if (node, command) == ("nats-2", "gate") and account.time.now > 100:
            account.refusals.clear()

    account.before = after_a_while

    assert account.roll.gate("nats-2") == {"Passed": "nats-2"}


def test_a_step_that_is_run_again_ends_no_second_machine(account: Account) -> None:
    ended = account.roll.replace("nats-2")
    account.comes_back = False

    assert [account.roll.replace("nats-2") for _ in range(2)] == [ended, {"Ended": ""}]
    assert account.ended == ["nats-2", "nats-2"]  # the same one, while it was still seen
