"""What runs, in one list: the rows of `fleet local ps`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MIB = 2**20


def overview(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the processes that a supervisor's status tells of, and what is wanting.

    Args:
        status: The status, with memory.
    """
    rows = [*_others(status), *_tasks(status)]
    services = status["tasks"]["services"]
    wanting = [
        f"{service['name']}: {service['healthy']} of {service['desired']} tasks are healthy; {service['last_event']}"
        for service in services
        if not service["ready"]
    ]
    wanting += [f"{row['name']} is {row['health']}" for row in _others(status) if row["health"] != "HEALTHY"]
    if not services:
        wanting.append("nothing is deployed in the local AWS yet: make deploy")
    return {
        "processes": rows,
        "services": [
            {name: service[name] for name in ("name", "desired", "running", "healthy", "rollout", "restarts")}
            for service in services
        ],
        "memory": status["memory"],
        "minute_seconds": status["minute_seconds"],
        "wanting": wanting,
    }


def _tasks(status: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for service in status["tasks"]["services"]:
        for task in service["tasks"]:
            yield {
                "kind": "task",
                "name": service["name"],
                "id": task["id"],
                "health": task["health"],
                "pid": task["pid"],
                "port": task["ports"].get("GATEWAY_PORT") or task["ports"].get("HEALTH_PORT"),
                "memory_mib": task["memory_mib"],
                "memory_limit_mib": task["memory_limit_mib"],
                "restarts": service["restarts"],
            }


def _others(status: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what other parts run: each gives rows below its name in the status."""
    for part in status.values():
        for row in part.get("rows") or () if isinstance(part, Mapping) else ():
            yield {
                "kind": row["kind"],
                "name": row["name"],
                "id": "",
                "health": str(row["health"]).upper(),
                "pid": row["pid"],
                "port": row["port"],
                "memory_mib": round((row["memory_bytes"] or 0) / _MIB, 1),
                "memory_limit_mib": None,
                "restarts": row["restarts"],
            }
