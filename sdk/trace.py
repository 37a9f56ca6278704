"""The trace that a call belongs to, carried on in the header `traceparent` of W3C's Trace Context."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

TRACE_HEADER = "traceparent"
_FORM = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


class Trace(NamedTuple):
    """Where in which trace we are."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def header(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self) -> Trace:
        """Return a new place in the same trace."""
        return Trace(self.trace_id, _identifier(64), self.flags)


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
# Identifiers have to differ, not to be secret; the system's generator, a call of the kernel each, only seeds this one.
_generator = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311


def current_trace() -> Trace | None:
    """Return the trace that holds here."""
    return _trace.get()


def set_trace(trace: Trace) -> None:
    """Let a trace hold for the rest of this task."""
    _trace.set(trace)


def new_trace() -> Trace:
    """Begin a trace."""
    identifiers = _identifier(192)
    return Trace(identifiers[:32], identifiers[32:])


def trace_of(headers: Mapping[str, str] | None) -> Trace:
    """Return the trace that a message belongs to, a new one where it does not say."""
    found = _FORM.fullmatch(headers.get(TRACE_HEADER, "")) if headers else None
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN or found[0].startswith("ff"):
        return new_trace()
    return Trace(found[1], found[2], found[3])


def _identifier(bits: int) -> str:
    return f"{_generator.getrandbits(bits) or 1:0{bits // 4}x}"
