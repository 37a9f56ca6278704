"""One thing that was looked at, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "wanting", "unknown", "warning", "unproven"]
"""`unproven`: the environment is not known to be wrong, but this run has seen no proof; the scorecard counts it as failed."""


@dataclass(frozen=True, slots=True)
class Check:
    """A statement about one subject, and whether it holds."""

    id: str
    """What is looked at, such as `service.desired-count`."""
    subject: str
    """Whom it is about: a service, a topic, a stack."""
    status: Status
    expected: str
    found: str
    fix: str = ""
    """What to do where it is wanting."""


@dataclass(slots=True)
class Checks:
    """Takes down what is seen of one subject after the other.

    Args:
        fix: What mends most of what may be wanting.
    """

    fix: str
    made: list[Check] = field(default_factory=list)

    def equal(self, check_id: str, subject: str, expected: Any, found: Any, fix: str | None = None) -> bool:
        """Take down whether two values are the same."""
        return self.holds(check_id, subject, expected == found, _shown(expected), _shown(found), fix)

    def holds(
        self,
        check_id: str,
        subject: str,
        good: bool,  # noqa: FBT001
        expected: str,
        found: str,
        fix: str | None = None,
    ) -> bool:
        """Take down whether a statement holds."""
        status: Status = "ok" if good else "wanting"
        self.made.append(Check(check_id, subject, status, expected, found, self.fix if fix is None else fix))
        return good

    def lacks(self, check_id: str, subject: str, expected: str, found: str, fix: str | None = None) -> None:
        """Take down something that is not as it should be."""
        self.holds(check_id, subject, good=False, expected=expected, found=found, fix=fix)

    def warn(self, check_id: str, subject: str, expected: str, found: str, fix: str = "") -> None:
        """Take down something that is worth knowing and no fault."""
        self.made.append(Check(check_id, subject, "warning", expected, found, fix))

    def unproven(self, check_id: str, subject: str, expected: str, found: str, fix: str = "") -> None:
        """Take down what this run has no proof of: no fault of the environment, and nothing to be counted as good."""
        self.made.append(Check(check_id, subject, "unproven", expected, found, fix))

    def proves(self, check_id: str, subject: str, good: bool, expected: str, found: str, fix: str = "") -> bool:  # noqa: FBT001
        """Take down whether there is proof of something that the environment itself does not tell."""
        self.made.append(Check(check_id, subject, "ok" if good else "unproven", expected, found, fix))
        return good


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(one) for one in value) or "nothing"
    return str(value)
