"""Where time and chance come from: given from outside, so that a test decides both."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Sources:
    """A clock and a source of random bytes.

    Keys are not made from these bytes: only the operating system's own generator is good enough for them.
    """

    clock: Callable[[], datetime] = _now
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    def now(self) -> datetime:
        """Return the time in UTC and whole seconds, which is all that a certificate can hold."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def token(self) -> str:
        """Return eight random letters and digits, for names that must differ."""
        return self.random_bytes(4).hex()
