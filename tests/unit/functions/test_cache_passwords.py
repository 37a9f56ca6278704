"""The function of the cache's users, against ElastiCache and Secrets Manager in memory, and interrupted everywhere."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from moto.elasticache.models import elasticache_backends
from moto.secretsmanager.models import secretsmanager_backends

from functions import cache_passwords
from functions.cache_passwords import PASSWORD_LENGTH, handler
from functions.clients import client
from local_aws.resources import moto_repairs
from tests.unit.functions.conftest import Stack

pytestmark = pytest.mark.usefixtures("aws", "secret")

ACCOUNT, REGION = "123456789012", "us-east-1"
USER, SECRET = "orders", "gaming-system/test/cache/orders/user"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
PROPERTIES: dict[str, Any] = {
    "UserId": USER,
    "UserName": USER,
    "Engine": "valkey",
    "AccessString": "on ~orders:* +get",
    "Secret": SECRET,
    "UserTags": {"platform": "gaming-system", "environment": "test", "part": "cache"},
}


class InterruptedHereError(Exception):
    """The function ended in the middle."""


@pytest.fixture(scope="module", autouse=True)
def mended() -> None:
    """Moto lacks ModifyUser."""
    moto_repairs.apply()


@pytest.fixture
def secret(aws: None) -> None:
    """A secret without a value, as the template makes it."""
    del aws
    client("secretsmanager").create_secret(Name=SECRET)


def deploy(stack: Stack, request_type: str = "Create", **changes: Any) -> dict[str, Any]:
    """Ask as a deployment does; return the answer."""
    handler(stack.request(request_type, **{**PROPERTIES, **changes}), None)
    return stack.answers[-1]


def user() -> Any:
    """Return the user as the cache would know it, with its passwords."""
    return elasticache_backends[ACCOUNT][REGION].users.get(USER)


def held(stage: str = "AWSCURRENT") -> dict[str, str]:
    """Return what the secret holds."""
    text = client("secretsmanager").get_secret_value(SecretId=SECRET, VersionStage=stage)["SecretString"]
    value: dict[str, str] = json.loads(text)
    return value


def begin_rotation() -> str:
    """Do what Secrets Manager does before it asks the function; return the token."""
    token = str(uuid.uuid4())
    versions = secretsmanager_versions()
    for version in versions.values():
        if "AWSPENDING" in version["version_stages"]:
            version["version_stages"].remove("AWSPENDING")
    versions[token] = {"createdate": 1, "version_id": token, "version_stages": ["AWSPENDING"]}
    return token


def secretsmanager_versions() -> dict[str, Any]:
    versions: dict[str, Any] = secretsmanager_backends[ACCOUNT][REGION].secrets[SECRET].versions
    return versions


def empty_secret() -> None:
    """Take the secret's value away, whatever it was."""
    secretsmanager_versions().clear()
    secret: Any = secretsmanager_backends[ACCOUNT][REGION].secrets[SECRET]
    secret.set_default_version_id(None)


def step(name: str, token: str) -> None:
    handler({"Step": name, "SecretId": SECRET, "ClientRequestToken": token}, None)


