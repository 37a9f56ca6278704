"""Requests to the supervisor: JSON over loopback HTTP, each by its name, from those who hold the token."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import uvicorn

from fleet.errors import FleetError

HOST = "127.0.0.1"
_MOST_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


class _Server(uvicorn.Server):
    """A server that leaves the signals to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Control:
    """Takes `POST /NAME` with a JSON object, and answers with what the handler of that name returns.

    A handler raises a `FleetError` for what the caller can mend: its text is the answer.

    Args:
        token: What a caller must show.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self._handlers: dict[str, Handler] = {}

    def register(self, name: str, handler: Handler) -> None:
        """Take requests of a name; the last who says so gets them."""
        self._handlers[name] = handler

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve within the block; gives the address."""
        listener = socket.create_server((HOST, 0))
        config = uvicorn.Config(
            self._application,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="control")
        try:
            # A connection waits in the listener until the server takes it.
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            listener.close()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        status, answer = await self._answer(scope, receive)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Any, receive: Any) -> tuple[int, Any]:
        shown = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(shown, f"Bearer {self.token}".encode()):
            return 401, {"error": "the token is missing or another plane's"}
        handler = self._handlers.get(scope["path"].removeprefix("/"))
        if handler is None or scope["method"] != "POST":
            return 404, {"error": f"there is no {scope['path']}; there are: {', '.join(sorted(self._handlers))}"}
        try:
            arguments = await _arguments(receive)
        except ValueError as error:
            return 400, {"error": f"the request is no JSON object: {error}"}
        try:
            return 200, await handler(arguments)
        except FleetError as error:
            return 409, {"error": str(error), "exit_code": error.exit_code}
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the plane
            _log.exception("%s broke", scope["path"])
            return 500, {"error": f"{scope['path']} broke: {error!r}"}


async def _arguments(receive: Any) -> dict[str, Any]:
    """Return what a request gives to its handler.

    Raises:
        ValueError: It is no JSON object, or longer than any that is meant for us.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
    arguments = json.loads(body or b"{}")
    if not isinstance(arguments, dict):
        raise ValueError(f"it is a {type(arguments).__name__}")  # noqa: TRY004 - for the caller the same as bad JSON
    return arguments
