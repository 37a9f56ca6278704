"""The gateway as an ASGI application: a request in, one of its routes asked, an answer out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.authentication import NOBODY, VERIFIER, Authenticator, Principal
from gateway.cors import Cors
from gateway.events import Feed, stream
from gateway.exchange import Exchange, GoneError, Receive, Response, Scope, Send
from gateway.limits import Places, Rates
from gateway.mapping import UnwritableError, json_path, request_message, written
from gateway.problems import Problem, of_call
from gateway.routes import Route, Routes
from gateway.settings import GatewaySettings
from sdk import CallError, Endpoint, NATSClient, Violation
from sdk.deadline import timeout_of
from sdk.trace import set_trace

_log = logging.getLogger(__name__)
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})
# Only who waits longer than this is watched: to watch costs a task, and nearly all answers are there sooner.
_WATCHED_AFTER_SECONDS = 0.05
_STANDING = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_CLOSE = (b"connection", b"close")
_NO_CONTENT = 204
_FIRST_SERVER_ERROR = 500
PRINCIPAL_HEADER = "Principal-Id"
ROLES_HEADER = "Principal-Roles"


@dataclass(frozen=True, slots=True)
class Page:
    """What is the same for every caller, made at the start."""

    content_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Gateway:
    """Answers requests.

    Args:
        settings: Bounds and habits.
        routes: What is let in.
        client: Asks.
        authenticator: Finds out who calls.
        pages: By path, what is there besides the routes, for everyone.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        routes: Routes,
        client: NATSClient,
        authenticator: Authenticator,
        pages: Mapping[bytes, Page],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._client = client
        self._authenticator = authenticator
        self._pages = pages
        self._clock = clock
        self._cors = Cors(settings.cors_origins)
        self._rates = Rates(settings.rate_a_caller, settings.burst_a_caller, clock)
        self._places = Places(settings.max_concurrent, settings.max_concurrent_a_caller, "requests under way")
        self._streams = Places(settings.max_streams, settings.max_streams_a_caller, "streams of events")
        self.feeds = {route.events.subject: Feed(route.events) for route in routes.all if route.events is not None}
        """By subject, the events that callers may hear."""
        self.is_leaving = False
        """Set as soon as it is told to stop: callers are sent to another one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, by ASGI."""
        started = self._clock()
        exchange = Exchange(scope, receive, send)
        set_trace(exchange.trace)
        where = exchange.method
        response: Response | None = None
        try:
            exchange.check()
            if exchange.method == "OPTIONS":
                response = self._options(exchange)
            elif (page := self._pages.get(exchange.raw_path)) is not None:
                self._rates.take(self._address(exchange))
                response = self._page(exchange, page)
            else:
                route, values = self._routes.find(exchange.method, exchange.raw_path)
                where = f"{route.method} {route.path}"
                if route.events is not None:
                    await self._listen(exchange, route)
                else:
                    response = await self._ask(exchange, route, values)
        except Problem as problem:
            response = self._told(exchange, problem)
        except GoneError:
            pass  # there is nobody to tell
        except asyncio.CancelledError:
            # Only the end of the process does this: it has waited as long as it may.
            response = self._told(exchange, Problem("unavailable", "the gateway is stopping", closes=True))
        except Exception:  # noqa: BLE001  # the last one who could tell
            _log.exception("a request failed", extra={"route": where, "request_id": exchange.request_id})
            response = self._told(exchange, Problem("internal", closes=True))
        if response is not None:
            await self._send(exchange, response)
            self._note(exchange, where, response.status, self._clock() - started)

    async def _ask(self, exchange: Exchange, route: Route, values: list[str]) -> Response:
        """Return the answer of the service behind a route."""
        endpoint = route.endpoint
        assert endpoint is not None  # noqa: S101  # a route without events has one
        _check_accept(exchange, b"application/json")
        principal, caller = await self._let_in(exchange, route)
        with self._places.hold(caller):
            kind = endpoint.request_type()
            path = dict(zip(route.parameters, values, strict=True))
            message = request_message(kind, path, exchange.query, await self._body(exchange))
            self._check_owner(message, route, principal)
            reply = await self._while_there(exchange, self._reply(exchange, endpoint, message, principal))
        return Response(200, [(b"content-type", b"application/json"), *_STANDING], reply)

    async def _let_in(self, exchange: Exchange, route: Route) -> tuple[Principal, str]:
        """Return who calls, and by what name the bounds know it.

        Raises:
            Problem: It is not known, may not, or comes too often.
        """
        if self._authenticator.is_verifier(exchange.headers):
            # Without a rate, since it measures under load; its places are bounded as everybody's.
            if not (route.is_read or route.is_open or VERIFIER.roles & route.allow):
                raise Problem("forbidden", "the verifier reads; this route changes something")
            return VERIFIER, VERIFIER.id
        caller = self._address(exchange)
        if route.is_open:
            self._rates.take(caller)
            return NOBODY, caller
        # Guessing is bounded by the address; a caller that shows something good is bounded by itself alone.
        guesses = f"guesses:{caller}"
        wait = self._rates.wait_seconds(guesses)
        if wait > 0:
            raise Problem("too-many-requests", "too many tokens and keys that do not hold", retry_after_seconds=wait)
        try:
            principal = await self._authenticator.authenticate(exchange.headers)
        except Problem as problem:
            if problem.kind == "unauthenticated":
                self._rates.note(guesses)
            raise
        if not principal.roles & route.allow:
            raise Problem("forbidden", f"this route is for {' and '.join(sorted(route.allow))}")
        caller = f"principal:{principal.id}"
        self._rates.take(caller)
        return principal, caller

    def _address(self, exchange: Exchange) -> str:
        """Return the name by which the bounds know a caller that nobody knows."""
        return f"address:{exchange.address(self._settings.trusted_proxies)}"

    def _check_owner(self, message: object, route: Route, principal: Principal) -> None:
        """See that a caller whose roles let it act for itself alone does so; a field that it left out is filled in.

        Raises:
            Problem: It acts for somebody else.
        """
        owned = [self._settings.owner_fields.get(role, "") for role in principal.roles & route.allow]
        if not owned or not all(owned):
            return
        for name in owned:
            given = getattr(message, name, None)
            if given is None:
                continue
            if given == "":
                setattr(message, name, principal.id)
            elif given != principal.id:
                raise Problem("forbidden", f"{name} names somebody else; this caller acts for itself alone")

    async def _body(self, exchange: Exchange) -> bytes | None:
        """Return the body of a request; None where its method has none."""
        if exchange.method not in _BODY_METHODS:
            if exchange.has_body:
                raise Problem("malformed", f"{exchange.method} has no body")
            return None
        if exchange.headers.get(b"content-encoding", b"identity") != b"identity":
            raise Problem("unsupported-media-type", "a body comes as it is, without a content encoding")
        body = await exchange.body(self._settings.max_body_bytes, self._settings.body_seconds)
        given = exchange.headers.get(b"content-type", b"")
        if body and given.lower() not in _JSON_TYPES:
            raise Problem("unsupported-media-type", "a body is application/json, in UTF-8")
        return body

    async def _reply(self, exchange: Exchange, endpoint: Endpoint, message: object, principal: Principal) -> bytes:
        headers = {"X-Request-Id": exchange.request_id}
        if principal.id:
            headers |= {PRINCIPAL_HEADER: principal.id, ROLES_HEADER: ",".join(sorted(principal.roles))}
        kind = endpoint.request_type()
        assert isinstance(message, kind)  # noqa: S101  # it was made of this type
        given = timeout_of({"Timeout-Ms": exchange.headers.get(b"timeout-ms", b"").decode("latin-1")})
        seconds = endpoint.timeout_seconds if given is None else min(given, endpoint.timeout_seconds)
        try:
            reply = await self._client.request(
                endpoint.subject, message, endpoint.reply_type(), timeout_seconds=seconds, headers=headers
            )
        except CallError as error:
            raise of_call(error, lambda field: json_path(kind, field)) from error
        try:
            return await written(reply)
        except UnwritableError as error:
            _log.warning("an answer has no form in JSON", extra={"subject": endpoint.subject, "why": str(error)})
            raise Problem("bad-gateway") from error

    async def _while_there(self, exchange: Exchange, work: Awaitable[bytes]) -> bytes:
        """Await something, and cancel it when the caller goes away: that is no failure of anybody's."""
        task, watching = asyncio.current_task(), set[asyncio.Task[None]]()
        is_gone = False

        async def watch() -> None:
            nonlocal is_gone
            await exchange.gone()
            is_gone = True
            assert task is not None  # noqa: S101  # ASGI applications run in tasks
            task.cancel()

        timer = asyncio.get_running_loop().call_later(
            _WATCHED_AFTER_SECONDS, lambda: watching.add(asyncio.create_task(watch()))
        )
        try:
            return await work
        except asyncio.CancelledError:
            if is_gone and task is not None and task.uncancel() == 0:
                raise GoneError from None
            raise
        finally:
            timer.cancel()
            for each in watching:
                each.cancel()

    async def _listen(self, exchange: Exchange, route: Route) -> None:
        """Send events until the caller goes or they end."""
        assert route.events is not None  # noqa: S101  # such a route it is
        _check_accept(exchange, b"text/event-stream")
        principal, caller = await self._let_in(exchange, route)
        if exchange.query:
            raise Problem("malformed", violations=[Violation("", "this route takes no query")])
        feed = self.feeds[route.events.subject]
        if not feed.is_heard or self.is_leaving:
            raise Problem("unavailable", retry_after_seconds=1)
        headers = [*self._common(exchange), *_STANDING]
        if exchange.method == "HEAD":
            headers.append((b"content-type", b"text/event-stream; charset=utf-8"))
            await exchange.answer(200, headers)
            await exchange.write(b"", more=False)
            return
        with self._streams.hold(caller):
            listener = feed.join(exchange.headers.get(b"last-event-id", b"").decode("latin-1"))
            try:
                await stream(
                    exchange,
                    listener,
                    headers,
                    heartbeat_seconds=self._settings.heartbeat_seconds,
                    seconds=min(self._settings.stream_seconds, principal.seconds),
                    still_may=lambda: self._still_may(exchange, route),
                    clock=self._clock,
                )
            finally:
                feed.leave(listener)

    async def _still_may(self, exchange: Exchange, route: Route) -> bool:
        """Tell whether who was let in would be again; while nobody can tell, it would."""
        if route.is_open or self._authenticator.is_verifier(exchange.headers):
            return True
        try:
            principal = await self._authenticator.authenticate(exchange.headers)
        except Problem as problem:
            return problem.kind != "unauthenticated"
        return bool(principal.roles & route.allow)

    def _options(self, exchange: Exchange) -> Response:
        allowed = (
            ["GET", "HEAD", "OPTIONS"] if exchange.raw_path in self._pages else self._routes.allowed(exchange.raw_path)
        )
        return Response(204, [(b"allow", ", ".join(allowed).encode()), *self._cors.preflight(exchange, allowed)])

    @staticmethod
    def _page(exchange: Exchange, page: Page) -> Response:
        if exchange.method not in {"GET", "HEAD"}:
            raise Problem("method-not-allowed", "allowed: GET, HEAD", headers=[(b"allow", b"GET, HEAD, OPTIONS")])
        headers = [(b"content-type", page.content_type), (b"x-content-type-options", b"nosniff"), *page.headers]
        return Response(200, headers, page.body)

    @staticmethod
    def _told(exchange: Exchange, problem: Problem) -> Response | None:
        """Return the answer that tells of a problem; none where another one has begun."""
        if exchange.has_answer:
            return None
        body = problem.body(exchange.request_id, exchange.trace.trace_id)
        return Response(problem.status, [*problem.all_headers(), *_STANDING], body, closes=problem.closes)

    async def _send(self, exchange: Exchange, response: Response) -> None:
        headers = [*self._common(exchange), *response.headers]
        if not self.is_leaving and (response.closes or not await exchange.clear(self._settings.max_body_bytes)):
            headers.append(_CLOSE)
        if response.status != _NO_CONTENT:
            headers.append((b"content-length", str(len(response.body)).encode()))
        await exchange.answer(response.status, headers)
        await exchange.write(response.body, more=False)

    def _common(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response."""
        headers = [
            (b"x-request-id", exchange.request_id.encode()),
            (b"traceparent", exchange.trace.header.encode()),
            *self._cors.headers(exchange),
        ]
        if self.is_leaving:
            headers.append(_CLOSE)
        return headers

    def _note(self, exchange: Exchange, where: str, status: int, seconds: float) -> None:
        """Count an answer, and log it where that is wanted. Neither path nor query are logged: they name people."""
        self._client.metrics.answered(seconds, failed=status >= _FIRST_SERVER_ERROR)
        if self._settings.access_log == "all" or status >= _FIRST_SERVER_ERROR:
            _log.info(
                "answered",
                extra={
                    "route": where,
                    "status": status,
                    "elapsed_ms": round(seconds * 1000, 1),
                    "request_id": exchange.request_id,
                },
            )


def _check_accept(exchange: Exchange, offered: bytes) -> None:
    """Refuse a caller that takes no answer of the form that there is.

    Raises:
        Problem: It does not.
    """
    accept = exchange.headers.get(b"accept")
    if not accept:
        return
    family = offered.partition(b"/")[0] + b"/*"
    for each in accept.lower().split(b","):
        kind, *parameters = (part.strip() for part in each.split(b";"))
        if kind in {offered, family, b"*/*"} and not any(part in {b"q=0", b"q=0.0"} for part in parameters):
            return
    raise Problem("not-acceptable", f"the answer is {offered.decode()}")
