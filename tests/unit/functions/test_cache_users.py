"""Waiting for users of the cache, by a clock that nobody waits for."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.cache_users import WAIT_SECONDS, CacheUserError, CacheUsers

MODIFY = {"UserId": "orders", "AccessString": "on"}


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


class World:
    """An ElastiCache that answers as it is told to, in order and then as the last time; and time that passes only by sleep."""

    def __init__(
        self, statuses: list[str], refusals: list[str] | None = None, group_statuses: list[str] | None = None
    ) -> None:
        self.statuses = statuses
        self.group_statuses = group_statuses or []
        self.refusals = refusals or []
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.now = 0.0

    @property
    def users(self) -> CacheUsers:
        return CacheUsers(sleep=self.sleep, clock=lambda: self.now, elasticache=self)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def describe_users(self, **asked: Any) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == "missing":
            raise refusal("UserNotFound")
        return {"Users": [{**asked, "Status": status, "UserGroupIds": ["cache"] if self.group_statuses else []}]}

    def describe_user_groups(self, **asked: Any) -> dict[str, Any]:
        assert asked == {"UserGroupId": "cache"}
        return {"UserGroups": [{"Status": self.group_statuses.pop(0)}]}

    def modify_user(self, **asked: Any) -> None:
        if self.refusals:
            raise refusal(self.refusals.pop(0))
        self.done.append(("modify", asked))

    def delete_user(self, **asked: Any) -> None:
        self.done.append(("delete", asked))


def test_a_change_waits_until_the_one_before_is_done_and_then_for_itself() -> None:
    world = World(["modifying", "modifying", "active", "modifying", "active"])

    world.users.change("orders", AccessString="on")

    assert world.done == [("modify", MODIFY)]
    assert world.statuses == ["active"]
    assert world.now > 0


def test_a_change_waits_for_the_users_group_too_since_cloudformation_may_change_it_next() -> None:
    world = World(["active"], group_statuses=["modifying", "active", "modifying", "modifying", "active"])

    world.users.change("orders", AccessString="on")

    assert world.done == [("modify", MODIFY)]
    assert world.group_statuses == []


def test_a_group_that_is_at_work_for_ever_is_told_of_in_time() -> None:
    world = World(["active"], group_statuses=["modifying"] * 1000)

    with pytest.raises(CacheUserError, match=f"user group cache was still modifying after {WAIT_SECONDS} s"):
        world.users.change("orders", AccessString="on")

    assert world.done == []


@pytest.mark.parametrize("code", ["InvalidUserState", "InvalidUserGroupState"])
def test_a_change_is_asked_for_again_while_the_users_group_is_at_work(code: str) -> None:
    world = World(["active"], [code, code])

    world.users.change("orders", AccessString="on")

    assert world.done == [("modify", MODIFY)]


def test_a_refusal_for_another_reason_is_told_at_once() -> None:
    world = World(["active"], ["InvalidParameterValue"])

    with pytest.raises(ClientError, match="InvalidParameterValue"):
        world.users.change("orders", AccessString="x")

    assert world.now == 0


def test_a_change_that_never_ends_is_told_of_in_time() -> None:
    world = World(["modifying"])

    with pytest.raises(CacheUserError, match=f"user orders was still modifying after {WAIT_SECONDS} s"):
        world.users.change("orders", AccessString="on")

    assert world.done == []
    assert WAIT_SECONDS <= world.now < 2 * WAIT_SECONDS


def test_a_group_that_never_takes_the_change_is_told_of_in_time() -> None:
    world = World(["active"], ["InvalidUserGroupState"] * 1000)

    with pytest.raises(ClientError, match="InvalidUserGroupState"):
        world.users.change("orders", AccessString="on")

    assert WAIT_SECONDS <= world.now < 2 * WAIT_SECONDS


def test_a_removal_waits_until_the_user_is_gone() -> None:
    world = World(["modifying", "active", "active", "deleting", "missing"])

    world.users.remove("orders")

    assert world.done == [("delete", {"UserId": "orders"})]
    assert world.statuses == ["missing"]


def test_a_user_that_is_gone_is_removed() -> None:
    world = World(["missing"])

    world.users.remove("orders")

    assert world.done == []


def test_a_user_that_goes_is_waited_for_before_it_is_said_to_be_missing() -> None:
    assert World(["deleting", "missing"]).users.settled("orders") is None
