"""Hypothesis strategies of catalogs: every one that they draw is valid, and small enough to be synthesised."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from catalog import Catalog
from catalog.fargate import MEMORY_MIB_BY_CPU_UNITS

MOST_SERVICES = 4

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8)
_SENTENCES = st.text("ab é'\"#:&*{}[]%@`-, 😀", min_size=1, max_size=20).map(lambda text: f"Does {text}.")
_TAG_VALUES = st.text("abcdefghijklmnopqrstuvwxyz 0123456789_.:/=+@-", max_size=20)
_VERBS = ("get", "list", "put", "find")


def as_document(catalog: Catalog) -> dict[str, Any]:
    """Return a catalog as its file has it: an entry's name is its key."""
    data = catalog.model_dump()
    for entry in data["services"].values():
        del entry["name"]
    return data


def as_yaml(value: Any, indent: str = "") -> str:
    """Return plain data as YAML in block style."""
    if isinstance(value, dict) and value:
        return "".join(
            f"\n{indent}{json.dumps(key, ensure_ascii=False)}:{as_yaml(child, indent + '  ')}"
            for key, child in value.items()
        )
    if isinstance(value, list) and value:
        return "".join(f"\n{indent}-{as_yaml(child, indent + '  ')}" for child in value)
    return f" {json.dumps(value, ensure_ascii=False)}"


def catalogs(*, max_services: int = MOST_SERVICES, min_services: int = 1) -> st.SearchStrategy[Catalog]:
    """Return a strategy of valid catalogs, the gateway among their services."""
    return _documents(min_services, max_services).map(Catalog.model_validate)


@st.composite
def _documents(draw: st.DrawFn, min_services: int, max_services: int) -> dict[str, Any]:
    groups = draw(st.lists(_WORDS, min_size=1, max_size=3, unique=True).filter(lambda names: "gateway" not in names))
    count = draw(st.integers(min_services, max_services))
    # The number makes a name differ, and the ending keeps it from being another's beginning.
    names = [f"{draw(_WORDS)}{number:02}-nats" for number in range(count)]
    served = {name: draw(_served(index)) for index, name in enumerate(names)}
    services = {name: draw(_entry(name, groups, served)) for name in names}
    described = {group: {"description": draw(_SENTENCES)} for group in groups}
    gateway = {
        "name": "http-gateway",
        "group": "gateway",
        "description": "The door.",
        "owner": "edge",
        "image": {"tag": "1"},
    }
    return {
        "groups": {**described, "gateway": {"description": "The door.", "gateway": True}},
        "services": {**services, "http-gateway": gateway},
    }


@st.composite
def _served(draw: st.DrawFn, index: int) -> dict[str, Any]:
    return {
        f"part{index}.{verb}": {
            "request": f"gaming.part{index}.v1.{verb.capitalize()}Request",
            "reply": f"gaming.part{index}.v1.{verb.capitalize()}Reply",
            "timeout_seconds": draw(st.sampled_from([0.25, 1.0, 2.0, 7.5, 60.0])),
            "idempotent": draw(st.booleans()),
        }
        for verb in draw(st.lists(st.sampled_from(_VERBS), max_size=3, unique=True))
    }


