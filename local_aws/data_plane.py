"""The data plane that is registered here: what it last told of what runs, and how it is asked to do something.

It tells of itself again and again, with `POST /_fleet/data-plane`, and is away once it is silent. Nothing of it is kept on disk: after a
restart nothing runs until a plane says so.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.errors import LocalAwsError

PATH = "/_fleet/data-plane"
SILENT_SECONDS = 15.0
_MOST_BYTES = 8 * 1024 * 1024

log = logging.getLogger(__name__)


class DataPlaneError(LocalAwsError):
    """The plane did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class DataPlane:
    """A plane, as it was when it last told of itself."""

    told: Mapping[str, Any]
    heard: float
    """When, on the monotonic clock."""

    @property
    def minute_seconds(self) -> float:
        """How long a minute of metrics and alarms takes while it is there."""
        return float(self.told.get("minute_seconds", 60.0))

    def call(self, name: str, arguments: Mapping[str, Any], timeout_seconds: float) -> Any:
        """Ask its control something.

        Raises:
            DataPlaneError: It refused, or did not answer in time.
        """
        request = urllib.request.Request(  # noqa: S310 - loopback, as the plane told
            f"{self.told['control']}/{name}",
            data=json.dumps(arguments).encode(),
            headers={"Authorization": f"Bearer {self.told['token']}", "Content-Type": "application/json"},
            method="POST",
        )
        try:
            with _opener.open(request, timeout=timeout_seconds) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise DataPlaneError(str(json.load(error)["error"])) from error
        except (OSError, ValueError) as error:
            raise DataPlaneError(f"the data plane does not answer: {error}") from error


# No proxy of the user's gets what is meant for loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_lock = threading.Lock()
_registered: list[DataPlane] = []

on_beat: list[Callable[[DataPlane], None]] = []
"""Called with the plane each time that it has told of itself, in that request's thread."""

on_change: list[Callable[[], None]] = []
"""Called when a listener has changed something that is kept on disk."""


def touch() -> None:
    """Say that something was changed that is kept on disk."""
    for listener in on_change:
        listener()


def current() -> DataPlane | None:
    """Return the plane that is there, or none where none is or it is silent."""
    with _lock:
        plane = _registered[0] if _registered else None
    return plane if plane and time.monotonic() - plane.heard < SILENT_SECONDS else None


def minute_seconds() -> float | None:
    """Return how long a minute takes, as long as a plane is there that measures; one that starts does not yet."""
    plane = current()
    return plane.minute_seconds if plane and plane.told.get("measures", True) else None


def tell(told: Mapping[str, Any]) -> None:
    """Take what a plane tells; without a control address it takes its leave."""
    plane = DataPlane(told, time.monotonic())
    with _lock:
        _registered[:] = [plane] if told.get("control") else []
    if told.get("control"):
        for listener in on_beat:
            listener(plane)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a plane that tells of itself."""
    status, answer = _answer(environ)
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _answer(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if environ.get("REQUEST_METHOD") != "POST" or environ.get("CONTENT_TYPE") != "application/json":
        return "405 Method Not Allowed", {"error": f"a plane tells of itself with POST {PATH} and JSON"}
    length = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        told = json.loads(environ["wsgi.input"].read(min(length, _MOST_BYTES)))
    except ValueError as error:
        return "400 Bad Request", {"error": f"no JSON: {error}"}
    if not isinstance(told, dict):
        return "400 Bad Request", {"error": "no JSON object"}
    tell(told)
    return "200 OK", {}
