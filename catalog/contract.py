"""What a service is told of its contract, and the gateway of its routes."""

from __future__ import annotations

import json
from typing import Any

from catalog.catalog import Catalog
from catalog.service import Service
from catalog.subjects import first_covering


def called_subjects(catalog: Catalog, service: Service) -> list[str]:
    """Return the subjects that a service may ask: those that it names, and for a gateway those of its routes."""
    routed = [route.subject for route in catalog.routes if route.subject] if catalog.is_gateway(service) else []
    return sorted({*service.nats.calls, *routed})


def heard_subjects(catalog: Catalog, service: Service) -> list[str]:
    """Return the events that a service may hear: those that it names, and for a gateway those of its routes."""
    routed = [route.events for route in catalog.routes if route.events] if catalog.is_gateway(service) else []
    return sorted({*service.nats.subscribes, *routed})


def contract(catalog: Catalog, service: Service) -> dict[str, Any]:
    """Return what a service may do on NATS, as plain data; keys that would be empty are not there.

    `serves` and `calls` are subjects with their types, timeout and whether they may be tried again; `publishes` and `subscribes`
    are subjects of events with their message; `streams`, `consumers` and `buckets` are what JetStream keeps for the service. A
    called subject is described as whoever serves it declared it, and one that no enabled service answers is left out, since
    asking would fail; so it is with events.
    """
    served, told, own = catalog.subjects, catalog.events, service.nats
    heard = {name: first_covering(told, name) for name in heard_subjects(catalog, service)}
    parts: dict[str, Any] = {
        "serves": {name: subject.model_dump() for name, subject in own.serves.items()},
        "calls": {name: served[name].model_dump() for name in called_subjects(catalog, service) if name in served},
        "publishes": {name: event.model_dump() for name, event in own.publishes.items()},
        "subscribes": {name: told[pattern].model_dump() for name, pattern in heard.items() if pattern},
        "streams": {name: {"subjects": stream.subjects} for name, stream in own.streams.items()},
        "consumers": {
            name: {"stream": consumer.stream, "filter_subjects": consumer.filter_subjects}
            for name, consumer in own.consumers.items()
        },
        "buckets": {name: {} for name in own.buckets},
    }
    return {key: part for key, part in parts.items() if part}


def service_contract(catalog: Catalog, service: Service) -> str:
    """Return a service's contract as compact JSON, for its container."""
    return compact(contract(catalog, service))


def gateway_routes(catalog: Catalog) -> str:
    """Return every route of the gateway as compact JSON: `[{"method", "path", "subject" or "events", "allow"}, …]`."""
    return compact([route.model_dump(exclude_none=True) for route in catalog.routes])


def compact(value: object) -> str:
    """Return plain data as JSON without a byte too many; the same data gives the same text."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
