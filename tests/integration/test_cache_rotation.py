"""A password changes under clients that work: the function's own steps, and a real server that knows the user's passwords.

Only ElastiCache's API is stood in for: it hands the user's passwords on to the server, as ElastiCache does.
"""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis
from moto import mock_aws
from moto.secretsmanager.models import secretsmanager_backends

from functions import cache_passwords, cache_probe
from functions.cache_passwords import Rotation
from functions.cache_users import CacheUsers
from tests.cache_server import CacheServer, cache_server

pytestmark = pytest.mark.integration

ACCOUNT = "123456789012"
USER, SECRET, FIRST = "orders", "cache/orders/user", "the-first-password"


class ElastiCache:
    """One user, whose passwords the server is told."""

    def __init__(self, server: CacheServer) -> None:
        self.server = server

    def describe_users(self, **asked: Any) -> dict[str, Any]:
        return {"Users": [{**asked, "Status": "active"}]}

    def modify_user(self, UserId: str, Passwords: list[str]) -> None:  # noqa: N803 (boto3's own)
        with self.server.admin() as admin:
            admin.execute_command("ACL SETUSER", UserId, "resetpass", *(f">{one}" for one in Passwords))


class Lambda:
    """Runs the probe here."""

    def invoke(self, Payload: str, **_: Any) -> dict[str, Any]:  # noqa: N803 (boto3's own)
        return {"Payload": io.BytesIO(json.dumps(cache_probe.handler(json.loads(Payload), None)).encode())}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CacheServer]:
    with cache_server(
        tmp_path, ["user default off", f"user {USER} on ~{USER}:* -@all +get +set +ping >{FIRST}"]
    ) as server:
        monkeypatch.setenv("CACHE_ENDPOINT", server.endpoint)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        yield server


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("PROBE_FUNCTION", "probe")
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        value = {"username": USER, "password": FIRST, "secret": SECRET}
        client.create_secret(Name=SECRET, SecretString=json.dumps(value))
        clients = {"secretsmanager": client, "lambda": Lambda()}
        monkeypatch.setattr(cache_passwords, "client", clients.__getitem__)
        yield client


def current(secret: Any) -> str:
    """Return the password that a task is given at its start, or reads again."""
    return str(
        json.loads(secret.get_secret_value(SecretId=SECRET, VersionStage="AWSCURRENT")["SecretString"])["password"]
    )


def rotate(server: CacheServer) -> None:
    """Do what Secrets Manager does: a pending version without a value, then the four steps."""
    token = str(uuid.uuid4())
    kept: Any = secretsmanager_backends[ACCOUNT]["us-east-1"].secrets[SECRET]
    kept.remove_version_stages_from_old_versions(["AWSPENDING"])
    kept.versions[token] = {"createdate": 1, "version_id": token, "version_stages": ["AWSPENDING"]}
    rotation = Rotation(SECRET, token, CacheUsers(elasticache=ElastiCache(server)))
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        rotation.do(step)


def opens(server: CacheServer, password: str) -> bool:
    with server.client(USER, password) as client:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return False


def refusals(server: CacheServer) -> list[str]:
    """Return whom the cache refused a password: what ElastiCache counts as AuthenticationFailures."""
    with server.admin() as admin:
        entries: Any = admin.acl_log()
        return [entry["username"] for entry in entries if entry["reason"] == "auth"]


def test_a_task_goes_on_through_one_change_and_has_until_the_next_to_read_its_secret_again(
    server: CacheServer, secret: Any
) -> None:
    with server.client(USER, FIRST) as task:
        task.set(f"{USER}:a", 1)

        rotate(server)
        second = current(secret)
        assert second != FIRST
        assert task.get(f"{USER}:a") == "1"
        assert (opens(server, FIRST), opens(server, second)) == (True, True)

        rotate(server)
        assert task.get(f"{USER}:a") == "1", "a connection that is open stays open"
        assert (opens(server, FIRST), opens(server, second), opens(server, current(secret))) == (False, True, True)


def test_a_password_that_the_cache_does_not_take_is_given_to_no_task(
    server: CacheServer, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ElastiCache, "modify_user", lambda *_, **__: None)  # says yes, and does nothing

    with pytest.raises(Exception, match="the cache does not open to orders: "):
        rotate(server)

    assert current(secret) == FIRST
    assert opens(server, FIRST)


def test_the_probe_tells_a_wrong_password_from_a_cache_that_it_cannot_reach(
    server: CacheServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_probe.handler({"username": USER, "password": FIRST}, None) == {"opened": True, "reason": ""}
    assert refusals(server) == []
    refused = cache_probe.handler({"username": USER, "password": "guess"}, None)
    assert refused["opened"] is False
    assert "invalid username-password" in refused["reason"]
    assert refusals(server) == [USER]

    monkeypatch.setenv("CACHE_ENDPOINT", "localhost:1")
    with pytest.raises(redis.ConnectionError):
        cache_probe.handler({"username": USER, "password": FIRST}, None)


def test_the_probe_finds_that_a_cache_answers_without_being_let_in(
    server: CacheServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = cache_probe.handler({}, None)
    assert told["opened"] is False
    assert "must be called with the client already authenticated" in told["reason"]
    assert refusals(server) == [], "or each verification would raise the alarm of refused passwords"

    monkeypatch.setenv("CACHE_ENDPOINT", "localhost:1")
    with pytest.raises(redis.ConnectionError):
        cache_probe.handler({}, None)


def test_the_probe_gives_no_password_to_a_server_that_it_does_not_know(
    server: CacheServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    del server
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)

    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        cache_probe.handler({"username": USER, "password": FIRST}, None)
