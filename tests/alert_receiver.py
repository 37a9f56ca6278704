"""A subscriber on this machine: it confirms as a program of somebody's would, and keeps what it is told."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    """One request: its headers in lower case, and its body."""

    headers: Mapping[str, str]
    body: str

    @property
    def envelope(self) -> dict[str, Any]:
        """SNS's own part."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def alarm(self) -> dict[str, Any]:
        """CloudWatch's part."""
        told: dict[str, Any] = json.loads(self.envelope["Message"])
        return told


@dataclass
class AlertReceiver:
    """What was received, and how requests are answered: with the next of the statuses, or 200 when there is none."""

    url: str = ""
    confirms: bool = True
    statuses: list[int] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, received: Received) -> int:
        """Keep a request and return the status of its answer."""
        with self._changed:
            status = self.statuses.pop(0) if self.statuses else 200
            self.requests.append(received)
            self._changed.notify_all()
        if self.confirms and received.headers.get("x-amz-sns-message-type") == "SubscriptionConfirmation":
            urllib.request.urlopen(received.envelope["SubscribeURL"]).close()  # noqa: S310 - the local AWS's own
        return status

    def wait(self, seen: Callable[[Received], bool], what: str = "the message") -> Received:
        """Return the first request that is wanted, as soon as it is there."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while True:
                found = next((one for one in self.requests if seen(one)), None)
                if found:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come in {WAIT_SECONDS} seconds; there came {self.requests}"
                self._changed.wait(left)

    def notification(self, state: str, alarm: str | None = None) -> Received:
        """Wait for the message of an alarm that has got into a state."""
        return self.wait(
            lambda one: (
                one.headers.get("x-amz-sns-message-type") == "Notification"
                and one.alarm["NewStateValue"] == state
                and alarm in {None, one.alarm["AlarmName"]}
            ),
            f"{state} of {alarm or 'an alarm'}",
        )


@contextmanager
def alert_receiver(**options: Any) -> Iterator[AlertReceiver]:
    """Run a subscriber."""
    receiver = AlertReceiver(**options)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status = receiver.take(Received({key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(status)
            if status in range(300, 400):
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/alerts"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
