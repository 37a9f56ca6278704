"""ElastiCache: groups of users, and the changing and deleting of users.

moto 5.2.5 has users that can be made and looked at; it has no user groups and no ModifyUser, and a deleted user stays until
somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.responses import ActionResult
from moto.elasticache.exceptions import InvalidParameterValueException, PasswordTooShort, UserNotFound
from moto.elasticache.models import ElastiCacheBackend, User
from moto.elasticache.responses import ElastiCacheResponse

from local_aws.resources.moto_repairs.elasticache_errors import (
    DefaultUserRequiredError,
    DuplicateUserNameError,
    InvalidUserGroupStateError,
    UserGroupAlreadyExistsError,
    UserGroupNotFoundError,
)
from local_aws.resources.moto_repairs.patching import add, around

_SHORTEST_PASSWORD = 16


class UserGroup(BaseModel):
    """A set of users that a replication group lets in."""

    def __init__(self, backend: ElastiCacheBackend, group_id: str, engine: str, user_ids: list[str]) -> None:
        self.user_group_id = group_id
        self.engine = engine
        self.user_ids = user_ids
        self.status = "active"
        self.minimum_engine_version = "7.2" if engine == "valkey" else "6.0"
        self.replication_groups: list[str] = []
        self.arn = (
            f"arn:{backend.partition}:elasticache:{backend.region_name}:{backend.account_id}:usergroup:{group_id}"
        )


def user_group(backend: ElastiCacheBackend, group_id: str) -> UserGroup:
    """Return a user group by its id."""
    try:
        return backend.user_groups[group_id]  # type: ignore[attr-defined, no-any-return]
    except KeyError:
        raise UserGroupNotFoundError(group_id) from None


def _check_members(backend: ElastiCacheBackend, engine: str, user_ids: list[str]) -> None:
    for user_id in user_ids:
        if user_id not in backend.users:
            raise UserNotFound(user_id)
    names = [backend.users[user_id].name for user_id in user_ids]
    if engine == "redis" and "default" not in names:
        raise DefaultUserRequiredError
    if engine == "valkey" and any(backend.users[user_id].no_password_required for user_id in user_ids):
        raise InvalidParameterValueException("A user group of Valkey takes only users with a password or with IAM.")
    if len(set(names)) < len(names):
        raise DuplicateUserNameError


def _note_membership(backend: ElastiCacheBackend) -> None:
    """Let each user tell the groups that it is in."""
    for user_id, user in backend.users.items():
        user.user_group_ids = [name for name, group in backend.user_groups.items() if user_id in group.user_ids]  # type: ignore[attr-defined]


def create_user_group(self: ElastiCacheResponse) -> ActionResult:
    """CreateUserGroup."""
    backend = self.elasticache_backend
    parameters = self._get_params()
    group_id, engine = parameters["UserGroupId"].lower(), parameters["Engine"].lower()
    if group_id in backend.user_groups:  # type: ignore[attr-defined]
        raise UserGroupAlreadyExistsError(group_id)
    user_ids = list(parameters.get("UserIds", []))
    _check_members(backend, engine, user_ids)
    group = UserGroup(backend, group_id, engine, user_ids)
    backend.user_groups[group_id] = group  # type: ignore[attr-defined]
    backend.tagging_service.tag_resource(group.arn, parameters.get("Tags", []))
    _note_membership(backend)
    return ActionResult(group)


def modify_user_group(self: ElastiCacheResponse) -> ActionResult:
    """ModifyUserGroup."""
    backend = self.elasticache_backend
    parameters = self._get_params()
    group = user_group(backend, parameters["UserGroupId"])
    gone = parameters.get("UserIdsToRemove", [])
    members = [user_id for user_id in group.user_ids if user_id not in gone]
    members += [user_id for user_id in parameters.get("UserIdsToAdd", []) if user_id not in members]
    engine = parameters.get("Engine", group.engine).lower()
    _check_members(backend, engine, members)
    group.user_ids, group.engine = members, engine
    _note_membership(backend)
    return ActionResult(group)


def delete_user_group(self: ElastiCacheResponse) -> ActionResult:
    """DeleteUserGroup."""
    backend = self.elasticache_backend
    group = user_group(backend, self._get_param("UserGroupId"))
    if group.replication_groups:
        raise InvalidUserGroupStateError(
            f"User group {group.user_group_id} is in use by {', '.join(group.replication_groups)}."
        )
    del backend.user_groups[group.user_group_id]  # type: ignore[attr-defined]
    group.status = "deleting"
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    _note_membership(backend)
    return ActionResult(group)


def describe_user_groups(self: ElastiCacheResponse) -> ActionResult:
    """DescribeUserGroups."""
    backend = self.elasticache_backend
    name = self._get_param("UserGroupId")
    groups = [user_group(backend, name)] if name else list(backend.user_groups.values())  # type: ignore[attr-defined]
    return ActionResult({"UserGroups": groups})


def modify_user(self: ElastiCacheResponse) -> ActionResult:
    """ModifyUser."""
    parameters = self._get_params()
    user = self.elasticache_backend.users.get(parameters["UserId"])
    if user is None:
        raise UserNotFound(parameters["UserId"])
    mode = parameters.get("AuthenticationMode", {})
    passwords = parameters.get("Passwords", mode.get("Passwords", []))
    if any(len(password) < _SHORTEST_PASSWORD for password in passwords):
        raise PasswordTooShort
    user.access_string = parameters.get("AccessString", user.access_string)
    if "AppendAccessString" in parameters:
        user.access_string = f"{user.access_string} {parameters['AppendAccessString']}"
    user.engine = parameters.get("Engine", user.engine).lower()
    if passwords:
        user.passwords, user.authentication_type, user.no_password_required = passwords, "password", False
    wants_none = self._get_bool_param("NoPasswordRequired") or mode.get("Type") == "no-password-required"
    if wants_none or mode.get("Type") == "iam":
        if passwords:
            raise InvalidParameterValueException("Passwords go only with the authentication type password.")
        user.passwords, user.no_password_required = [], wants_none
        user.authentication_type = "no-password-required" if wants_none else "iam"
    return ActionResult(user)


def apply() -> None:
    """Add user groups, and mend the users."""
    add(ElastiCacheResponse, create_user_group, modify_user_group, delete_user_group, describe_user_groups, modify_user)

    @around(ElastiCacheBackend, "__init__")
    def with_user_groups(
        original: Callable[..., None], backend: ElastiCacheBackend, *arguments: Any, **named: Any
    ) -> None:
        original(backend, *arguments, **named)
        backend.user_groups = {}  # type: ignore[attr-defined]

    @around(ElastiCacheBackend, "delete_user")
    def delete_user(original: Callable[..., User], backend: ElastiCacheBackend, user_id: str) -> User:
        user = original(backend, user_id=user_id)
        for group in backend.user_groups.values():  # type: ignore[attr-defined]
            group.user_ids = [member for member in group.user_ids if member != user_id]
        del backend.users[user_id]
        return user
