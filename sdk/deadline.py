"""Deadlines: one for a whole call with all that it causes, carried from service to service.

The time that is left travels in a header, in milliseconds, and not the moment of the deadline: clocks differ. Within a process the
deadline of the request that is being handled holds for every call that its handler makes, without being passed on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

TIMEOUT_HEADER = "Timeout-Ms"
_LONGEST_SECONDS = 3600.0

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def current_deadline() -> float | None:
    """Return the deadline that holds here, on `time.monotonic`'s clock; None where there is none."""
    return _deadline.get()


def remaining_seconds() -> float | None:
    """Return the time that is left, 0 where none is; None where no deadline holds here."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def set_deadline(deadline: float | None) -> None:
    """Let a deadline hold for the rest of this task."""
    _deadline.set(deadline)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Give all calls of a block that much time together; an earlier deadline stays.

    with deadline_in(2.0):
        quests = await client.request("quest.list", …)
        rewards = await client.request("quest.rewards", …)
    """
    outer = _deadline.get()
    wanted = time.monotonic() + seconds
    token = _deadline.set(wanted if outer is None else min(outer, wanted))
    try:
        yield
    finally:
        _deadline.reset(token)


def timeout_of(headers: Mapping[str, str] | None) -> float | None:
    """Return the seconds that a caller gives; None where it does not say, or says nonsense."""
    if not headers:
        return None
    text = headers.get(TIMEOUT_HEADER, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004  # more digits than any timeout has
        return None
    return min(int(text) / 1000, _LONGEST_SECONDS)
