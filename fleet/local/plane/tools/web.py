"""One request over HTTP/1.0 by the socket itself: Python's own client takes five times as long to load as to answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import IO

CHUNK_BYTES = 1024 * 1024


class Answer:
    """A status, and the body that follows."""

    def __init__(self, status: int, length: int | None, stream: IO[bytes]) -> None:
        self.status = status
        self._length = length
        self._stream = stream

    def chunks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            OSError: It ended before its end.
        """
        left = self._length
        while left is None or left > 0:
            chunk = self._stream.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
            if not chunk:
                if left:
                    raise OSError(f"the answer ended {left} bytes before its end")
                return
            left = None if left is None else left - len(chunk)
            yield chunk

    def read(self) -> bytes:
        """Return the body."""
        return b"".join(self.chunks())


def ask(
    url: str, method: str, path: str, headers: dict[str, str], body: IO[bytes] | bytes = b"", seconds: float = 120
) -> Answer:
    """Ask a server on this machine.

    Raises:
        OSError: It does not answer, or not in time.
    """
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    length = len(body) if isinstance(body, bytes) else body.seek(0, 2)
    lines = [f"{method} {path} HTTP/1.0", f"Host: {host}:{port}", f"Content-Length: {length}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    connection = socket.create_connection((host, int(port)), timeout=seconds)
    connection.sendall(head.encode())
    if isinstance(body, bytes):
        connection.sendall(body)
    else:
        body.seek(0)
        connection.sendfile(body)
    stream = connection.makefile("rb")
    connection.close()  # the stream holds it open
    status = stream.readline().split(maxsplit=2)
    told: dict[str, str] = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        told[name.lower()] = value.strip()
    if len(status) < 2:  # noqa: PLR2004 - version and status
        raise OSError(f"{url} answered nothing")
    size = told.get("content-length")
    return Answer(int(status[1]), int(size) if size else None, stream)
