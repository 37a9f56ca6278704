"""What worker and command tell one another: objects in a bucket below one prefix a run, since a task in AWS has no other way out.

plan.json              the command: what is to be done, there before any worker starts
ready-NNN.json         a worker: connected, and waiting
start.json             the command, once all are ready: the moment at which they begin together
progress-NNN.json      a worker, every few seconds
stop.json              the command, where the test is to end before its time
result-NNN.json        a worker: its measurements, or why there are none
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from sdk.aws import Aws, AwsError

PLAN, START, STOP = "plan.json", "start.json", "stop.json"
_OK, _FORBIDDEN, _NOT_FOUND, _UNAVAILABLE = 200, 403, 404, 500
_PAUSES_SECONDS = (0.5, 1.0, 2.0)


class ExchangeError(Exception):
    """The bucket cannot be read or written."""


def ready(worker: int) -> str:
    """Return where a worker says that it is ready."""
    return f"ready-{worker:03}.json"


def progress(worker: int) -> str:
    """Return where a worker says how far it is."""
    return f"progress-{worker:03}.json"


def result(worker: int) -> str:
    """Return where a worker leaves what it has measured."""
    return f"result-{worker:03}.json"


class S3Exchange:
    """A run's prefix of the bucket. Its calls block: they are made in threads."""

    def __init__(self, bucket: str, prefix: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._aws = Aws("s3")
        self._sleep = sleep
        endpoint = self._aws.endpoint()
        host = f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.{self._aws.region}.amazonaws.com"
        self._address = f"{host}/{urllib.parse.quote(prefix)}"

    def read(self, name: str) -> Mapping[str, Any] | None:
        """Return an object; None where it is not there, which to a role that may not list looks like a refusal.

        Raises:
            ExchangeError: It cannot be read.
        """
        status, content = self._send("GET", name, b"")
        if status in {_NOT_FOUND, _FORBIDDEN}:
            return None
        if status != _OK:
            raise ExchangeError(f"{self._address}{name} cannot be read: HTTP {status}")
        found: Mapping[str, Any] = json.loads(content)
        return found

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write an object.

        Raises:
            ExchangeError: It cannot be written.
        """
        status, _ = self._send("PUT", name, json.dumps(value, separators=(",", ":")).encode())
        if status != _OK:
            why = "; the task's role may not" if status == _FORBIDDEN else ""
            raise ExchangeError(f"{self._address}{name} cannot be written: HTTP {status}{why}")

    def _send(self, method: str, name: str, body: bytes) -> tuple[int, bytes]:
        """Ask, and ask again where S3 cannot answer just now: a test of an hour must not be lost by one call."""
        for pause in (*_PAUSES_SECONDS, None):
            try:
                answer = self._aws.send(method, f"{self._address}{name}", body=body)
                if answer.status < _UNAVAILABLE or pause is None:
                    return answer.status, answer.content
            except AwsError as error:
                if pause is None:
                    raise ExchangeError(f"{self._address}{name}: {error}") from error
            self._sleep(pause)
        raise AssertionError  # the last attempt has returned or raised
