"""Names, groups and stacks: what each becomes in AWS must be legal there and nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from catalog import names
from catalog.catalog import MAX_CACHE_USERS, MAX_SERVICES_IN_STACK, Catalog
from catalog.draft import Draft
from catalog.faults import did_you_mean, listed, shown
from catalog.service import Service

_MOST_LISTED = 5
# Names must be short enough in the environment with the longest name.
_ENVIRONMENT = "e" * names.LONGEST_ENVIRONMENT_NAME
_RESERVED_NAMES = {
    **dict.fromkeys(names.RESERVED_IDENTITIES, "the platform has an identity of that name"),
    names.REFERENCE_RUNTIME: "the reference runtime's image repository has that name",
    "default": "ElastiCache keeps that user for itself",
}


def check(draft: Draft[Catalog]) -> None:
    """Note faults of names, groups and stacks."""
    for service in draft.model.services.values():
        _check_reserved(draft, service)
        _check_lengths(draft, service)
        _check_group(draft, service)
        _check_enabled(draft, service)
    _check_beginnings(draft)
    _check_construct_ids(draft)
    _check_stacks(draft)
    _check_cache_users(draft)


def _check_reserved(draft: Draft[Catalog], service: Service) -> None:
    if why := _RESERVED_NAMES.get(service.name):
        draft.report_key(("services", service.name), f"{shown(service.name)} is no name for a service: {why}")


def _aws_names(service: str) -> Iterator[tuple[str, str, int]]:
    """Yield what a service's name becomes, what that is, and how long it may be."""
    yield names.task_role(service, _ENVIRONMENT), "IAM role", 64
    yield names.service_identity(service), "common name of the certificate", 64
    yield names.repository(service, _ENVIRONMENT), "image repository", 256
    yield service, "ECS service", 255
    yield service, "DNS label of the certificate", 63
    yield service, "user of the cache", 40
    for kind in names.ALARM_KINDS:
        yield names.alarm(service, kind, _ENVIRONMENT), "alarm", 255


def _check_lengths(draft: Draft[Catalog], service: Service) -> None:
    path = ("services", service.name)
    excess, what, limit = max((len(name) - limit, what, limit) for name, what, limit in _aws_names(service.name))
    if excess > 0:
        longest = len(service.name) - excess
        told = f"{shown(service.name)} has {len(service.name)} characters; at most {longest} are allowed"
        draft.report_key(path, f"{told}, or its {what} would have more than AWS's {limit}")
    if len(service.name) == 1:
        draft.report_key(
            path, f"{shown(service.name)} has 1 character; at least 2 are allowed, for its image repository"
        )


def _check_group(draft: Draft[Catalog], service: Service) -> None:
    path = ("services", service.name, "group")
    if draft.given(*path) and draft.given("groups") and service.group not in draft.model.groups:
        groups = draft.model.groups
        told = (
            f"there is no group {shown(service.group)}; allowed: {listed(groups)}{did_you_mean(service.group, groups)}"
        )
        draft.report(path, told)


def _check_enabled(draft: Draft[Catalog], service: Service) -> None:
    path = ("services", service.name)
    reason = draft.whole.get(*path, "reason")
    if not service.enabled and (reason is None or reason.value is None):
        told = "a disabled service needs a `reason`: why it is off, and what would let it be turned on"
        draft.report((*path, "enabled"), told)


def _check_beginnings(draft: Draft[Catalog]) -> None:
    """Refuse a name that begins another's alarm names: a look-up by that prefix would list both services' alarms."""
    in_order = sorted(draft.model.services)
    for index, name in enumerate(in_order):
        path = ("services", name)
        longer = []
        for other in in_order[index + 1 :]:
            if not other.startswith(name):
                break
            longer.append(other)
        if longer:
            more = [f"{len(longer) - _MOST_LISTED} more"] if len(longer) > _MOST_LISTED else []
            whose = listed([*map(shown, longer[:_MOST_LISTED]), *more], "and")
            told = f"{shown(name)} is the beginning of the alarm names of {whose}; a look-up by that prefix would list them too"
            draft.report_key(path, told)
        if names.PLATFORM_ALARM_PREFIX.startswith(name) or name.startswith(names.PLATFORM_ALARM_PREFIX):
            told = f"{shown(name)} could be taken for the platform's own alarms, which begin with 'platform-'"
            draft.report_key(path, told)


def _check_construct_ids(draft: Draft[Catalog]) -> None:
    """Refuse names that differ in their hyphens alone: `a1-b` and `a-1b` make the same construct id."""
    first: dict[str, str] = {}
    for name in draft.model.services:
        other = first.setdefault("".join(part.capitalize() for part in name.split("-")), name)
        if other != name:
            draft.report_key(
                ("services", name), f"{shown(name)} differs from {shown(other)} in nothing but its hyphens"
            )


def _check_stacks(draft: Draft[Catalog]) -> None:
    counts = Counter((service.group, service.stack) for service in draft.model.services.values())
    for (group, stack), count in counts.items():
        if count > MAX_SERVICES_IN_STACK:
            inside = [
                service for service in draft.model.services.values() if (service.group, service.stack) == (group, stack)
            ]
            path = ("services", inside[MAX_SERVICES_IN_STACK].name, "stack")
            told = f"stack {stack} of group {shown(group)} has {count} services; at most {MAX_SERVICES_IN_STACK} are allowed"
            draft.report(path, f"{told}, so put this one and those below into another")
    parts: dict[str, tuple[str, int]] = {}
    for group, number in draft.model.services_stacks:
        part = names.services_part(group, number)
        other, other_number = parts.setdefault(part, (group, number))
        if other != group:
            told = (
                f"stack {number} of this group and stack {other_number} of group {shown(other)} are both named {part!r}"
            )
            draft.report_key(("groups", group), told)


def _check_cache_users(draft: Draft[Catalog]) -> None:
    users = [service.name for service in draft.model.enabled if service.cache]
    for name in users[MAX_CACHE_USERS:]:
        told = f"{len(users)} services use the cache; at most {MAX_CACHE_USERS} are allowed, as many users as its group takes"
        draft.report(("services", name, "cache"), told)
