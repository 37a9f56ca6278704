"""The users of the cache, as far as our functions make, change and remove them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from functions.clients import client

WAIT_SECONDS = 420
_PAUSE_SECONDS = 3.0
_UNDER_WAY = {"modifying", "deleting"}
_NOT_NOW = {"InvalidUserState", "InvalidUserGroupState"}


class CacheUserError(Exception):
    """A user of the cache did not become what it should be."""


@dataclass(frozen=True)
class CacheUsers:
    """Users by their id.

    Every change is waited for, since the nodes take one up after the other, and a group that is at work takes no other change.
    """

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    elasticache: Any = field(default_factory=lambda: client("elasticache"))

    def settled(self, user_id: str) -> Mapping[str, Any] | None:
        """Return a user once no change of it or of its groups is under way; none where there is no such user.

        Raises:
            CacheUserError: A change has not ended in time.
        """
        return self._settled(user_id, self.clock() + WAIT_SECONDS)

    def create(self, user_id: str, **properties: Any) -> None:
        """Make a user with properties as ElastiCache calls them."""
        self.elasticache.create_user(UserId=user_id, **properties)
        self.settled(user_id)

    def change(self, user_id: str, **changes: Any) -> None:
        """Change what is named of a user and leave the rest as it is; passwords that are named replace those that it has."""
        self._when_settled(user_id, lambda: self.elasticache.modify_user(UserId=user_id, **changes))

    def remove(self, user_id: str) -> None:
        """Remove a user; one that is gone already is as good."""
        if self.settled(user_id) is not None:
            self._when_settled(user_id, lambda: self.elasticache.delete_user(UserId=user_id))

    def _when_settled(self, user_id: str, request: Callable[[], Any]) -> None:
        """Ask as soon as ElastiCache takes it, and wait until it is done; the user's groups may be at work too."""
        end = self.clock() + WAIT_SECONDS
        while True:
            self._settled(user_id, end)
            try:
                request()
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NOT_NOW or self.clock() >= end:
                    raise
                self.sleep(_PAUSE_SECONDS)
            else:
                self._settled(user_id, end)
                return

    def _settled(self, user_id: str, end: float) -> Mapping[str, Any] | None:
        while (user := self._find(user_id)) and (busy := self._busy(user)):
            if self.clock() >= end:
                raise CacheUserError(f"{busy} after {WAIT_SECONDS} s")
            self.sleep(_PAUSE_SECONDS)
        return user

    def _busy(self, user: Mapping[str, Any]) -> str | None:
        """Return what is at work, a user or one of its groups, which CloudFormation may want to change next."""
        if user["Status"] in _UNDER_WAY:
            return f"user {user['UserId']} was still {user['Status']}"
        for group_id in user.get("UserGroupIds", []):
            (group,) = self.elasticache.describe_user_groups(UserGroupId=group_id)["UserGroups"]
            if group["Status"] in _UNDER_WAY:
                return f"user group {group_id} was still {group['Status']}"
        return None

    def _find(self, user_id: str) -> Mapping[str, Any] | None:
        try:
            found: Sequence[Mapping[str, Any]] = self.elasticache.describe_users(UserId=user_id)["Users"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "UserNotFound":
                return None
            raise
        return found[0] if found else None
