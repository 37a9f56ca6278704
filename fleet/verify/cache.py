"""The cache: as the environment wants it, encrypted, with its users and their passwords, and its alarms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from fleet.errors import FleetError
from fleet.functions import ask
from fleet.verify.check import Check, Checks
from fleet.verify.scope import NO_TASKS, Scope

_ANSWERS = "an answer that lets no stranger in"
_EVERYTHING = {"allkeys", "allchannels", "&*", "allcommands", "+@all", "nopass"}
"""Words of an access list that no service's user has."""
_GRACE = timedelta(days=2)
"""How long a rotation may be late: Secrets Manager has a day for it, and tries again."""


def check_cache(scope: Scope) -> list[Check]:
    """Look at everything of the cache that its deployment made, and have it asked for an answer where one is there.

    Nobody outside the network reaches it, so the function that tries passwords asks, without one.
    """
    checks = scope.checks()
    group = _replication_group(scope)
    name = names.cluster(scope.name)
    if checks.holds("cache.exists", name, group is not None, "there", "there" if group else "missing") and group:
        _check_group(scope, checks, name, group)
        _check_engine(scope, checks, name)
        if scope.claims_cache:
            check_answer(scope, checks)
        else:
            checks.unproven("cache.answers", name, _ANSWERS, NO_TASKS)
    _check_users(scope, checks)
    _check_rotations(scope, checks)
    _check_alarms(scope, checks)
    return checks.made


