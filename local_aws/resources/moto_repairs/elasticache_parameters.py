"""ElastiCache: parameter groups, which moto 5.2.5 does not have.

AWS's own groups (`default.valkey8` and so on) are there too. The parameters of a family are those that are changed in practice; a
name beyond them is kept as it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.exceptions import InvalidParameterValueException
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse

from local_aws.resources.moto_repairs.elasticache_errors import (
    InvalidParameterGroupStateError,
    ParameterGroupAlreadyExistsError,
    ParameterGroupNotFoundError,
)
from local_aws.resources.moto_repairs.patching import add, around

FAMILIES = ("memcached1.6", "redis5.0", "redis6.x", "redis7", "valkey7", "valkey8", "valkey9")
_EVICTIONS = "volatile-lru,allkeys-lru,volatile-lfu,allkeys-lfu,volatile-random,allkeys-random,volatile-ttl,noeviction"
# name, default, type, allowed values
_PARAMETERS = (
    ("activedefrag", "no", "string", "yes,no"),
    ("activerehashing", "yes", "string", "yes,no"),
    ("appendfsync", "everysec", "string", "always,everysec,no"),
    ("appendonly", "no", "string", "yes,no"),
    ("client-output-buffer-limit-pubsub-hard-limit", "33554432", "integer", "0-"),
    ("client-output-buffer-limit-pubsub-soft-limit", "8388608", "integer", "0-"),
    ("client-output-buffer-limit-pubsub-soft-seconds", "60", "integer", "0-"),
    ("close-on-replica-write", "yes", "string", "yes,no"),
    ("cluster-enabled", "no", "string", "yes,no"),
    ("databases", "16", "integer", "1-1200000"),
    ("lazyfree-lazy-eviction", "yes", "string", "yes,no"),
    ("lazyfree-lazy-expire", "yes", "string", "yes,no"),
    ("lazyfree-lazy-server-del", "yes", "string", "yes,no"),
    ("lazyfree-lazy-user-del", "yes", "string", "yes,no"),
    ("lfu-decay-time", "1", "integer", "0-"),
    ("lfu-log-factor", "10", "integer", "1-"),
    ("maxmemory-policy", "volatile-lru", "string", _EVICTIONS),
    ("maxmemory-samples", "3", "integer", "1-"),
    ("min-replicas-max-lag", "10", "integer", "0-"),
    ("min-replicas-to-write", "0", "integer", "0-"),
    ("notify-keyspace-events", "", "string", ""),
    ("reserved-memory-percent", "25", "integer", "0-100"),
    ("slowlog-log-slower-than", "10000", "integer", "-"),
    ("slowlog-max-len", "128", "integer", "0-"),
    ("tcp-keepalive", "300", "integer", "0-"),
    ("timeout", "0", "integer", "0,20-"),
)


class ParameterGroup(BaseModel):
    """A family's parameters, some of them set otherwise."""

    def __init__(self, backend: ElastiCacheBackend, name: str, family: str, description: str) -> None:
        self.cache_parameter_group_name = name
        self.cache_parameter_group_family = family
        self.description = description
        self.is_global = False
        self.values: dict[str, str] = {}
        self.arn = (
            f"arn:{backend.partition}:elasticache:{backend.region_name}:{backend.account_id}:parametergroup:{name}"
        )

    @property
    def is_own(self) -> bool:
        """Whether the group is AWS's own, which nobody changes."""
        return self.cache_parameter_group_name.startswith("default.")

    def parameters(self) -> list[dict[str, Any]]:
        """Return all parameters as DescribeCacheParameters tells them."""
        known = [
            {
                "ParameterName": name,
                "ParameterValue": self.values.get(name, default),
                "Source": "user" if name in self.values else "system",
                "DataType": kind,
                "AllowedValues": allowed,
                "IsModifiable": True,
                "ChangeType": "immediate",
            }
            for name, default, kind, allowed in _PARAMETERS
        ]
        names = {parameter["ParameterName"] for parameter in known}
        beyond = [
            {
                "ParameterName": name,
                "ParameterValue": value,
                "Source": "user",
                "DataType": "string",
                "IsModifiable": True,
            }
            for name, value in self.values.items()
            if name not in names
        ]
        return known + beyond


def _own_groups(backend: ElastiCacheBackend) -> dict[str, ParameterGroup]:
    groups = {}
    for family in FAMILIES:
        name = f"default.{family}"
        groups[name] = ParameterGroup(backend, name, family, f"Default parameter group for {family}")
        if not family.startswith("memcached"):
            clustered = ParameterGroup(
                backend,
                f"{name}.cluster.on",
                family,
                f"Customized default parameter group for {family} with cluster mode on",
            )
            clustered.values["cluster-enabled"] = "yes"
            groups[f"{name}.cluster.on"] = clustered
    return groups


