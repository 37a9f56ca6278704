"""Tasks: their size, their number, their image, and the limits of health check and alarms."""

from __future__ import annotations

from collections.abc import Sequence

from catalog import fargate, names
from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.faults import KeyPath, did_you_mean, listed, shown
from catalog.service import Service

_LISTED_IN_FULL = 8


def check(draft: Draft[Catalog]) -> None:
    """Note faults of sizes and numbers."""
    for service in draft.model.services.values():
        path = ("services", service.name)
        _check_size(draft, service, path)
        _check_image(draft, service, path)
        _check_tasks(draft, service, path)
        _check_health_check(draft, service, path)
        _check_alarms(draft, service, path)


def memory_told(cpu_units: int) -> str:
    """Return the memory values that Fargate offers with a CPU size, as a message tells them."""
    return _told(fargate.MEMORY_MIB_BY_CPU_UNITS[cpu_units])


def _told(values: Sequence[int]) -> str:
    if len(values) <= _LISTED_IN_FULL:
        return listed(values)
    return f"{values[0]} to {values[-1]} in steps of {values[1] - values[0]}"


def _check_size(draft: Draft[Catalog], service: Service, path: KeyPath) -> None:
    if fargate.is_legal_size(service.cpu, service.memory) or not draft.is_sound(path, "cpu", "memory"):
        return
    legal = fargate.MEMORY_MIB_BY_CPU_UNITS[service.cpu]
    nearest = min(legal, key=lambda memory: abs(memory - service.memory))
    told = f"{service.memory} MiB are not offered with cpu {service.cpu}; allowed: {memory_told(service.cpu)}"
    draft.report(draft.most_own(path, "memory", "cpu"), f"{told}; did you mean {nearest}?")


def _check_image(draft: Draft[Catalog], service: Service, path: KeyPath) -> None:
    if not draft.given(*path, "image"):
        return
    image = service.image
    if image.tag is None and image.digest is None:
        draft.report((*path, "image"), "neither tag nor digest is given; give one of them")
    elif image.tag is not None and image.digest is not None:
        hint = "; the tag comes from the defaults, write `tag: null`" if draft.is_default(*path, "image", "tag") else ""
        draft.report((*path, "image", "digest"), f"both tag and digest are given; give one of them{hint}")
    repository = image.repository
    if repository is None or repository == names.REFERENCE_RUNTIME or draft.whole.get("services", repository):
        return
    known = [names.REFERENCE_RUNTIME, *draft.model.services]
    told = f"there is no repository {shown(repository)}; allowed: a service's name or {names.REFERENCE_RUNTIME!r}"
    draft.report((*path, "image", "repository"), f"{told}{did_you_mean(repository, known)}")


def _check_tasks(draft: Draft[Catalog], service: Service, path: KeyPath) -> None:
    scaling = service.autoscaling
    if scaling is None or not draft.is_sound((*path, "autoscaling"), "min", "max"):
        return
    if scaling.min > scaling.max:
        told = f"{scaling.min} is more than the `max` of {scaling.max}"
        draft.report(draft.most_own((*path, "autoscaling"), "min", "max"), told)
    inherited = draft.is_default(*path, "replicas") and not draft.is_default(*path, "autoscaling")
    if inherited or not draft.given(*path, "replicas"):
        return  # a number for services of fixed size, which this one is not
    if not scaling.min <= service.replicas <= scaling.max:
        than = f"below the autoscaling `min` of {scaling.min}"
        if service.replicas > scaling.max:
            than = f"above the autoscaling `max` of {scaling.max}"
        draft.report(
            (*path, "replicas"), f"{service.replicas} is {than}; leave `replicas` out where autoscaling steers"
        )


def _check_health_check(draft: Draft[Catalog], service: Service, path: KeyPath) -> None:
    check = service.health_check
    path = (*path, "health_check")
    keys = ("timeout_seconds", "interval_seconds")
    if check.timeout_seconds >= check.interval_seconds and draft.is_sound(path, *keys):
        told = f"a check may take {check.timeout_seconds} s and begins every {check.interval_seconds} s"
        where = draft.most_own(path, *keys)
        draft.report(where, f"{told}; the timeout must be less than the interval")


def _check_alarms(draft: Draft[Catalog], service: Service, path: KeyPath) -> None:
    keys = ("datapoints_to_alarm", "evaluation_periods")
    for kind in ("cpu", "memory", "tasks"):
        alarm = getattr(service.alarms, kind)
        if alarm.datapoints_to_alarm > alarm.evaluation_periods and draft.is_sound((*path, "alarms", kind), *keys):
            told = f"{alarm.datapoints_to_alarm} datapoints cannot alarm where {alarm.evaluation_periods} are looked at"
            where = draft.most_own((*path, "alarms", kind), *keys)
            draft.report(where, f"{told}; allowed: 1 to {alarm.evaluation_periods}")
    if service.alarms.tasks.min_running > service.min_tasks and draft.is_sound(path, "replicas", "autoscaling"):
        told = f"the alarm would never end: it wants {service.alarms.tasks.min_running} tasks, and as few as {service.min_tasks} run"
        draft.report((*path, "alarms", "tasks", "min_running"), f"{told}; allowed: 1 to {service.min_tasks}")
