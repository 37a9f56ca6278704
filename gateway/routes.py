"""Which request goes where: the routes of the catalog, each with what it asks and who may. What is not here is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.problems import Problem
from sdk import ConfigurationError, Contract, Endpoint, Event

ANONYMOUS = "anonymous"
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP route."""

    method: str
    path: str
    allow: frozenset[str]
    """Roles that may use it; `anonymous` lets everyone."""
    endpoint: Endpoint | None = None
    """What it asks."""
    events: Event | None = None
    """Or what the caller hears."""

    @property
    def parameters(self) -> list[str]:
        """Names of what stands in the path for a field of the request, in order."""
        return _PARAMETER.findall(self.path)

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET" and (self.endpoint is None or self.endpoint.idempotent)

    @property
    def is_open(self) -> bool:
        """Whether everyone may use it."""
        return ANONYMOUS in self.allow


@dataclass(slots=True)
class _Node:
    """What may follow a part of a path."""

    literal: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class Routes:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._root = _Node()
        for route in self.all:
            node = self._root
            for part in route.path.split("/")[1:]:
                if _PARAMETER.fullmatch(part):
                    node.any = node.any or _Node()
                    node = node.any
                else:
                    node = node.literal.setdefault(part, _Node())
            node.methods[route.method] = route

    @classmethod
    def from_json(cls, text: str, contract: Contract) -> Routes:
        """Read the value of `GATEWAY_ROUTES`; what a route leads to is described by the contract.

        Raises:
            ConfigurationError: It is not a list of routes, or some lead nowhere; all of them are told.
        """
        try:
            entries = json.loads(text)
            read = [_read(entry) for entry in entries]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"GATEWAY_ROUTES is not the JSON of routes ({type(error).__name__}: {error}); it is a list such as "
                '[{"method": "GET", "path": "/v1/quests", "subject": "quest.list", "allow": ["player"]}]'
            ) from error
        faults: list[str] = []
        routes = [_resolved(*entry, contract, faults) for entry in read]
        seen: set[tuple[str, str]] = set()
        for route in routes:
            key = (route.method, _PARAMETER.sub("{}", route.path))
            if key in seen:
                faults.append(f"{route.method} {route.path}: there are two such routes")
            seen.add(key)
        if faults:
            raise ConfigurationError("GATEWAY_ROUTES and SERVICE_CONTRACT differ:\n  " + "\n  ".join(faults))
        return cls(routes)

    def find(self, method: str, raw_path: bytes) -> tuple[Route, list[str]]:
        """Return the route of a request and the values that its path gives, decoded.

        Raises:
            Problem: There is none, or none for this method.
        """
        node, values = self._walk(raw_path)
        route = node.methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = self._allowed(node)
            raise Problem(
                "method-not-allowed",
                f"got {method}; allowed: {', '.join(allowed)}",
                headers=[(b"allow", ", ".join(allowed).encode())],
            )
        return route, values

    def allowed(self, raw_path: bytes) -> list[str]:
        """Return the methods that a path takes.

        Raises:
            Problem: There is no such path.
        """
        return self._allowed(self._walk(raw_path)[0])

    @staticmethod
    def _allowed(node: _Node) -> list[str]:
        return sorted({*node.methods, "OPTIONS", *(["HEAD"] if "GET" in node.methods else [])})

    def _walk(self, raw_path: bytes) -> tuple[_Node, list[str]]:
        # The parts are decoded one by one: an encoded slash belongs to a value and divides nothing.
        parts = [_decoded(part) for part in raw_path.split(b"/")[1:]]
        found = _match(self._root, parts, 0, [])
        if found is None:
            raise Problem("unknown-route", "there is no such route; /openapi.json lists them all")
        return found


def _match(node: _Node, parts: list[str], at: int, values: list[str]) -> tuple[_Node, list[str]] | None:
    if at == len(parts):
        return (node, values) if node.methods else None
    part = parts[at]
    following = node.literal.get(part)
    if following is not None and (found := _match(following, parts, at + 1, values)):
        return found
    return _match(node.any, parts, at + 1, [*values, part]) if node.any is not None and part else None


def _decoded(part: bytes) -> str:
    try:
        return (unquote_to_bytes(part) if b"%" in part else part).decode()
    except UnicodeDecodeError:
        raise Problem("malformed", "the path is not UTF-8") from None


def _read(entry: Mapping[str, Any]) -> tuple[str, str, str, str, frozenset[str]]:
    method, path, allow = str(entry["method"]), str(entry["path"]), entry["allow"]
    if method not in _METHODS or not path.startswith("/") or not isinstance(allow, list):
        raise ValueError(f"{method} {path} is no route")
    subject, events = str(entry.get("subject") or ""), str(entry.get("events") or "")
    if bool(subject) == bool(events):
        raise ValueError(f"{method} {path} has one of subject and events")
    return method, path, subject, events, frozenset(map(str, allow))


def _resolved(
    method: str, path: str, subject: str, events: str, allow: frozenset[str], contract: Contract, faults: list[str]
) -> Route:
    """Return a route with what it leads to, and note what is wrong with it."""
    endpoint, event = contract.calls.get(subject), contract.subscribes.get(events)
    route = Route(method, path, allow, endpoint, event)
    where = f"{method} {path}"
    if endpoint is not None:
        fields = endpoint.request_type().DESCRIPTOR.fields_by_name
        faults.extend(
            f"{where}: {endpoint.request} has no field {name} that is one string"
            for name in route.parameters
            if name not in fields or fields[name].is_repeated or fields[name].type != fields[name].TYPE_STRING
        )
    elif event is not None:
        event.message_type()
        if method != "GET" or route.parameters:
            faults.append(f"{where}: events are heard by GET, without parameters")
    else:
        missing = f"{subject} is not in the contract's `calls`" if subject else f"{events} is not in its `subscribes`"
        faults.append(f"{where}: {missing}")
    if not allow:
        faults.append(f"{where}: nobody may use it; `allow` names at least one role")
    return route
