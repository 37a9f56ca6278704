"""The way of a caller: every service that has a route, asked through the gateway as somebody who may only read.

The key of that caller is a secret of the environment, so whoever may not read it proves nothing here. A route is asked for what is not
there: that the service says so is the proof that it was reached, and nothing is changed.
"""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from catalog.service import Route, Service
from fleet.verify.check import Check, Checks
from fleet.verify.scope import Scope

KEY = "GATEWAY_VERIFIER_KEY"
_OPEN_TO_ALL = "anonymous"
_VERIFIER = "verifier"
_PARAMETER = re.compile(r"\{[^}]+\}")
_NOBODY = "verify-nothing-is-called-so"
_SECONDS = 15.0
_ANSWERED = frozenset({"not-found", "invalid", "conflict", "unauthenticated"})
"""Problems that only the service itself can have."""
_EXPECTED = "an answer of the service"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, and the kind of problem where it is one."""

    status: int
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.status} {self.problem}".rstrip()


class Gateway:
    """The gateway of an environment.

    Args:
        address: Where it is.
        key: The verifier's.
    """

    def __init__(self, address: str, key: str) -> None:
        self.address = address.rstrip("/")
        self._key = key
        context = ssl.create_default_context()
        handlers: list[Any] = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, method: str, path: str, *, with_key: bool = True) -> Answer:
        """Ask one route.

        Raises:
            OSError: Nothing answers there.
        """
        headers = {"Accept": "application/json", **({"X-Api-Key": self._key} if with_key else {})}
        body = b"{}" if method == "POST" else None
        if body:
            headers["Content-Type"] = "application/json"
        url = f"{self.address}{path}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310 - http(s), checked before
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                return Answer(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _problem(error.read()))


def _problem(body: bytes) -> str:
    try:
        told = json.loads(body)
        return str(told["type"]).rpartition("problem-")[2]
    except (ValueError, KeyError, TypeError):
        return "no problem of ours"


def path_for(route: Route) -> str:
    """Return a path of a route, with the name of nothing for all that it names."""
    return _PARAMETER.sub(_NOBODY, route.path)


def check_gateway(scope: Scope) -> list[Check]:
    """Ask every service through the gateway."""
    checks = scope.checks()
    services = [service for service in scope.catalog.enabled if service.routes]
    gateway = _find(scope)
    if isinstance(gateway, str):
        for service in services:
            checks.unproven("gateway.answers", service.name, _EXPECTED, gateway)
        for check_id, expected in _OWN.items():
            checks.unproven(check_id, scope.name, expected, gateway)
        return checks.made
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda service: _ask(gateway, service), services)
    for service, (asked, found, reached) in zip(services, answers, strict=True):
        checks.holds("gateway.answers", service.name, reached, f"{_EXPECTED} to {asked}", found)
    _check_own(scope, checks, gateway)
    return checks.made


_OWN: Mapping[str, str] = {
    "gateway.refuses": "401 for a caller without a key",
    "error.problem": "404 unknown-route, as problem+json",
}


def _find(scope: Scope) -> Gateway | str:
    """Return the gateway, or why it cannot be asked."""
    doors = [service for service in scope.catalog.enabled if scope.catalog.is_gateway(service)]
    address = scope.gateway
    if not doors:
        return "no gateway is enabled"
    if address is None:
        return "it cannot be reached from here (--gateway names its address)"
    try:
        name = names.secret(doors[0].name, KEY, scope.name)
        key = scope.account.secretsmanager.get_secret_value(SecretId=name)["SecretString"]
    except ClientError as error:
        return f"its verifier's key cannot be read: {error.response['Error']['Code']}"
    return Gateway(address, key)


def _ask(gateway: Gateway, service: Service) -> tuple[str, str, bool]:
    """Return what was asked, what came of it, and whether the service was reached."""
    told: list[str] = []
    for route in _harmless(service):
        path = path_for(route)
        try:
            answer = gateway.ask(route.method, path)
        except OSError as error:
            return f"{route.method} {path}", str(error), False
        if answer.status == 200 or answer.problem in _ANSWERED:  # noqa: PLR2004
            return f"{route.method} {path}", str(answer), True
        told.append(f"{route.method} {path}: {answer}")
    return "any route", "; ".join(told) or "no route that may be tried", False


def _harmless(service: Service) -> Iterator[Route]:
    """Yield the routes that the verifier may use, those that read first; a POST with nothing in it is refused by the service."""
    routes = [route for route in service.routes if route.subject is not None]
    yield from (route for route in routes if route.method == "GET")
    yield from (route for route in routes if route.method == "POST" and {_OPEN_TO_ALL, _VERIFIER} & set(route.allow))


def _check_own(scope: Scope, checks: Checks, gateway: Gateway) -> None:
    """Look at what the gateway says by itself."""
    try:
        unknown = gateway.ask("GET", f"/v1/{_NOBODY}")
        closed = next(
            (r for s in scope.catalog.enabled for r in s.routes if r.method == "GET" and _OPEN_TO_ALL not in r.allow),
            None,
        )
        refused = gateway.ask("GET", path_for(closed), with_key=False) if closed else None
    except OSError as error:
        for check_id, expected in _OWN.items():
            checks.lacks(check_id, scope.name, expected, str(error))
        return
    good = unknown == Answer(404, "unknown-route")
    checks.holds("error.problem", scope.name, good, _OWN["error.problem"], str(unknown))
    if refused:
        good = refused == Answer(401, "unauthenticated")
        checks.holds("gateway.refuses", scope.name, good, _OWN["gateway.refuses"], str(refused))
