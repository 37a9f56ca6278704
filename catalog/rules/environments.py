"""An environment: its file, its place in AWS, and what AWS does not sell together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import get_args

from catalog import fargate
from catalog.draft import Draft
from catalog.environment import Environment
from catalog.faults import KeyPath, listed, shown
from catalog.reflect import bare_type
from catalog.rules.sizing import memory_told
from catalog.rules.variables import MAX_ENVIRONMENT_TAGS, check_tags

_LARGEST_VPC, _SMALLEST_VPC = 16, 20
_PRIVATE = tuple(IPv4Network(private) for private in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_GRAVITON = re.compile(r"[a-z]+[0-9]+g[a-z]*\.[a-z0-9]+")
# Redis before 7.0 knows no rules for a command's parts, and Redis after 7.1 and Valkey before 7.2 are not offered.
_REDIS, _FIRST_VALKEY = ((7, 0), (7, 1)), (7, 2)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = len(_DAYS) * _DAY_MINUTES
_SHORTEST_WINDOW_MINUTES = 60
# Of a gp3 volume.
_IOPS_PER_GIB = 500
_MIB_PER_IOPS = 0.25


def check(draft: Draft[Environment]) -> None:
    """Note every fault of an environment that no single value shows."""
    if draft.given("name") and draft.model.name != draft.file.stem:
        told = f"{shown(draft.model.name)} is not the file's name; allowed: {shown(draft.file.stem)}"
        draft.report(("name",), told)
    _check_zones(draft)
    _check_network(draft)
    _check_fargate(draft)
    _check_alerts(draft)
    _check_nats(draft)
    _check_cache(draft)
    _check_objectives(draft)
    check_tags(draft, ("tags",), draft.model.tags, MAX_ENVIRONMENT_TAGS)


def _check_zones(draft: Draft[Environment]) -> None:
    if not draft.given("availability_zones"):
        return
    region = draft.model.region
    for index, zone in enumerate(draft.model.availability_zones):
        if draft.given("region") and not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
            told = f"{shown(zone)} is no zone of {region}; allowed: names such as {region}a"
            draft.report(("availability_zones", index), told)
    _check_once(draft, ("availability_zones",), draft.model.availability_zones)


def _check_network(draft: Draft[Environment]) -> None:
    network = draft.model.network
    vpc = _network(draft, ("network", "cidr"), network.cidr)
    if vpc is not None and not any(vpc.subnet_of(private) for private in _PRIVATE):
        told = f"{network.cidr} is not private; allowed: a range inside {listed(_PRIVATE)}"
        draft.report(("network", "cidr"), told)
    if vpc is not None and not _LARGEST_VPC <= vpc.prefixlen <= _SMALLEST_VPC:
        told = f"/{vpc.prefixlen} is too {'large for a VPC' if vpc.prefixlen < _LARGEST_VPC else 'small for the fleet'}"
        draft.report(("network", "cidr"), f"{told}; allowed: /{_LARGEST_VPC} to /{_SMALLEST_VPC}")
    for index, cidr in enumerate(draft.model.gateway.allowed_cidrs):
        _network(draft, ("gateway", "allowed_cidrs", index), cidr)
    if network.nat_gateways > len(draft.model.availability_zones) and draft.given("availability_zones"):
        told = f"{network.nat_gateways} NAT gateways are more than the {len(draft.model.availability_zones)} zones"
        draft.report(("network", "nat_gateways"), told)
    endpoints = network.interface_endpoints
    _check_once(draft, ("network", "interface_endpoints"), endpoints)
    annotation = type(network).model_fields["interface_endpoints"].annotation
    missing = [name for name in get_args(get_args(bare_type(annotation))[0]) if name not in endpoints]
    sound = draft.is_sound(("network",), "nat_gateways") and not draft.is_misshapen("network", "interface_endpoints")
    if network.nat_gateways == 0 and missing and sound:
        told = f"without a NAT gateway nothing reaches {listed(missing, 'and')}; name them, or set nat_gateways to 1 or more"
        draft.report(("network", "interface_endpoints"), told)


def _network(draft: Draft[Environment], path: KeyPath, cidr: str) -> IPv4Network | None:
    try:
        network = IPv4Network(cidr, strict=False)
    except ValueError:
        draft.report(path, f"{shown(cidr)} is no address range; allowed: four numbers up to 255, then / and 0 to 32")
        return None
    if str(network) != cidr:
        draft.report(path, f"{shown(cidr)} names an address inside a range; did you mean {shown(str(network))}?")
    return network


def _check_fargate(draft: Draft[Environment]) -> None:
    chosen = draft.model.fargate
    path = ("fargate", "max_memory")
    is_legal = fargate.is_legal_size(chosen.max_cpu, chosen.max_memory)
    if draft.given(*path) and not is_legal and draft.is_sound(path[:1], "max_cpu"):
        legal = fargate.MEMORY_MIB_BY_CPU_UNITS[chosen.max_cpu]
        nearest = min(legal, key=lambda memory: abs(memory - chosen.max_memory))
        told = f"{chosen.max_memory} MiB are not offered with max_cpu {chosen.max_cpu}"
        draft.report(path, f"{told}; allowed: {memory_told(chosen.max_cpu)}; did you mean {nearest}?")
    if chosen.min_spot_percent and not chosen.allow_spot and draft.is_sound(path[:1], "allow_spot"):
        draft.report(("fargate", "min_spot_percent"), "has no effect without `allow_spot: true`", "warning")


def _check_alerts(draft: Draft[Environment]) -> None:
    alerts = draft.model.alerts
    for key, subscriptions in (
        ("subscriptions", alerts.subscriptions),
        ("fallback_subscriptions", alerts.fallback_subscriptions),
    ):
        told = [f"{subscription.protocol} to {subscription.parameter}" for subscription in subscriptions]
        _check_once(draft, ("alerts", key), told)
    if not alerts.subscriptions and not draft.is_misshapen("alerts", "subscriptions"):
        draft.report(("alerts", "subscriptions"), "is empty: nobody hears of an alarm", "warning")


def _check_nats(draft: Draft[Environment]) -> None:
    nats = draft.model.nats
    if not _GRAVITON.fullmatch(nats.instance_type):
        told = (
            f"{shown(nats.instance_type)} is no Graviton machine; allowed: types such as 't4g.small' and 'm7g.medium'"
        )
        draft.report(("nats", "instance_type"), told)
    if not draft.is_sound(("nats",), "volume_gib", "volume_iops", "volume_throughput_mib"):
        return
    if nats.volume_iops > nats.volume_gib * _IOPS_PER_GIB:
        told = f"{nats.volume_iops} are more than a disk of {nats.volume_gib} GiB does"
        draft.report(("nats", "volume_iops"), f"{told}; allowed: up to {nats.volume_gib * _IOPS_PER_GIB}")
    if nats.volume_throughput_mib > nats.volume_iops * _MIB_PER_IOPS:
        most = int(nats.volume_iops * _MIB_PER_IOPS)
        told = f"{nats.volume_throughput_mib} MiB/s are more than {nats.volume_iops} operations a second carry"
        draft.report(("nats", "volume_throughput_mib"), f"{told}; allowed: up to {most}")


def _check_cache(draft: Draft[Environment]) -> None:
    cache = draft.model.cache
    if cache.multi_az and cache.replicas_per_shard == 0 and draft.is_sound(("cache",), "replicas_per_shard"):
        told = "there is no replica to stand in another zone; set `replicas_per_shard` to 1 or more"
        draft.report(("cache", "multi_az"), told)
    if cache.shards > 1 and not cache.cluster_mode and draft.is_sound(("cache",), "cluster_mode"):
        told = f"{cache.shards} shards need cluster mode; set `cluster_mode: true`, or leave `shards` at 1"
        draft.report(("cache", "shards"), told)
    if cache.cluster_mode and draft.is_sound(("cache",), "cluster_mode"):
        told = "the SDK's Cache knows no shards: each service that uses the cache needs a client of its own that does"
        draft.report(("cache", "cluster_mode"), told, "warning")
    version = tuple(int(part) for part in cache.engine_version.split("."))
    fits = version in _REDIS if cache.engine == "redis" else version >= _FIRST_VALKEY
    if not fits and draft.is_sound(("cache",), "engine", "engine_version"):
        allowed = "7.0 and 7.1" if cache.engine == "redis" else "7.2 or newer"
        where = draft.most_own(("cache",), "engine_version", "engine")
        draft.report(where, f"there is no {cache.engine} {cache.engine_version}; allowed: {allowed}")
    _check_cache_windows(draft)


def _check_cache_windows(draft: Draft[Environment]) -> None:
    """Refuse windows that ElastiCache refuses: too short, too long, or one in the other."""
    cache = draft.model.cache
    if not draft.is_sound(("cache",), "maintenance_window", "snapshot_window"):
        return
    begin, end = (
        _DAYS.index(text[:3]) * _DAY_MINUTES + _minutes(text[4:]) for text in _parts(cache.maintenance_window)
    )
    maintenance_minutes = (end - begin) % _WEEK_MINUTES
    if not _SHORTEST_WINDOW_MINUTES <= maintenance_minutes <= _DAY_MINUTES:
        told = f"{shown(cache.maintenance_window)} is {maintenance_minutes} minutes long; allowed: 60 to {_DAY_MINUTES}"
        draft.report(("cache", "maintenance_window"), told)
        return
    snapshot_begin, snapshot_end = (_minutes(text) for text in _parts(cache.snapshot_window))
    snapshot_minutes = (snapshot_end - snapshot_begin) % _DAY_MINUTES
    if snapshot_minutes < _SHORTEST_WINDOW_MINUTES:
        told = f"{shown(cache.snapshot_window)} is {snapshot_minutes} minutes long; allowed: 60 or more"
        draft.report(("cache", "snapshot_window"), told)
        return
    # A daily window meets the weekly one if it begins in it, or the weekly one begins in it.
    after = (snapshot_begin - begin) % _DAY_MINUTES
    if cache.snapshot_retention_days and (after < maintenance_minutes or _DAY_MINUTES - after < snapshot_minutes):
        where = draft.most_own(("cache",), "snapshot_window", "maintenance_window")
        told = f"the snapshot window {cache.snapshot_window} meets the maintenance window {cache.maintenance_window}"
        draft.report(where, f"{told}; ElastiCache wants them apart")


def _parts(window: str) -> tuple[str, str]:
    begin, _, end = window.partition("-")
    return begin, end


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


def _check_once(draft: Draft[Environment], path: KeyPath, values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            draft.report((*path, index), f"{shown(value)} is named twice")


def _check_objectives(draft: Draft[Environment]) -> None:
    """Half of all requests cannot take longer than 99 of 100 of them."""
    every = draft.model.objectives
    path: KeyPath = ("objectives",)
    _check_percentiles(draft, path, every.max_p50_milliseconds, every.max_p99_milliseconds)
    for name, own in every.services.items():
        _check_percentiles(
            draft,
            (*path, "services", name),
            every.max_p50_milliseconds if own.max_p50_milliseconds is None else own.max_p50_milliseconds,
            every.max_p99_milliseconds if own.max_p99_milliseconds is None else own.max_p99_milliseconds,
        )


def _check_percentiles(draft: Draft[Environment], path: KeyPath, p50: float, p99: float) -> None:
    keys = ("max_p50_milliseconds", "max_p99_milliseconds")
    if p50 > p99 and draft.is_sound(("objectives",), *keys) and draft.is_sound(path, *keys):
        wrong = draft.most_own(path, *keys)
        told = f"half of all requests in {p50:g} ms, and 99 of 100 in {p99:g}: the second cannot be less"
        draft.report(wrong, told)
