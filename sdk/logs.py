"""Logs as lines of JSON on standard output, which is where a container's log group takes them from."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping

from sdk.circuit_breaker import Transition
from sdk.errors import CallError
from sdk.trace import current_trace

_log = logging.getLogger("sdk.calls")
# What logging puts on every record; all else was given by whoever logs.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# A harmless line of asyncio at every connection with TLS that ends: https://github.com/nats-io/nats.py/issues/574
_NOISE = "returning true from eof_received() has no effect when using ssl"


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON, with what was given as `extra`."""

    def __init__(self, *, service: str, environment: str) -> None:
        super().__init__()
        self._fixed = {"service_name": service, "environment": environment}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
            **self._fixed,
            **given,
        }
        trace = current_trace()
        if trace is not None:
            line.setdefault("trace_id", trace.trace_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


def configure_logging(*, service: str, environment: str, level: int = logging.INFO) -> None:
    """Send all logs of this process to standard output, as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service=service, environment=environment))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("asyncio").addFilter(lambda record: _NOISE not in record.getMessage())


def log_transition(transition: Transition) -> None:
    """Log that a circuit breaker has changed its state."""
    _log.warning(
        "a circuit breaker changed its state",
        extra={
            "circuit": transition.name,
            "old": transition.old.value,
            "new": transition.new.value,
            "reason": transition.reason,
        },
    )


class ErrorLog:
    """Logs every error of a call with its context; where one kind comes in masses, the rest of a second as one line with its number.

    Args:
        each_second: Errors of a kind (endpoint and class) that are logged one by one in a second.
        clock: Seconds that never go back.
    """

    def __init__(self, *, each_second: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_second = each_second
        self._clock = clock
        self._second = clock()
        self._seen: dict[tuple[str, str], int] = {}
        self._held_back: dict[tuple[str, str], tuple[CallError, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, error: CallError, extra: Mapping[str, object] | None = None) -> None:
        """Log an error."""
        now = self._clock()
        if now >= self._second + 1.0:
            self.flush()
            self._second = now
        kind = (error.endpoint, type(error).__name__)
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        if seen <= self._each_second:
            self._write(error, extra)
            return
        self._held_back[kind] = (error, seen - self._each_second)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1.0, self.flush)

    def flush(self) -> None:
        """Log what was held back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held_back, self._held_back = self._held_back, {}
        self._seen.clear()
        for error, number in held_back.values():
            self._write(error, {"repeated": number})

    @staticmethod
    def _write(error: CallError, extra: Mapping[str, object] | None) -> None:
        # `message` is a name of logging's own.
        context = {("reason" if name == "message" else name): value for name, value in error.context.items()}
        _log.warning("a call failed", extra={**context, **(extra or {})})
