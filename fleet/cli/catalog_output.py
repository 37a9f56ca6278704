"""How `fleet catalog` prints: faults as text, as JSON and as annotations of a GitHub workflow; services as rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from catalog import Catalog, Fault, Service


def annotation(fault: Fault) -> str:
    """Return a fault as a command of a GitHub workflow, which shows it beside the line."""
    place = {"file": fault.file, "line": fault.line, "col": fault.column, "title": fault.key or "service catalog"}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in place.items() if value is not None)
    return f"::{fault.severity} {properties}::{_data(fault.message)}"


def verdict(file: Path, catalog: Catalog | None, environments: int, faults: Sequence[Fault]) -> str:
    """Return the last line of a check."""
    errors = sum(fault.severity == "error" for fault in faults)
    counts = [_count(errors, "error"), _count(len(faults) - errors, "warning")]
    told = " and ".join(count for count in counts if count) or "good"
    if catalog is None:
        return f"{file}: {told}"
    what = f"{_count(len(catalog.services), 'service')}, {len(catalog.enabled)} of them enabled"
    beside = f", {_count(environments, 'environment')}" if environments else ""
    return f"{file}: {what}{beside}: {told}"


def report(file: Path, catalog: Catalog | None, environments: int, faults: Sequence[Fault]) -> dict[str, Any]:
    """Return the result of a check as JSON takes it."""
    errors = sum(fault.severity == "error" for fault in faults)
    return {
        "catalog": str(file),
        "good": errors == 0,
        "errors": errors,
        "warnings": len(faults) - errors,
        "services": {"enabled": len(catalog.enabled), "disabled": len(catalog.disabled)} if catalog else None,
        "environments": environments,
        "faults": [fault.as_dict() for fault in faults],
    }


def service_record(service: Service) -> dict[str, Any]:
    """Return what a list tells of a service."""
    return {
        "name": service.name,
        "group": service.group,
        "stack": service.stack,
        "enabled": service.enabled,
        "reason": service.reason,
        "replicas": service.min_tasks if service.enabled else 0,
        "max_replicas": _most_tasks(service) if service.enabled else 0,
        "cpu": service.cpu,
        "memory": service.memory,
        "owner": service.owner,
        "description": service.description,
    }


def replicas(service: Service) -> str:
    """Return how many tasks a service has: a number, or a range where autoscaling steers it."""
    if not service.enabled:
        return "0"
    most = _most_tasks(service)
    return str(most) if most == service.min_tasks else f"{service.min_tasks} to {most}"


def value_text(value: object) -> str:
    """Return a value as a table shows it."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(map(value_text, value)) or "[]"
        case dict():
            return "{}"
        case _:
            return str(value)


def plain_value(value: object) -> object:
    """Return a value as JSON takes it."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def _most_tasks(service: Service) -> int:
    return service.autoscaling.max if service.autoscaling else service.replicas


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
