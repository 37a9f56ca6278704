"""What a container is told of its contract and of the gateway's routes."""

from __future__ import annotations

import json
from typing import Any

from catalog.catalog import Catalog
from catalog.service import Service, Subject


def called_subjects(catalog: Catalog, service: Service) -> list[str]:
    """Return the subjects that a service may ask: those that it names, and for a gateway those of its routes."""
    routed = [route.subject for route in catalog.routes] if catalog.is_gateway(service) else []
    return sorted({*service.nats.calls, *routed})


def service_contract(catalog: Catalog, service: Service) -> str:
    """Return the subjects that a service answers and asks, as compact JSON: `{"serves": {SUBJECT: …}, "calls": {SUBJECT: …}}`.

    A called subject comes with its types, timeout and whether it may be tried again, as whoever serves it declared; one that no
    enabled service answers is left out, since asking would fail.
    """
    served = catalog.subjects
    contract = {
        "serves": {name: _subject(subject) for name, subject in service.nats.serves.items()},
        "calls": {name: _subject(served[name]) for name in called_subjects(catalog, service) if name in served},
    }
    return _compact(contract)


def gateway_routes(catalog: Catalog) -> str:
    """Return every route of the gateway as compact JSON: `[{"method", "path", "subject", "allow"}, …]`."""
    return _compact([route.model_dump() for route in catalog.routes])


def _subject(subject: Subject) -> dict[str, Any]:
    return subject.model_dump()


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
