"""Errors of ElastiCache that moto 5.2.5 does not know, under the codes that AWS answers with."""

from __future__ import annotations

from moto.elasticache.exceptions import ElastiCacheException


class UserGroupNotFoundError(ElastiCacheException):
    """There is no such user group."""

    code = "UserGroupNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"User group {name} not found.")


class UserGroupAlreadyExistsError(ElastiCacheException):
    """There is such a user group already."""

    code = "UserGroupAlreadyExists"

    def __init__(self, name: str) -> None:
        super().__init__(f"User group {name} already exists.")


class InvalidUserGroupStateError(ElastiCacheException):
    """The user group is in use."""

    code = "InvalidUserGroupState"


class DefaultUserRequiredError(ElastiCacheException):
    """A user group of Redis has a user that is named default."""

    code = "DefaultUserRequired"

    def __init__(self) -> None:
        super().__init__("You must add default user to a user group.")


class DuplicateUserNameError(ElastiCacheException):
    """Two users of one group have the same name."""

    code = "DuplicateUserName"

    def __init__(self) -> None:
        super().__init__("User group cannot have multiple users with the same user name.")


class ParameterGroupNotFoundError(ElastiCacheException):
    """There is no such parameter group."""

    code = "CacheParameterGroupNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"CacheParameterGroup {name} not found.")


class ParameterGroupAlreadyExistsError(ElastiCacheException):
    """There is such a parameter group already."""

    code = "CacheParameterGroupAlreadyExists"

    def __init__(self, name: str) -> None:
        super().__init__(f"CacheParameterGroup {name} already exists.")


class InvalidParameterGroupStateError(ElastiCacheException):
    """The parameter group is in use, or AWS's own."""

    code = "InvalidCacheParameterGroupState"


class SubnetGroupInUseError(ElastiCacheException):
    """The subnet group is in use."""

    code = "CacheSubnetGroupInUse"

    def __init__(self, name: str) -> None:
        super().__init__(f"Cache subnet group {name} is currently in use by a cache cluster.")


class NoOperationError(ElastiCacheException):
    """The change would change nothing."""

    code = "NoOperationFault"
