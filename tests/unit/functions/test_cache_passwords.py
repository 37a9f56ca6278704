"""Users of the cache and their passwords: made once, changed through two, and never without one that opens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.elasticache.models import elasticache_backends

from functions import cache_passwords
from functions.cache_passwords import Rotation, RotationError, provide
from functions.cache_users import CacheUserError, CacheUsers
from local_aws.resources import moto_repairs
from tests.unit.functions.conftest import SESSION, Stack

SERVICE = "state-manager-nats"
SECRET = f"gaming-system/test/cache/{SERVICE}/user"
PROPERTIES = {
    "UserId": SERVICE,
    "UserName": SERVICE,
    "Engine": "valkey",
    "AccessString": f"on ~{SERVICE}:* +@read",
    "Secret": SECRET,
    "Tags": {"service": SERVICE},
}
TOKEN = "2f0d5b6a-5f0c-4a5e-9d0a-6f1c2b3a4d5e"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the secret as the stack makes it: without a value."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    moto_repairs.apply()
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", SESSION)
        boto3.client("secretsmanager").create_secret(Name=SECRET)
        yield


def passwords() -> list[str]:
    """Return what opens the cache to the user, as ElastiCache would know it."""
    user = elasticache_backends["123456789012"]["us-east-1"].users[SERVICE]
    return list(user.passwords)


def value(stage: str = "AWSCURRENT") -> dict[str, str]:
    found: dict[str, str] = json.loads(
        boto3.client("secretsmanager").get_secret_value(SecretId=SECRET, VersionStage=stage)["SecretString"]
    )
    return found


def begin(token: str = TOKEN) -> None:
    """Begin a rotation as Secrets Manager does: with a pending version that holds nothing yet."""
    from moto.secretsmanager.models import secretsmanager_backends  # noqa: PLC0415

    secret: Any = next(iter(secretsmanager_backends["123456789012"]["us-east-1"].secrets.values()))
    secret.versions[token] = {"createdate": 0, "version_id": token, "version_stages": ["AWSPENDING"]}


def rotate(token: str = TOKEN) -> None:
    begin(token)
    for step in STEPS:
        Rotation(SECRET, token).do(step)


class TestUsers:
    def test_a_new_user_gets_a_password_that_only_its_secret_holds(self) -> None:
        answer = provide("Create", PROPERTIES)

        assert answer.physical_id == SERVICE
        assert passwords() == [value()["password"]]
        assert value()["username"] == SERVICE
        assert value()["secret"] == SECRET
        assert len(value()["password"]) >= 64
        assert value()["password"] not in json.dumps(answer.data)

    def test_making_it_again_changes_no_password(self) -> None:
        provide("Create", PROPERTIES)
        before = value()

        provide("Create", PROPERTIES)

        assert value() == before
        assert passwords() == [before["password"]]

    def test_an_update_of_what_a_user_may_do_touches_no_password(self) -> None:
        provide("Create", PROPERTIES)
        rotate()
        before = passwords()

        provide("Update", {**PROPERTIES, "AccessString": f"on ~{SERVICE}:* +@write"})

        assert passwords() == before
        (user,) = boto3.client("elasticache").describe_users(UserId=SERVICE)["Users"]
        assert user["AccessString"].endswith("+@write")

    def test_a_creation_that_ended_after_the_secret_was_written_is_completed_with_that_password(self) -> None:
        written = {"username": SERVICE, "password": "p" * 64, "secret": SECRET}
        boto3.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=json.dumps(written))

        provide("Create", PROPERTIES)

        assert passwords() == ["p" * 64]

    def test_a_secret_that_was_lost_gets_a_new_password_that_opens(self) -> None:
        provide("Create", PROPERTIES)
        client = boto3.client("secretsmanager")
        client.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
        client.create_secret(Name=SECRET)

        provide("Update", PROPERTIES)

        assert value()["password"] in passwords()

    def test_a_removed_user_is_gone_and_removing_it_again_is_as_good(self) -> None:
        provide("Create", PROPERTIES)

        provide("Delete", PROPERTIES)
        provide("Delete", PROPERTIES)

        with pytest.raises(boto3.client("elasticache").exceptions.UserNotFoundFault):
            boto3.client("elasticache").describe_users(UserId=SERVICE)

    def test_cloudformation_is_told_and_never_a_password(self, stack: Stack) -> None:
        event = stack.request("Create")
        event["ResourceProperties"] = {"ServiceToken": "arn", **PROPERTIES}

        cache_passwords.handler(event, None)

        (told,) = stack.answers
        assert told["Status"] == "SUCCESS"
        assert told["PhysicalResourceId"] == SERVICE
        assert value()["password"] not in json.dumps(told)

    def test_a_user_that_does_not_settle_is_told_in_time(self) -> None:
        now = iter(range(0, 10_000, 100))
        users = CacheUsers(sleep=lambda _: None, clock=lambda: float(next(now)))
        provide("Create", PROPERTIES)
        elasticache_backends["123456789012"]["us-east-1"].users[SERVICE].status = "modifying"

        with pytest.raises(CacheUserError, match="was still modifying after 240 s"):
            users.settled(SERVICE)


class TestRotation:
    def test_the_new_password_and_the_one_before_both_open(self) -> None:
        provide("Create", PROPERTIES)
        old = value()["password"]

        rotate()

        new = value()["password"]
        assert new != old
        assert set(passwords()) == {old, new}
        assert value("AWSPREVIOUS")["password"] == old

    def test_the_next_rotation_drops_the_oldest(self) -> None:
        provide("Create", PROPERTIES)
        first = value()["password"]
        rotate()
        second = value()["password"]

        rotate("7e1f2d3c-1111-4222-8333-944455566677")

        assert first not in passwords()
        assert set(passwords()) == {second, value()["password"]}

    @pytest.mark.parametrize("ended_before", range(len(STEPS)))
    def test_a_rotation_that_ended_anywhere_is_completed_by_doing_it_again(self, ended_before: int) -> None:
        provide("Create", PROPERTIES)
        old = value()["password"]
        begin()
        for step in STEPS[:ended_before]:
            Rotation(SECRET, TOKEN).do(step)
        assert value()["password"] in passwords()

        for step in STEPS:
            Rotation(SECRET, TOKEN).do(step)

        assert set(passwords()) == {old, value()["password"]}

    @pytest.mark.parametrize("step", STEPS)
    def test_the_current_password_opens_after_every_step(self, step: str) -> None:
        provide("Create", PROPERTIES)
        begin()
        for each in STEPS[: STEPS.index(step) + 1]:
            Rotation(SECRET, TOKEN).do(each)

        assert value()["password"] in passwords()

    def test_a_step_that_is_repeated_makes_no_second_password(self) -> None:
        provide("Create", PROPERTIES)
        begin()
        Rotation(SECRET, TOKEN).do("createSecret")
        made = value("AWSPENDING")

        Rotation(SECRET, TOKEN).do("createSecret")

        assert value("AWSPENDING") == made

    def test_nothing_is_done_under_a_token_that_is_not_pending(self) -> None:
        provide("Create", PROPERTIES)
        with pytest.raises(RotationError, match="no rotation is under way"):
            Rotation(SECRET, TOKEN).do("setSecret")

    def test_a_user_that_is_not_active_does_not_pass_the_test(self) -> None:
        provide("Create", PROPERTIES)
        begin()
        for step in STEPS[:2]:
            Rotation(SECRET, TOKEN).do(step)
        elasticache_backends["123456789012"]["us-east-1"].users[SERVICE].status = "creating"

        with pytest.raises(CacheUserError, match="is creating, not active"):
            Rotation(SECRET, TOKEN).do("testSecret")

    def test_a_password_that_does_not_open_the_cache_never_becomes_the_current_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROBE_FUNCTION", "gaming-system-test-cache-probe")
        asked: list[Any] = []

        class Probe:
            def invoke(self, **request: Any) -> dict[str, Any]:
                asked.append(request)
                return {"Payload": Told({"opened": False, "reason": "WRONGPASS"})}

        real = boto3.client
        monkeypatch.setattr(boto3, "client", lambda name: Probe() if name == "lambda" else real(name))
        provide("Create", PROPERTIES)
        old = value()["password"]
        begin()
        for step in STEPS[:2]:
            Rotation(SECRET, TOKEN).do(step)

        with pytest.raises(CacheUserError, match=f"the cache does not open to {SERVICE}: WRONGPASS") as refused:
            Rotation(SECRET, TOKEN).do("testSecret")

        assert value()["password"] == old
        assert old not in str(refused.value)
        assert [request["FunctionName"] for request in asked] == ["gaming-system-test-cache-probe"]


class Told:
    """A body of an answer."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def read(self) -> str:
        return json.dumps(self._plain)
