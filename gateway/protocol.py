"""HTTP/1.1 on one connection: uvicorn's, with the bounds that it lacks.

uvicorn waits for a request's head without an end and without a size, and for callers that read nothing. Here a head has a size and a time,
an answer must be taken, connections have a number, and what is refused before there is a request is told as a problem, too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.problems import Problem
from sdk.trace import new_trace

_MOST_HEADERS = 100
_LONGEST_TARGET = 8192
# A connection that is closed while something still comes is reset, and the answer on its way is lost with it.
_LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    max_header_bytes: int
    head_seconds: float
    write_seconds: float
    max_connections: int


def protocol_class(bounds: Bounds) -> type[HttpToolsProtocol]:
    """Return the protocol with its bounds, as uvicorn takes it."""
    return type("BoundedProtocol", (GatewayProtocol,), {"bounds": bounds})


class GatewayProtocol(HttpToolsProtocol):
    """One connection."""

    bounds: ClassVar[Bounds]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._pending_bytes = 0
        self._refusal: Problem | None = None
        self._active: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.max_connections:
            self._refuse(Problem("unavailable", "there are too many connections now", retry_after_seconds=1))
            self.transport.close()  # this one is kept for no moment more
        else:
            self._head_timer = self.loop.call_later(self.bounds.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_head_timer()
        self._stop_write_timer()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self.pipeline.clear()
        # uvicorn tells the request that came last, and not the one before it that is being answered.
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True
            self._active.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.transport.is_closing() or self._refusal is not None:
            return
        # Blank lines are no request and stop uvicorn's timer of an idle connection.
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._head_timer = self.loop.call_later(self.bounds.head_seconds, self._head_is_late)
        super().data_received(data)
        if self._in_head:  # a header that does not end is not told of until it does
            self._pending_bytes += len(data)
            if self._pending_bytes > self.bounds.max_header_bytes + _LONGEST_TARGET:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head, self._head_bytes, self._pending_bytes = True, 0, 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.bounds.head_seconds, self._head_is_late)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        if len(self.url) > _LONGEST_TARGET:
            self._refusal = Problem("uri-too-long", f"an address has at most {_LONGEST_TARGET} bytes")
            raise ValueError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self.bounds.max_header_bytes or len(self.headers) >= _MOST_HEADERS:
            self._refusal = self._too_large()
            raise ValueError
        if self._in_head:
            super().on_header(name, value)
        # What follows a chunked body is no header: uvicorn would put it among them, for who calls and from where to be read from.

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Tell that what came is no HTTP, or more of it than we take."""
        del msg
        problem, self._refusal = self._refusal, None
        self._refuse(problem or Problem("malformed", "this is not HTTP/1.1"))

    def pause_writing(self) -> None:
        """Let the caller take what waits, in bounded time."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.bounds.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._stop_write_timer()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on to the next request, unless what came after this one was refused."""
        super().on_response_complete()
        if self._refusal is not None:
            self.transport.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head or self._refusal is not None:
            seconds = self.bounds.head_seconds
            self._refuse(Problem("too-slow", f"request line and headers come within {seconds:g} s"))
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer what is no request, and end; an answer that is under way goes first, and is the last one."""
        self._refusal = problem
        self._stop_head_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            is_waiting = bool(self.pipeline)
            self.pipeline.clear()
            if is_waiting or self.cycle.response_started or not self.cycle.more_body:
                self.cycle.keep_alive = False
                return
            # It is the body of this very request that cannot be read.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        identifier = new_trace().trace_id
        body = problem.body(identifier, identifier)
        headers = [
            *self.server_state.default_headers,
            *problem.all_headers(),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", identifier.encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[problem.status] + head + b"\r\n" + body)
        self.transport.write_eof()
        self._linger_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _too_large(self) -> Problem:
        return Problem(
            "headers-too-large",
            f"a request has at most {_MOST_HEADERS} headers with {self.bounds.max_header_bytes} bytes together",
        )

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
