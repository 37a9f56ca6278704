"""The HTTP server of the health endpoint: GET and HEAD of a few paths, with limits on everything that a stranger sends."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from sdk.health import Answer

_log = logging.getLogger(__name__)
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,1023}) HTTP/1\.([01])", re.ASCII)
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_HEAD_END = b"\r\n\r\n"


class HealthServer:
    """Answers one request a connection and closes it, so that nothing of one request can pass for the next.

    Args:
        paths: What answers each path.
        host: Where to listen; every address by default, since the load balancer comes from outside.
        port: Any free one where 0.
        head_bytes: The longest request line with headers.
        head_seconds: The longest that they may take to come.
        answer_seconds: The longest that an answer may take.
        max_connections: At a time; more are closed at once.
    """

    def __init__(
        self,
        paths: Mapping[str, Callable[[], Awaitable[Answer]]],
        *,
        host: str = "0.0.0.0",  # noqa: S104  # a container of its own; security groups say who comes in
        port: int = 8080,
        head_bytes: int = 8192,
        head_seconds: float = 5.0,
        answer_seconds: float = 4.0,
        max_connections: int = 64,
    ) -> None:
        self._paths = paths
        self._host = host
        self._port = port
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._answer_seconds = answer_seconds
        self._max_connections = max_connections
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, self._host, self._port, limit=self._head_bytes)

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            return self._port
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End, connections included."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_connections:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            response = await self._respond(reader)
            if response:
                writer.write(response)
                async with asyncio.timeout(self._answer_seconds):
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except (TimeoutError, OSError):
            pass  # the other side is gone, or does not read
        finally:
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        """Return the whole response to what comes; nothing where nobody asks."""
        try:
            async with asyncio.timeout(self._head_seconds):
                head = await reader.readuntil(_HEAD_END)
        except asyncio.LimitOverrunError:
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {self._head_bytes} bytes of headers")
        except asyncio.IncompleteReadError:
            return b""
        except TimeoutError:
            return _refusal(HTTPStatus.REQUEST_TIMEOUT, f"the headers take longer than {self._head_seconds:g} s")
        first, *lines = head[: -len(_HEAD_END)].split(b"\r\n")
        request = _REQUEST_LINE.fullmatch(first)
        if request is None or not all(map(_HEADER.fullmatch, lines)):
            return _refusal(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
        names = [line.partition(b":")[0].lower() for line in lines]
        if request[3] == b"1" and names.count(b"host") != 1:
            return _refusal(HTTPStatus.BAD_REQUEST, "HTTP/1.1 wants one Host")
        return await self._route(request[1].decode("ascii"), request[2].decode("ascii").partition("?")[0])

    async def _route(self, method: str, path: str) -> bytes:
        answer_path = self._paths.get(path)
        if answer_path is None:
            return _refusal(HTTPStatus.NOT_FOUND, f"there is {', '.join(sorted(self._paths))}")
        if method not in {"GET", "HEAD"}:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", "Allow: GET, HEAD\r\n")
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await answer_path()
        except TimeoutError:
            answer = Answer(503, {"status": "fail", "output": f"no answer within {self._answer_seconds:g} s"})
        except Exception:  # noqa: BLE001  # a check that fails is an answer too
            _log.exception("a health check failed", extra={"path": path})
            answer = Answer(503, {"status": "fail", "output": "the check itself failed; the log says how"})
        body = json.dumps(answer.body, separators=(",", ":")).encode()
        response = _response(HTTPStatus(answer.status), "application/health+json", body)
        return response[: -len(body)] if method == "HEAD" else response


def _refusal(status: HTTPStatus, why: str, headers: str = "") -> bytes:
    return _response(status, "text/plain; charset=utf-8", f"{status.phrase}: {why}\n".encode(), headers)


def _response(status: HTTPStatus, content_type: str, body: bytes, headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{headers}\r\n"
    )
    return head.encode("ascii") + body
