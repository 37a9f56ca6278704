"""What a run did and found, as data: for people, for JSON and for the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tls.delivery import Delivered


@dataclass(frozen=True, slots=True)
class IssuedLeaf:
    """A certificate that was issued, or that a dry run would issue."""

    place: str
    reason: str
    certificate: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of `bring_about`."""

    store: str
    dry_run: bool
    authority: str | None
    """The id of the authority that issues; None in a dry run before there is one."""
    creates_authority: bool
    issued: tuple[IssuedLeaf, ...]
    unchanged: int
    delivered: tuple[Delivered, ...] = ()
    retired: tuple[str, ...] = ()
    superfluous: tuple[str, ...] = ()
    """What nobody asks for any more and is kept, since nobody said that it is unused."""
    findings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the store is another than before."""
        return bool(self.creates_authority or self.issued or self.retired) and not self.dry_run

    @property
    def exit_code(self) -> int:
        """0 where everything is as it should be, else 1."""
        return 1 if self.findings or any(not outcome.succeeded for outcome in self.delivered) else 0

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "store": self.store,
            "dry_run": self.dry_run,
            "changed": self.changed,
            "authority": self.authority,
            "creates_authority": self.creates_authority,
            "issued": [
                {"place": leaf.place, "reason": leaf.reason, "certificate": leaf.certificate} for leaf in self.issued
            ],
            "unchanged": self.unchanged,
            "delivered": [
                {"node": outcome.node, "succeeded": outcome.succeeded, "detail": outcome.detail}
                for outcome in self.delivered
            ],
            "retired": list(self.retired),
            "superfluous": list(self.superfluous),
            "findings": list(self.findings),
        }
