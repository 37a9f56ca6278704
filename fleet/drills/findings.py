"""What a drill expected, what it observed, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Status = Literal["held", "broken", "not seen"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation, and what came of it."""

    expected: str
    observed: str
    status: Status


@dataclass(slots=True)
class Notes:
    """Takes down what is expected together with what was observed."""

    findings: list[Finding] = field(default_factory=list)

    def expect(self, expected: str, observed: str, *, good: bool) -> bool:
        """Take down whether an expectation held."""
        self.findings.append(Finding(expected, observed, "held" if good else "broken"))
        return good

    def not_seen(self, expected: str, why: str) -> None:
        """Take down what cannot be looked at from here: no failure of the drill, and no success."""
        self.findings.append(Finding(expected, why, "not seen"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a drill comes to."""

    drill: str
    environment: str
    target: str
    """What was broken."""
    started_at: datetime
    seconds: float
    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether everything that could be looked at was as expected, and anything was."""
        return any(one.status == "held" for one in self.findings) and not self.broken

    @property
    def broken(self) -> list[Finding]:
        """What was not as expected."""
        return [one for one in self.findings if one.status == "broken"]

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "drill": self.drill,
            "environment": self.environment,
            "target": self.target,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "passed": self.passed,
            "findings": [asdict(one) for one in self.findings],
        }
