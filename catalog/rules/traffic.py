"""Subjects, their messages and the gateway's routes: whatever is asked must be answered by exactly one service."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.faults import KeyPath, did_you_mean, listed, shown
from catalog.proto_messages import declared_messages
from catalog.service import Route, Service
from catalog.subjects import first_covering

_PARAMETER = re.compile(r"\{([a-z0-9_]+)\}")


def check(draft: Draft[Catalog]) -> None:
    """Note faults of the NATS contracts and the routes."""
    messages = declared_messages(draft.file.parent / "proto")
    servers = _servers(draft)
    for service in draft.model.services.values():
        _check_calls(draft, service, servers)
        if messages:
            _check_messages(draft, service, messages)
        _check_routes(draft, service, messages)
    _check_served_once(draft, servers)
    _check_routes_differ(draft)
    _check_gateway(draft)


def _servers(draft: Draft[Catalog]) -> dict[str, list[str]]:
    """Return who serves each subject, entries with faults included: what they serve is no fault of their callers."""
    servers: dict[str, list[str]] = {}
    for name, entry in draft.whole.get("services") or ():
        for subject, _ in entry.get("nats", "serves") or ():
            servers.setdefault(str(subject), []).append(str(name))
    return servers


def _check_calls(draft: Draft[Catalog], service: Service, servers: Mapping[str, list[str]]) -> None:
    path = ("services", service.name, "nats", "calls")
    first: dict[str, int] = {}
    for index, subject in enumerate(service.nats.calls):
        if first.setdefault(subject, index) != index:
            draft.report((*path, index), f"{shown(subject)} is named twice")
            continue
        answering = servers.get(subject, [])
        disabled = [
            name for name in answering if name in draft.model.services and not draft.model.services[name].enabled
        ]
        if not answering:
            told = f"nobody serves {shown(subject)}; name a subject that a service serves"
            draft.report((*path, index), f"{told}{did_you_mean(subject, servers)}")
        elif service.name in answering:
            draft.report((*path, index), f"the service calls itself: {shown(subject)} is its own subject")
        elif disabled == answering and service.enabled:
            told = f"{service.name} calls {shown(subject)}, which only {listed(disabled, 'and')} serves, and that is disabled"
            draft.report((*path, index), told, "warning")


def _check_messages(draft: Draft[Catalog], service: Service, messages: Mapping[str, frozenset[str]]) -> None:
    for name, subject in service.nats.serves.items():
        for key in ("request", "reply"):
            message = getattr(subject, key)
            if message not in messages:
                told = f"proto/ declares no message {shown(message)}{did_you_mean(message, messages)}"
                draft.report(("services", service.name, "nats", "serves", name, key), told)


def _check_routes(draft: Draft[Catalog], service: Service, messages: Mapping[str, frozenset[str]]) -> None:
    whole = draft.whole.get("services", service.name, "nats", "serves")
    served = [str(subject) for subject, _ in whole or ()]
    for index, route in enumerate(service.routes):
        path = ("services", service.name, "routes", index)
        parameters = _PARAMETER.findall(route.path)
        for parameter in [name for name, count in Counter(parameters).items() if count > 1]:
            draft.report((*path, "path"), f"the parameter {shown(parameter)} stands in the path twice")
        if not draft.is_sound(path, "subject", "events"):
            continue
        if (route.subject is None) == (route.events is None):
            told = "a route leads to a `subject` that answers, or to `events` that are heard as they come; name one of them"
            draft.report(path, told)
        elif route.events is not None:
            _check_event_route(draft, path, service, route, route.events)
        elif route.subject not in served:
            told = f"the service does not serve {shown(route.subject)}; allowed: {listed(served)}"
            draft.report((*path, "subject"), f"{told}{did_you_mean(str(route.subject), served)}")
        elif subject := service.nats.serves.get(str(route.subject)):
            _check_parameters(draft, (*path, "path"), parameters, subject.request, messages.get(subject.request))


def _check_event_route(draft: Draft[Catalog], path: KeyPath, service: Service, route: Route, events: str) -> None:
    whole = draft.whole.get("services", service.name, "nats", "publishes")
    told = [str(subject) for subject, _ in whole or ()]
    if first_covering(told, events) is None:
        draft.report(
            (*path, "events"), f"the service does not tell {shown(events)}; its events: {listed(told) or 'none'}"
        )
    if route.method != "GET":
        draft.report((*path, "method"), f"{route.method} is no method for events; allowed: GET")
    if _PARAMETER.search(route.path):
        draft.report((*path, "path"), "a route of events sends no request, so its path has no parameters")


def _check_parameters(
    draft: Draft[Catalog], path: KeyPath, parameters: list[str], request: str, fields: frozenset[str] | None
) -> None:
    for parameter in dict.fromkeys(parameters):
        if fields is not None and parameter not in fields:
            told = f"the request {request} has no field {shown(parameter)}; allowed: {listed(sorted(fields))}"
            draft.report(path, f"{told}{did_you_mean(parameter, fields)}")


def _check_served_once(draft: Draft[Catalog], servers: Mapping[str, list[str]]) -> None:
    for subject, (first, *others) in servers.items():
        for other in others:
            draft_path: KeyPath = ("services", other, "nats", "serves", subject)
            if draft.given(*draft_path):
                line = draft.key_position(("services", first, "nats", "serves", subject)).line
                told = f"{shown(subject)} is served by {shown(first)} too (line {line}); a subject has one server"
                draft.report_key(draft_path, told)


def _check_routes_differ(draft: Draft[Catalog]) -> None:
    first: dict[tuple[str, str], tuple[str, int]] = {}
    for service in draft.model.services.values():
        for index, route in enumerate(service.routes):
            path: KeyPath = ("services", service.name, "routes", index)
            key = (route.method, _PARAMETER.sub("{}", route.path))
            owner, other = first.setdefault(key, (service.name, index))
            if (owner, other) != (service.name, index):
                line = draft.position(("services", owner, "routes", other)).line
                told = f"{route.method} {route.path} is a route of {shown(owner)} already (line {line})"
                draft.report((*path, "path"), f"{told}; the names of parameters do not tell routes apart")


def _check_gateway(draft: Draft[Catalog]) -> None:
    if any(draft.model.groups[s.group].gateway for s in draft.model.enabled if s.group in draft.model.groups):
        return
    for service in draft.model.enabled:
        if service.routes:
            told = "these routes lead nowhere: no enabled service is in a group with `gateway: true`"
            draft.report_key(("services", service.name, "routes"), told, "warning")
