"""Health over HTTP: the server that every service has on port 8080, and the probe that ECS runs inside the container.

    python -m sdk.health_check_http --probe http://127.0.0.1:8080/health

ends with 0 where the answer is 2xx and with 1 where it is not, or does not come in time. The image has neither shell nor curl, so this
is the probe; it runs every few seconds on a quarter of a core, so it imports next to nothing: the server's names are loaded when
they are used.

    health = Health(service="quest-system-nats", version="1.0.0", nats=client.link, outage_tolerance_seconds=180)
    async with HealthServer(health.paths(), port=8080):
        ...
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from sdk.lazy import lazy_attributes

if TYPE_CHECKING:
    from sdk.health import Answer, Health, NatsState
    from sdk.health_server import HealthServer

__all__ = ["Answer", "Health", "HealthServer", "NatsState", "main", "probe"]

if not TYPE_CHECKING:  # else a type checker would take every name for one that is there
    __getattr__ = lazy_attributes(
        __name__,
        {
            "Answer": "sdk.health",
            "Health": "sdk.health",
            "NatsState": "sdk.health",
            "HealthServer": "sdk.health_server",
        },
    )

_USAGE = "usage: python -m sdk.health_check_http --probe http://HOST:PORT/PATH [--timeout SECONDS]"
_ANSWER_BYTES = 65_536


def probe(url: str, timeout_seconds: float = 4.0) -> tuple[bool, str]:
    """Ask an endpoint; return whether it answered 2xx, and what it said.

    Raises:
        ValueError: It is no address of the kind.
    """
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    if (
        scheme != "http"
        or not host
        or not port.isdigit()
        or not rest.isascii()
        or not rest.isprintable()
        or " " in rest
    ):
        raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8080/health")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_seconds) as connection:
            connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n".encode("ascii"))
            answer = b""
            while len(answer) < _ANSWER_BYTES and (part := connection.recv(_ANSWER_BYTES)):
                answer += part
    except OSError as error:
        return False, str(error) or type(error).__name__
    status = answer.split(b" ", 2)[1:2]
    told = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace").strip()
    return bool(status) and status[0].startswith(b"2") and answer.startswith(b"HTTP/1."), told or "no answer"


def main(arguments: list[str]) -> int:
    """Run the probe."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or "--probe" not in options or not set(options) <= {"--probe", "--timeout"}:
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    try:
        is_healthy, told = probe(options["--probe"], float(options.get("--timeout", "4")))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n{_USAGE}\n")
        return 2
    sys.stdout.write(f"{told}\n")
    return 0 if is_healthy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
