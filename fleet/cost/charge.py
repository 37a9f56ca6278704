"""What is paid for: one row of a bill, before it has a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOURS_A_MONTH = 730

Part = Literal["services", "gateway", "nats", "cache", "network", "monitoring", "secrets", "storage"]
PARTS: tuple[Part, ...] = (
    "services", "gateway", "nats", "cache", "network", "monitoring", "secrets", "storage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charge:
    """A quantity of something that costs money."""

    part: Part
    what: str
    quantity: float
    unit: str
    terms: tuple[tuple[str, float], ...]
    """Keys of the price book, each with how much of it one unit takes in a month."""
    service: str | None = None
    """The service that it is for; none where all share it."""
    assumption: str = ""
    """How the quantity was come by, where no template tells it."""
    usage_key: str = ""
    """The key of `cost.usage` that it follows from; without, it is paid though nobody uses anything."""
    is_estimate: bool = False
    """Whether the quantity is an estimate of how AWS counts."""
    on_spot: bool = False
    """Whether the discount of Spot is taken off."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something whose cost is not known."""

    type: str
    why: str
    count: int = 1


def hourly(key: str, each: float = 1) -> tuple[tuple[str, float], ...]:
    """Return the terms of what is paid by the hour, all month."""
    return ((key, each * HOURS_A_MONTH),)


def monthly(key: str) -> tuple[tuple[str, float], ...]:
    """Return the terms of what is paid by the month, or by use."""
    return ((key, 1),)
