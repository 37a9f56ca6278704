"""The delivery of messages over HTTP: in threads of its own, so that no request waits for a subscriber."""

from __future__ import annotations

import heapq
import http.client
import ipaddress
import itertools
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from local_aws.watch.envelope import Letter, body, headers

log = logging.getLogger(__name__)

ATTEMPTS = 4  # the first and three more, as SNS has it where nobody says otherwise
_ANSWER_SECONDS = 15.0
_MOST_WAITING = 1000
_WORKERS = 4


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect might lead off this machine; SNS follows none either."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def is_here(endpoint: str) -> bool:
    """Tell whether an address is on this machine: the local AWS sends nothing anywhere else."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Attempt:
    letter: Letter
    number: int


class Post:
    """Sends letters, each until it arrives or has been tried often enough.

    Args:
        server: address of the local AWS.
        outcome: told of each letter that arrived, and of each that did not in the end, and why.
        pause_seconds: how long to wait before a letter is tried again.
        clock: seconds since 1970.
    """

    current: ClassVar[Post | None] = None
    """The one of this process, if it has one; without it, nothing is sent."""

    def __init__(
        self,
        server: str,
        outcome: Callable[[Letter, str | None], None],
        pause_seconds: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._outcome = outcome
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, _Attempt]] = []
        self._order = itertools.count()
        self._stopped = False
        self._threads = [threading.Thread(target=self._run, name="post", daemon=True) for _ in range(_WORKERS)]

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self, patience_seconds: float = 1.0) -> None:
        """Deliver no more; what is under way is waited for a little."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        deadline = time.monotonic() + patience_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def send(self, letter: Letter) -> None:
        """Take a letter; one too many has failed at once."""
        with self._changed:
            has_room = len(self._waiting) < _MOST_WAITING
            if has_room:
                self._put(_Attempt(letter, 1), 0.0)
        if not has_room:
            why = f"{_MOST_WAITING} others wait"
            log.warning("a message to %s is dropped: %s", letter.endpoint, why)
            self._outcome(letter, why)

    def _put(self, attempt: _Attempt, delay: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + delay, next(self._order), attempt))
        self._changed.notify()

    def _run(self) -> None:
        while (attempt := self._next()) is not None:
            why = self._deliver(attempt.letter)
            if why is None:
                self._outcome(attempt.letter, None)
            elif attempt.number < ATTEMPTS:
                with self._changed:
                    self._put(_Attempt(attempt.letter, attempt.number + 1), self._pause_seconds())
            else:
                log.warning("a message to %s did not arrive: %s", attempt.letter.endpoint, why)
                self._outcome(attempt.letter, why)

    def _next(self) -> _Attempt | None:
        with self._changed:
            while not self._stopped:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(wait)
            return None

    def _deliver(self, letter: Letter) -> str | None:
        """Send a letter, and return why it did not arrive."""
        content = body(letter, self._server, self._clock()).encode()
        request = urllib.request.Request(letter.endpoint, content, headers(letter), method="POST")  # noqa: S310 - http, to this machine
        try:
            with _OPENER.open(request, timeout=_ANSWER_SECONDS) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            return f"status {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return str(error)
        return None
