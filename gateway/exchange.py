"""One request and its answer, between ASGI's messages and what the gateway thinks in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.problems import Problem
from sdk import Trace
from sdk.trace import TRACE_HEADER, new_trace, trace_of

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(rb"[A-Za-z0-9.\[\]:_-]*")
_CLEARING_SECONDS = 1.0
_TRACE_HEADER = TRACE_HEADER.encode()


class GoneError(Exception):
    """The caller went away before it had its answer."""


@dataclass(slots=True)
class Response:
    """An answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = b""
    closes: bool = False
    """Whether it is the last one of its connection."""


class Exchange:
    """One request, as it comes.

    Args:
        scope: ASGI's description of it.
        receive: Gives its body, and tells when the caller went away.
        send: Takes the answer.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = {}
        """By lower-case name; what was there several times is joined by commas, so that nothing passes for the only one."""
        for name, value in scope["headers"]:
            self.headers[name] = value if name not in self.headers else b"%b, %b" % (self.headers[name], value)
        self.http_version: str = scope["http_version"]
        self.peer: str = scope["client"][0] if scope.get("client") else ""
        self._receive = receive
        self._send = send
        self.trace = self._trace()
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else self.trace.trace_id
        self.body_is_read = not self.has_body
        self.has_answer = False
        """Whether an answer has begun."""

    @property
    def has_body(self) -> bool:
        """Whether the request brings a body."""
        return self.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.headers

    def check(self) -> None:
        """Refuse what HTTP itself does not allow and the parser lets pass.

        Raises:
            Problem: It is such a request.
        """
        host = self.headers.get(b"host")
        if (host is None and self.http_version == "1.1") or (host is not None and not _HOST.fullmatch(host)):
            raise Problem("malformed", "HTTP/1.1 wants one header Host", closes=True)

    def address(self, trusted_proxies: int) -> str:
        """Return where the request comes from: what the outermost proxy that is ours saw."""
        if trusted_proxies:
            hops = self.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
            found = hops[-trusted_proxies].strip() if len(hops) >= trusted_proxies else ""
            if found:
                return found[:64]
        return self.peer

    async def body(self, max_bytes: int, seconds: float) -> bytes:
        """Return the body.

        Raises:
            Problem: It is too large, or does not come in time.
            GoneError: The caller went away.
        """
        if not self.has_body:
            return b""
        too_large = Problem("too-large", f"a body has at most {max_bytes} bytes")
        announced = self.headers.get(b"content-length", b"0")
        if int(announced) > max_bytes:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(seconds):
                async for part in self._parts():
                    size += len(part)
                    if size > max_bytes:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise Problem("too-slow", f"a body comes within {seconds:g} s", closes=True) from None
        return b"".join(parts)

    async def clear(self, max_bytes: int) -> bool:
        """Read what is left of the body and throw it away; return whether that was all, so that the connection can go on.

        A caller that is still sending when its connection closes may never read the answer.
        """
        if self.body_is_read:
            return True
        if self.headers.get(b"expect", b"").lower() == b"100-continue":
            return False  # it has not begun to send, and need not
        size = 0
        try:
            async with asyncio.timeout(_CLEARING_SECONDS):
                async for part in self._parts():
                    size += len(part)
                    if size > max_bytes:
                        return False
        except (TimeoutError, GoneError):
            return False
        return True

    async def gone(self) -> None:
        """Return when the caller has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin to answer."""
        self.has_answer = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool) -> None:
        """Go on with the answer; wait where the caller takes it slower than it comes."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _parts(self) -> Any:
        while not self.body_is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            self.body_is_read = not message.get("more_body", False)
            yield message.get("body", b"")

    def _trace(self) -> Trace:
        given = self.headers.get(_TRACE_HEADER)
        return trace_of({TRACE_HEADER: given.decode("latin-1")}).child() if given else new_trace()