@st.composite
def _kept(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw events of a service, a stream that keeps them, a consumer of that, and a bucket."""
    events, room, age = f"events.{name}.>", st.integers(1, 16), st.none() | st.integers(60, 10**6)
    return {
        "publishes": {events: {"message": "gaming.events.v1.Told"}},
        "streams": {
            name.upper(): {
                "subjects": [events],
                "max_mib": draw(room),
                "max_age_seconds": draw(age),
                "retention": draw(st.sampled_from(["limits", "interest", "workqueue"])),
            }
        },
        "consumers": {name: {"stream": name.upper(), "filter_subjects": draw(st.just([]) | st.just([events]))}},
        "buckets": {name: {"max_mib": draw(room), "history": draw(st.integers(1, 64)), "ttl_seconds": draw(age)}},
    }


@st.composite
def _entry(draw: st.DrawFn, name: str, groups: list[str], served: dict[str, dict[str, Any]]) -> dict[str, Any]:
    own = served[name]
    others = [subject for other, subjects in served.items() if other != name for subject in subjects]
    enabled = draw(st.booleans() | st.just(value=True))
    scaling = draw(st.none() | _autoscaling())
    replicas = draw(st.integers(scaling["min"], scaling["max"]) if scaling else st.integers(2, 100))
    cpu = draw(st.sampled_from(sorted(MEMORY_MIB_BY_CPU_UNITS)))
    return {
        "name": name,
        "group": draw(st.sampled_from(groups)),
        "stack": draw(st.integers(1, 3)),
        "enabled": enabled,
        "reason": draw(st.none() | _SENTENCES) if enabled else draw(_SENTENCES),
        "description": draw(_SENTENCES),
        "owner": draw(_WORDS),
        "image": draw(_image(list(served))),
        "command": draw(st.none() | st.lists(_WORDS, min_size=1, max_size=3)),
        "cpu": cpu,
        "memory": draw(st.sampled_from(MEMORY_MIB_BY_CPU_UNITS[cpu])),
        "architecture": draw(st.sampled_from(["arm64", "x86_64"])),
        "replicas": replicas,
        "spot_percent": draw(st.integers(0, 100)),
        "autoscaling": scaling,
        "environment": draw(st.dictionaries(_variables("SETTING"), _WORDS, max_size=3)),
        "secrets": draw(st.dictionaries(_variables("HIDDEN"), _secret(), max_size=2)),
        "health_check": draw(st.just({}) | _health_check()),
        "alarms": draw(st.just({}) | _alarms(scaling["min"] if scaling else replicas)),
        "nats": {
            "serves": own,
            "calls": draw(st.lists(st.sampled_from(others), unique=True)) if others else [],
            **draw(st.just({}) | _kept(name)),
        },
        "cache": draw(st.booleans()),
        "routes": [_route(name, number, subject) for number, subject in enumerate(own) if draw(st.booleans())],
        "tags": draw(st.dictionaries(_WORDS.map(lambda word: f"cost-{word}"), _TAG_VALUES, max_size=3)),
    }


def _variables(kind: str) -> st.SearchStrategy[str]:
    return st.integers(0, 99).map(lambda number: f"{kind}_{number}")


def _secret() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={"name": _WORDS, "field": _WORDS})


def _route(service: str, number: int, subject: str) -> dict[str, Any]:
    return {"method": "GET", "path": f"/v1/{service}/{number}/{{id}}", "subject": subject, "allow": ["player"]}


@st.composite
def _image(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    repository = draw(st.none() | st.sampled_from([*names, "reference-service"]))
    digest = st.integers(0, 2**256 - 1).map(lambda number: {"digest": f"sha256:{number:064x}"})
    return {"repository": repository, **draw(st.just({"tag": "1.4.2"}) | digest)}


@st.composite
def _autoscaling(draw: st.DrawFn) -> dict[str, int]:
    least = draw(st.integers(2, 100))
    return {"min": least, "max": draw(st.integers(least, 100)), "target_cpu_percent": draw(st.integers(10, 90))}


@st.composite
def _health_check(draw: st.DrawFn) -> dict[str, Any]:
    timeout = draw(st.integers(2, 60))
    return {
        "path": draw(st.sampled_from(["/health", "/", "/v1/health_check"])),
        "interval_seconds": draw(st.integers(max(timeout + 1, 5), 300)),
        "timeout_seconds": timeout,
        "retries": draw(st.integers(1, 10)),
        "start_period_seconds": draw(st.integers(0, 300)),
        "nats_outage_tolerance_seconds": draw(st.integers(60, 3600)),
    }


@st.composite
def _alarms(draw: st.DrawFn, tasks: int) -> dict[str, Any]:
    utilisation = {
        kind: {
            "max_percent": draw(st.integers(1, 100)),
            "period_seconds": draw(st.sampled_from([60, 120, 300, 600, 900, 3600])),
            **draw(_evaluation()),
        }
        for kind in ("cpu", "memory")
    }
    return {**utilisation, "tasks": {"min_running": draw(st.integers(1, tasks)), **draw(_evaluation())}}


@st.composite
def _evaluation(draw: st.DrawFn) -> dict[str, int]:
    periods = draw(st.integers(1, 60))
    return {"evaluation_periods": periods, "datapoints_to_alarm": draw(st.integers(1, periods))}