def _replication_group(scope: Scope) -> Any:
    try:
        (group,) = scope.account.elasticache.describe_replication_groups(ReplicationGroupId=names.cluster(scope.name))[
            "ReplicationGroups"
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ReplicationGroupNotFoundFault":
            return None
        raise
    return group


def _check_group(scope: Scope, checks: Checks, name: str, group: Any) -> None:
    cache = scope.environment.cache
    checks.equal("cache.status", name, "available", group.get("Status"))
    checks.equal("cache.encrypted-in-transit", name, expected=True, found=group.get("TransitEncryptionEnabled"))
    # With «preferred», whoever comes without TLS is served as well.
    checks.equal("cache.tls-required", name, "required", group.get("TransitEncryptionMode"))
    checks.equal("cache.encrypted-at-rest", name, expected=True, found=group.get("AtRestEncryptionEnabled"))
    checks.equal("cache.users", name, [name], group.get("UserGroupIds"))
    checks.equal("cache.nodes", name, len(cache.members), len(group.get("MemberClusters", [])))
    failover = "enabled" if cache.cluster_mode or cache.replicas_per_shard else "disabled"
    checks.equal("cache.failover", name, failover, group.get("AutomaticFailover"))
    checks.equal("cache.multi-az", name, "enabled" if cache.multi_az else "disabled", group.get("MultiAZ"))
    checks.equal("cache.snapshot-days", name, cache.snapshot_retention_days, group.get("SnapshotRetentionLimit"))


def _check_engine(scope: Scope, checks: Checks, name: str) -> None:
    """Look at what each node runs; AWS brings newer minor versions by itself, in the maintenance window."""
    cache = scope.environment.cache
    wanted = _version(cache.engine_version)
    for page in scope.account.elasticache.get_paginator("describe_cache_clusters").paginate():
        for node in page["CacheClusters"]:
            if node.get("ReplicationGroupId") != name:
                continue
            engine, version = node["Engine"], node["EngineVersion"]
            found = _version(version)
            checks.holds(
                "cache.engine", node["CacheClusterId"],
                engine == cache.engine and found[0] == wanted[0] and found >= wanted,
                f"{cache.engine} {cache.engine_version}, or a newer one of {wanted[0]}", f"{engine} {version}",
            )  # fmt: skip


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def check_answer(scope: Scope, checks: Checks) -> None:
    """Take down whether the cache answers over TLS, and refuses who gives no name."""
    function = names.cache_probe_function(scope.name)
    fix = f"aws logs tail /aws/lambda/{function} --since 1h"
    try:
        told = ask(scope.account, function, {})
    except FleetError as error:
        checks.lacks("cache.answers", names.cluster(scope.name), _ANSWERS, str(error), fix)
        return
    found = "a stranger was let in" if told["opened"] else told["reason"]
    checks.holds("cache.answers", names.cluster(scope.name), not told["opened"], _ANSWERS, found, fix)


def _check_users(scope: Scope, checks: Checks) -> None:
    """Look for exactly the users that the catalog asks for, and at what each may do."""
    # In pages: a full group, and the user that every account has, are more than one holds.
    pages = scope.account.elasticache.get_paginator("describe_users").paginate()
    users = {user["UserId"]: user for page in pages for user in page["Users"]}
    group = names.cluster(scope.name)
    _check_stranger(checks, group, users.get(f"{group}-default"))
    for service in scope.catalog.enabled:
        if not service.cache:
            continue
        user = users.get(service.name)
        if not checks.holds("cache.user", service.name, user is not None, "there", "there" if user else "missing"):
            continue
        own = f" ~{service.name}:* "
        access = f"{user['AccessString']} " if user else ""
        only_own = own in f" {access}" and access.count("~") == 1 and not _EVERYTHING & set(access.split())
        checks.holds("cache.user-keys", service.name, only_own, f"its own keys,{own.rstrip()}", access.strip())
        checks.holds(
            "cache.user-member", service.name, group in (user or {}).get("UserGroupIds", []), f"in {group}",
            ", ".join((user or {}).get("UserGroupIds", [])) or "in no group",
        )  # fmt: skip
    wanted = {service.name for service in scope.catalog.enabled if service.cache} | {f"{group}-default"}
    members = {user_id for user_id, user in users.items() if group in user.get("UserGroupIds", [])}
    for user_id in sorted(members - wanted):
        checks.lacks("cache.user-orphan", user_id, "nobody: the catalog has no such user", "in the group")


def _check_stranger(checks: Checks, group: str, default: Any) -> None:
    """Look whether the user that everybody is who gives no name is off, and the one that the group has."""
    access = default["AccessString"] if default else "missing"
    is_off = default is not None and "off" in access.split() and "on" not in access.split()
    checks.holds(
        "cache.stranger-off", group, is_off and group in default.get("UserGroupIds", []), "the user default, off",
        access if default is None or not is_off else ", ".join(default.get("UserGroupIds", [])) or "in no group",
    )  # fmt: skip


def _check_rotations(scope: Scope, checks: Checks) -> None:
    """Look whether every password is changed, and was not left behind."""
    days = scope.environment.cache.password_rotation_days
    for service in scope.catalog.enabled:
        if not service.cache:
            continue
        name = names.cache_secret(service.name, scope.name)
        try:
            secret = scope.account.secretsmanager.describe_secret(SecretId=name)
        except ClientError as error:
            checks.lacks("cache.secret", service.name, f"the secret {name}", error.response["Error"]["Code"])
            continue
        checks.equal("cache.rotation", service.name, expected=True, found=secret.get("RotationEnabled", False))
        changed = secret.get("LastRotatedDate") or secret.get("LastChangedDate") or secret["CreatedDate"]
        age = datetime.now(UTC) - changed
        checks.holds(
            "cache.password-age", service.name, age < timedelta(days=days) + _GRACE, f"at most {days} days",
            f"{age.days} days", "the log of the function says why: "
            f"aws logs tail /aws/lambda/{names.cache_passwords_function(scope.name)} --since 2d",
        )  # fmt: skip


def _check_alarms(scope: Scope, checks: Checks) -> None:
    pages = scope.account.cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{names.PLATFORM_ALARM_PREFIX}cache-"
    )
    found = {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    cache = scope.environment.cache
    for name in names.cache_alarms(cache.members, scope.name, is_burstable=cache.is_burstable):
        alarm = found.get(name)
        if checks.holds("cache.alarm", name, alarm is not None, "there", "there" if alarm else "missing") and alarm:
            checks.equal("cache.alarm-actions", name, [scope.topic_arn], alarm.get("AlarmActions"))
