"""The function that makes the users of the cache and changes their passwords.

CloudFormation asks it for a user (`Custom::CacheUser`) and says what the user may do; of passwords the template knows nothing, so
that no update of a stack can put one back. Secrets Manager asks it for each step of a rotation.

A user has two passwords while the cache takes two: the one that the secret holds as current, and the one before. A rotation puts
the new one in the place of the older, so that tasks which hold the current one go on until they read the secret again. Every
step may be repeated, and none leaves the current password without effect.

Environment: PROBE_FUNCTION (missing where no cache answers).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from functions.cache_users import CacheUserError, CacheUsers
from functions.clients import client
from functions.custom_resource import Answer, RequestType, answer, is_request

PASSWORD_LENGTH = 64
_ALPHABET = string.ascii_letters + string.digits  # what needs no quoting in any client's address
_CURRENT, _PENDING, _PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)


class RotationError(Exception):
    """A step of a rotation cannot be done."""


def handler(event: Mapping[str, Any], context: object) -> None:
    """Answer CloudFormation, or do the step that Secrets Manager asks for."""
    del context
    if is_request(event):
        answer(event, provide)
    else:
        Rotation(event["SecretId"], event["ClientRequestToken"]).do(event["Step"])


def provide(request_type: RequestType, properties: Mapping[str, Any]) -> Answer:
    """Make a user as a deployment asks for it, with a password of its own in its secret.

    Properties: `UserId`, `UserName`, `Engine`, `AccessString`, `UserTags`, and `Secret`, the name of the secret that holds the
    password; without one, nobody is told it. A user that is there keeps its passwords, but for one whose creation was interrupted
    or whose secret was lost.
    """
    user_id, secret = properties["UserId"], properties.get("Secret")
    users = CacheUsers()
    if request_type == "Delete":
        users.remove(user_id)
        return Answer(user_id, {})
    current = read_value(secret, _CURRENT) if secret else None
    value = current or new_value(properties["UserName"], secret or "")
    asked = {"Engine": properties["Engine"], "AccessString": properties["AccessString"]}
    if users.settled(user_id) is None:
        tags = [{"Key": key, "Value": text} for key, text in properties["UserTags"].items()]
        users.create(user_id, **asked, UserName=properties["UserName"], Passwords=[value["password"]], Tags=tags)
    elif secret and (current is None or request_type == "Create"):
        previous = read_value(secret, _PREVIOUS)
        users.change(user_id, **asked, Passwords=[one["password"] for one in (value, previous) if one])
    else:
        users.change(user_id, **asked)
    if secret and current is None:
        # Last, so that what the secret holds is always a password that the user has, wherever this is interrupted.
        client("secretsmanager").put_secret_value(SecretId=secret, SecretString=json.dumps(value))
    _log.info("user %s is as the deployment asks", user_id)
    return Answer(user_id, {})


@dataclass(frozen=True)
class Rotation:
    """One rotation of one secret, which Secrets Manager drives step by step under one token."""

    secret: str
    token: str
    users: CacheUsers = field(default_factory=CacheUsers)

    def do(self, step: str) -> None:
        """Do a step; where the rotation is over already, nothing.

        Raises:
            RotationError: There is no such step, or the rotation is not under way.
        """
        steps: dict[str, Callable[[], None]] = {
            "createSecret": self.create,
            "setSecret": self.set,
            "testSecret": self.test,
            "finishSecret": self.finish,
        }
        if step not in steps:
            raise RotationError(f"there is no step {step}")
        stages = self._stages().get(self.token, [])
        if _CURRENT in stages:
            _log.info("%s of %s: the rotation is over already", step, self.secret)
            return
        if _PENDING not in stages:
            raise RotationError(f"version {self.token} of {self.secret} is not pending: no rotation is under way")
        steps[step]()
        _log.info("%s of %s is done", step, self.secret)

    def create(self) -> None:
        """Put a new password into the pending version, unless one is there."""
        if read_value(self.secret, _PENDING, self.token) is None:
            current = self._current()
            value = new_value(current["username"], current["secret"])
            client("secretsmanager").put_secret_value(
                SecretId=self.secret,
                ClientRequestToken=self.token,
                SecretString=json.dumps(value),
                VersionStages=[_PENDING],
            )

    def set(self) -> None:
        """Give the user the new password beside the current one; the one before that is dropped here."""
        current = self._current()
        self.users.change(current["username"], Passwords=[current["password"], self._pending()["password"]])

    def test(self) -> None:
        """Prove that the new password and the current one both open the cache.

        A schedule that does not begin with a rotation is tried by this step alone: then there is but the current password.
        """
        current = self._current()
        user_id = current["username"]
        user = self.users.settled(user_id)
        if user is None or user["Status"] != "active":
            raise CacheUserError(f"user {user_id} is {user['Status'] if user else 'missing'}, not active")
        pending = read_value(self.secret, _PENDING, self.token) or current
        for password in dict.fromkeys([pending["password"], current["password"]]):
            _prove(user_id, password)

    def finish(self) -> None:
        """Make the new password the current one, and the current one the one before."""
        (old,) = (version for version, stages in self._stages().items() if _CURRENT in stages)
        client("secretsmanager").update_secret_version_stage(
            SecretId=self.secret, VersionStage=_CURRENT, MoveToVersionId=self.token, RemoveFromVersionId=old
        )

    def _stages(self) -> Mapping[str, list[str]]:
        versions: Mapping[str, list[str]] = client("secretsmanager").describe_secret(SecretId=self.secret)[
            "VersionIdsToStages"
        ]
        return versions

    def _current(self) -> Mapping[str, str]:
        value = read_value(self.secret, _CURRENT)
        if value is None:
            raise RotationError(f"{self.secret} has no current value; a deployment of the cache's stack makes one")
        return value

    def _pending(self) -> Mapping[str, str]:
        value = read_value(self.secret, _PENDING, self.token)
        if value is None:
            raise RotationError(
                f"version {self.token} of {self.secret} holds no password yet: createSecret comes first"
            )
        return value


def new_value(username: str, secret: str) -> dict[str, str]:
    """Return what a secret holds: user and password, and its own name, by which a task that runs reads it again."""
    return {"username": username, "password": new_password(), "secret": secret}


def new_password() -> str:
    """Return a password that nobody has seen."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


def read_value(secret: str, stage: str, version: str | None = None) -> Mapping[str, str] | None:
    """Return what a secret holds at a stage; nothing where it holds nothing there."""
    wanted = {"VersionStage": stage, **({"VersionId": version} if version else {})}
    try:
        text = client("secretsmanager").get_secret_value(SecretId=secret, **wanted)["SecretString"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    value: Mapping[str, str] = json.loads(text)
    return value


def _prove(user_id: str, password: str) -> None:
    """Have the function that stands where the services stand open the cache."""
    probe = os.environ.get("PROBE_FUNCTION")
    if not probe:
        _log.info(
            "user %s is active; whether its password opens the cache is not tried: no cache answers here", user_id
        )
        return
    payload = json.dumps({"username": user_id, "password": password})
    answered: dict[str, Any] = {**client("lambda").invoke(FunctionName=probe, Payload=payload)}
    told = json.loads(answered["Payload"].read())
    if "FunctionError" in answered:
        raise CacheUserError(f"whether {user_id} may open the cache cannot be told: {told.get('errorMessage')}")
    if not told["opened"]:
        raise CacheUserError(f"the cache does not open to {user_id}: {told['reason']}")