def rotate(token: str | None = None) -> None:
    token = token or begin_rotation()
    for name in STEPS:
        step(name, token)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], None]]:
    """Interrupt the function at one of its calls of AWS, before or after it was done."""
    original = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def set_up(at: int, after: bool) -> None:  # noqa: FBT001
        left = at

        def call(caller: Any, operation: str, arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                raise InterruptedHereError
            try:
                return original(caller, operation, arguments)
            finally:
                if left == 0:
                    raise InterruptedHereError

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    yield set_up
    monkeypatch.setattr(BaseClient, "_make_api_call", original)


def test_a_deployment_makes_a_user_with_a_password_that_only_its_secret_holds(stack: Stack) -> None:
    told = deploy(stack)

    assert (told["Status"], told["PhysicalResourceId"], told["Data"]) == ("SUCCESS", USER, {})
    assert held() == {"username": USER, "password": user().passwords[0], "secret": SECRET}
    assert len(user().passwords) == 1
    assert len(held()["password"]) == PASSWORD_LENGTH
    assert (user().name, user().engine, user().access_string) == (USER, "valkey", PROPERTIES["AccessString"])
    assert {tag["Key"]: tag["Value"] for tag in user().tags} == PROPERTIES["UserTags"]


def test_a_user_without_a_secret_has_a_password_that_nobody_knows(stack: Stack) -> None:
    asked = {name: value for name, value in PROPERTIES.items() if name != "Secret"}
    handler(stack.request("Create", **{**asked, "UserName": "default"}), None)

    assert stack.answers[-1]["Status"] == "SUCCESS"
    assert (user().name, len(user().passwords), user().authentication["Type"]) == ("default", 1, "password")
    assert secretsmanager_versions() == {}


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_an_update_changes_what_a_user_may_do_and_no_password(stack: Stack, rotations: int) -> None:
    deploy(stack)
    for _ in range(rotations):
        rotate()
    before = list(user().passwords), held()

    assert deploy(stack, "Update", AccessString="on ~orders:* +@read", Engine="redis")["Status"] == "SUCCESS"

    assert (user().access_string, user().engine) == ("on ~orders:* +@read", "redis")
    assert (user().passwords, held()) == before


def test_an_update_in_the_middle_of_a_rotation_leaves_both_passwords(stack: Stack) -> None:
    deploy(stack)
    token = begin_rotation()
    step("createSecret", token)
    step("setSecret", token)

    deploy(stack, "Update", AccessString="on ~orders:* +@read")
    step("testSecret", token)
    step("finishSecret", token)

    assert user().passwords == [held("AWSPREVIOUS")["password"], held()["password"]]


def test_an_update_makes_again_a_user_that_somebody_removed(stack: Stack) -> None:
    deploy(stack)
    client("elasticache").delete_user(UserId=USER)

    deploy(stack, "Update")

    assert user().passwords == [held()["password"]]


def test_a_secret_that_lost_its_value_gets_one_that_the_user_has(stack: Stack) -> None:
    deploy(stack)
    empty_secret()

    deploy(stack, "Update")

    assert user().passwords == [held()["password"]]


def test_a_removed_service_leaves_no_user(stack: Stack) -> None:
    deploy(stack)

    assert deploy(stack, "Delete")["Status"] == "SUCCESS"
    assert user() is None
    assert deploy(stack, "Delete")["Status"] == "SUCCESS"


@pytest.mark.parametrize("after", [False, True])
def test_a_deployment_that_is_interrupted_anywhere_ends_well_when_it_is_repeated(
    stack: Stack, interrupted: Callable[[int, bool], None], *, after: bool
) -> None:
    calls = 0
    while True:
        calls += 1
        interrupted(calls, after)
        whole = deploy(stack)["Status"] == "SUCCESS"
        interrupted(0, after)
        if whole:
            break
        for request_type in ("Create", "Update"):
            assert deploy(stack, request_type)["Status"] == "SUCCESS"
            assert user().passwords == [held()["password"]]
        deploy(stack, "Delete")
        empty_secret()
    assert calls > 4


def test_a_rotation_puts_a_new_password_beside_the_current_one(stack: Stack) -> None:
    deploy(stack)
    first = held()["password"]

    rotate()

    assert held()["password"] not in {first, ""}
    assert held("AWSPREVIOUS")["password"] == first
    assert user().passwords == [first, held()["password"]]
    assert held()["secret"] == SECRET


def test_the_next_rotation_drops_the_older_password(stack: Stack) -> None:
    deploy(stack)
    first = held()["password"]
    rotate()
    second = held()["password"]

    rotate()

    assert user().passwords == [second, held()["password"]]
    assert first not in user().passwords


@pytest.mark.parametrize("after", [False, True])
def test_a_rotation_that_is_interrupted_anywhere_keeps_the_current_password_good_and_is_taken_up(
    stack: Stack, interrupted: Callable[[int, bool], None], *, after: bool
) -> None:
    deploy(stack)
    calls = 0
    while True:
        calls += 1
        before = held()["password"]
        token = begin_rotation()
        interrupted(calls, after)
        try:
            rotate(token)
        except InterruptedHereError:
            whole = False
        else:
            whole = True
        interrupted(0, after)
        assert held()["password"] in user().passwords
        assert before in user().passwords
        rotate(token)
        assert user().passwords == [before, held()["password"]]
        assert held("AWSPREVIOUS")["password"] == before
        if whole:
            break
    assert calls > len(STEPS)


def test_a_rotation_that_was_given_up_is_followed_by_another(stack: Stack) -> None:
    deploy(stack)
    first = held()["password"]
    abandoned = begin_rotation()
    step("createSecret", abandoned)
    step("setSecret", abandoned)

    rotate()

    assert user().passwords == [first, held()["password"]]


def test_a_step_is_refused_where_no_rotation_is_under_way(stack: Stack) -> None:
    deploy(stack)

    with pytest.raises(Exception, match="is not pending: no rotation is under way"):
        step("setSecret", str(uuid.uuid4()))
    token = begin_rotation()
    with pytest.raises(Exception, match="holds no password yet: createSecret comes first"):
        step("setSecret", token)
    with pytest.raises(Exception, match="there is no step eraseSecret"):
        step("eraseSecret", token)
    assert user().passwords == [held()["password"]]


def test_a_secret_without_a_value_cannot_be_rotated() -> None:
    token = begin_rotation()
    with pytest.raises(Exception, match="has no current value; a deployment of the cache's stack makes one"):
        step("createSecret", token)


class Probe:
    """Answers in the place of Lambda, and notes which passwords it was to try."""

    def __init__(self, *answers: dict[str, Any], error: bool = False) -> None:
        self.answers = list(answers)
        self.error = error
        self.tried: list[dict[str, str]] = []

    def invoke(self, **asked: Any) -> dict[str, Any]:
        assert asked["FunctionName"] == "probe"
        self.tried.append(json.loads(asked["Payload"]))
        answer = self.answers.pop(0) if self.answers else {"opened": True, "reason": ""}
        failed = {"FunctionError": "Unhandled"} if self.error else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


def with_probe(monkeypatch: pytest.MonkeyPatch, probe: Probe) -> None:
    monkeypatch.setenv("PROBE_FUNCTION", "probe")
    monkeypatch.setattr(cache_passwords, "client", lambda name: probe if name == "lambda" else client(name))


def test_the_new_password_and_the_current_one_are_tried_at_the_cache(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(stack)
    probe = Probe()
    with_probe(monkeypatch, probe)

    rotate()

    assert [one["password"] for one in probe.tried] == [held()["password"], held("AWSPREVIOUS")["password"]]
    assert {one["username"] for one in probe.tried} == {USER}


def test_a_schedule_that_begins_without_a_rotation_tries_the_current_password(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(stack)
    probe = Probe()
    with_probe(monkeypatch, probe)

    step("testSecret", begin_rotation())

    assert [one["password"] for one in probe.tried] == [held()["password"]]


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        (Probe({"opened": False, "reason": "WRONGPASS"}), "the cache does not open to orders: WRONGPASS"),
        (Probe({"errorMessage": "Timeout"}, error=True), "whether orders may open the cache cannot be told: Timeout"),
    ],
    ids=["refused", "unreachable"],
)
def test_a_password_that_does_not_open_the_cache_is_given_to_nobody(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, probe: Probe, why: str
) -> None:
    deploy(stack)
    first = held()["password"]
    with_probe(monkeypatch, probe)

    with pytest.raises(Exception, match=why):
        rotate()

    assert held()["password"] == first
    assert first in user().passwords


def test_a_user_that_is_gone_is_told_of_before_its_secret_changes(stack: Stack) -> None:
    deploy(stack)
    token = begin_rotation()
    step("createSecret", token)
    step("setSecret", token)
    client("elasticache").delete_user(UserId=USER)

    with pytest.raises(Exception, match="user orders is missing, not active"):
        step("testSecret", token)


def test_neither_answer_nor_log_nor_error_has_a_password(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = []
    with caplog.at_level(logging.DEBUG, logger="functions"):
        deploy(stack)
        rotate()
        with_probe(monkeypatch, Probe({"opened": False, "reason": "WRONGPASS"}))
        try:
            rotate()
        except Exception as error:  # noqa: BLE001 (whatever is raised is looked at)
            errors.append(repr(error))
    told = "".join([json.dumps(stack.answers), caplog.text, *errors])

    assert errors
    passwords = {*user().passwords, held()["password"], held("AWSPREVIOUS")["password"]}
    assert len(passwords) == 3
    assert [password for password in passwords if password in told] == []
