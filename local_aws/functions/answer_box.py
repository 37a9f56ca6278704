"""Where a custom resource's handler puts its answer: an address on loopback that takes one upload."""

from __future__ import annotations

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_LONGEST = 4096 * 16  # CloudFormation takes 4096 bytes; what is longer is read, to be refused with its length


class AnswerBox:
    """Listens while it is open, at an address that nobody can guess."""

    def __init__(self) -> None:
        self._path = f"/{secrets.token_urlsafe(24)}"
        self._arrived = threading.Event()
        self._body = b""
        box = self

        class Handler(BaseHTTPRequestHandler):
            """Takes the upload, as S3 would."""

            timeout = 10

            def do_PUT(self) -> None:
                """Keep the first answer that comes."""
                length = min(int(self.headers.get("Content-Length") or 0), _LONGEST)
                body = self.rfile.read(length)
                is_ours = self.path == box._path
                if is_ours and not box._arrived.is_set():
                    box._body = body
                    box._arrived.set()
                self.send_response(200 if is_ours else 403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing: an answer may hold secrets."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address that takes the answer."""
        return f"http://127.0.0.1:{self._server.server_port}{self._path}"

    def answer(self) -> bytes | None:
        """Return what was put, or None while nothing is there."""
        return self._body if self._arrived.is_set() else None

    def parsed(self) -> Any:
        """Return the answer as JSON says it, or None while nothing is there."""
        body = self.answer()
        return None if body is None else json.loads(body)
