"""What the NATS cluster of an environment is asked to be: its nodes, its limits, and what each service may do on it."""

from __future__ import annotations

from typing import Any

from catalog import names
from catalog.catalog import Catalog
from catalog.contract import contract
from catalog.environment import Environment
from catalog.faults import CatalogError, Fault, shown

KIB, MIB, GIB = 2**10, 2**20, 2**30


def cluster_request(catalog: Catalog, environment: Environment) -> dict[str, Any]:
    """Return what is asked of the cluster, as `nats_platform.ClusterRequest.from_plain` reads it.

    Raises:
        CatalogError: Streams and buckets ask for more room than the nodes' disks have.
    """
    nats = environment.nats
    store_bytes = nats.volume_gib * GIB * nats.store_percent // 100
    request = {
        "environment": environment.name,
        "node_domain": names.NATS_DOMAIN,
        "client_domain": names.SERVICE_DOMAIN,
        "nodes": [{"name": node, "zone": zone_of(environment, index)} for index, node in enumerate(names.NATS_NODES)],
        "limits": {
            "store_bytes": store_bytes,
            "max_payload_bytes": nats.max_payload_kib * KIB,
            "max_connections": nats.max_connections,
            "sync_always": nats.sync_always,
        },
        "services": {service.name: _lean(contract(catalog, service)) for service in catalog.enabled},
        "streams": {
            name: _stream(stream.model_dump())
            for service in catalog.enabled
            for name, stream in service.nats.streams.items()
        },
        "consumers": {
            name: consumer.model_dump()
            for service in catalog.enabled
            for name, consumer in service.nats.consumers.items()
        },
        "buckets": {
            name: {"max_bytes": bucket.max_mib * MIB, "history": bucket.history, "ttl_seconds": bucket.ttl_seconds}
            for service in catalog.enabled
            for name, bucket in service.nats.buckets.items()
        },
    }
    _check_room(request, environment, store_bytes)
    return request


def zone_of(environment: Environment, index: int) -> str:
    """Return the zone of a node by its place among the nodes; with two zones, two nodes share one."""
    return environment.availability_zones[index % len(environment.availability_zones)]


def _lean(whole: dict[str, Any]) -> dict[str, Any]:
    """Return what permissions are made of: the messages that a contract names are between the services."""
    served = {
        subject: {key: described[key] for key in ("timeout_seconds", "idempotent")}
        for subject, described in whole.get("serves", {}).items()
    }
    listed = {key: list(part) for key, part in whole.items() if key not in {"serves", "consumers"}}
    consumers = {name: {"stream": place["stream"]} for name, place in whole.get("consumers", {}).items()}
    return {key: part for key, part in {**listed, "serves": served, "consumers": consumers}.items() if part}


def _stream(plain: dict[str, Any]) -> dict[str, Any]:
    max_mib, max_kib = plain.pop("max_mib"), plain.pop("max_message_kib")
    return {**plain, "max_bytes": max_mib * MIB, "max_message_bytes": None if max_kib is None else max_kib * KIB}


def _check_room(request: dict[str, Any], environment: Environment, store_bytes: int) -> None:
    """Refuse what JetStream would refuse when it is applied: each node sets the room of every stream and bucket aside."""
    wanted = sum(kept["max_bytes"] for key in ("streams", "buckets") for kept in request[key].values())
    if wanted <= store_bytes:
        return
    told = (
        f"streams and buckets of the catalog set {wanted // MIB} MiB aside, and JetStream may fill {store_bytes // MIB} MiB "
        f"({environment.nats.store_percent} % of volume_gib {environment.nats.volume_gib}) in {shown(environment.name)}; "
        "make the disk larger, or their max_mib smaller"
    )
    raise CatalogError([Fault(f"environments/{environment.name}.yaml", None, None, "nats.volume_gib", told)])