def parameter_group(backend: ElastiCacheBackend, name: str) -> ParameterGroup:
    """Return a parameter group by its name."""
    try:
        return backend.parameter_groups[name]  # type: ignore[attr-defined, no-any-return]
    except KeyError:
        raise ParameterGroupNotFoundError(name) from None


def create_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """CreateCacheParameterGroup."""
    backend = self.elasticache_backend
    parameters = self._get_params()
    name, family = parameters["CacheParameterGroupName"].lower(), parameters["CacheParameterGroupFamily"]
    if name in backend.parameter_groups:  # type: ignore[attr-defined]
        raise ParameterGroupAlreadyExistsError(name)
    if family not in FAMILIES:
        raise InvalidParameterValueException(
            f"CacheParameterGroupFamily {family} is not a valid parameter group family."
        )
    group = ParameterGroup(backend, name, family, parameters["Description"])
    backend.parameter_groups[name] = group  # type: ignore[attr-defined]
    backend.tagging_service.tag_resource(group.arn, parameters.get("Tags", []))
    return ActionResult({"CacheParameterGroup": group})


def _changeable(self: ElastiCacheResponse) -> ParameterGroup:
    group = parameter_group(self.elasticache_backend, self._get_param("CacheParameterGroupName"))
    if group.is_own:
        raise InvalidParameterGroupStateError(
            f"Default parameter group {group.cache_parameter_group_name} cannot be changed."
        )
    return group


def modify_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """ModifyCacheParameterGroup."""
    group = _changeable(self)
    allowed = {name: values.split(",") for name, _, kind, values in _PARAMETERS if kind == "string" and values}
    pairs = {
        pair["ParameterName"]: str(pair.get("ParameterValue", ""))
        for pair in self._get_param("ParameterNameValues", [])
    }
    for name, value in pairs.items():
        if name in allowed and value not in allowed[name]:
            raise InvalidParameterValueException(
                f"The parameter value {value} for parameter {name} is invalid. Allowed: {', '.join(allowed[name])}."
            )
    group.values |= pairs
    return ActionResult({"CacheParameterGroupName": group.cache_parameter_group_name})


def reset_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """ResetCacheParameterGroup."""
    group = _changeable(self)
    named = [pair["ParameterName"] for pair in self._get_param("ParameterNameValues", [])]
    for name in list(group.values) if self._get_bool_param("ResetAllParameters") else named:
        group.values.pop(name, None)
    return ActionResult({"CacheParameterGroupName": group.cache_parameter_group_name})


def delete_cache_parameter_group(self: ElastiCacheResponse) -> EmptyResult:
    """DeleteCacheParameterGroup."""
    backend = self.elasticache_backend
    group = _changeable(self)
    name = group.cache_parameter_group_name
    if any(one.cache_parameter_group_name == name for one in backend.replication_groups.values()):
        raise InvalidParameterGroupStateError(f"Cache parameter group {name} is in use.")
    del backend.parameter_groups[name]  # type: ignore[attr-defined]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()


def describe_cache_parameter_groups(self: ElastiCacheResponse) -> ActionResult:
    """DescribeCacheParameterGroups."""
    backend = self.elasticache_backend
    name = self._get_param("CacheParameterGroupName")
    groups = [parameter_group(backend, name)] if name else list(backend.parameter_groups.values())  # type: ignore[attr-defined]
    return ActionResult({"CacheParameterGroups": groups})


def describe_cache_parameters(self: ElastiCacheResponse) -> ActionResult:
    """DescribeCacheParameters."""
    group = parameter_group(self.elasticache_backend, self._get_param("CacheParameterGroupName"))
    source = self._get_param("Source")
    parameters = [parameter for parameter in group.parameters() if source in {None, parameter["Source"]}]
    return ActionResult({"Parameters": parameters})


def apply() -> None:
    """Add parameter groups."""
    add(
        ElastiCacheResponse,
        create_cache_parameter_group,
        modify_cache_parameter_group,
        reset_cache_parameter_group,
        delete_cache_parameter_group,
        describe_cache_parameter_groups,
        describe_cache_parameters,
    )

    @around(ElastiCacheBackend, "__init__")
    def with_parameter_groups(
        original: Callable[..., None], backend: ElastiCacheBackend, *arguments: Any, **named: Any
    ) -> None:
        original(backend, *arguments, **named)
        backend.parameter_groups = _own_groups(backend)  # type: ignore[attr-defined]
