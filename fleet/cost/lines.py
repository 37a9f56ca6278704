"""Rows of the bill: charges with their prices, and the ways in which they are added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleet.cost.charge import PARTS, Charge, Part
from fleet.cost.prices import PriceBook

SPOT_DISCOUNT_PERCENT = (50.0, 70.0)
"""What Fargate Spot has floated between; the most is a ceiling and no promise."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the bill."""

    part: Part
    what: str
    quantity: float
    unit: str
    unit_usd: float
    """Price of one unit a month, the discount of Spot taken off."""
    usd: float
    least_usd: float
    """With the largest discount of Spot."""
    most_usd: float
    """With the smallest."""
    service: str | None
    assumption: str
    usage_key: str
    """The key of `cost.usage` that it follows from, if it does."""
    doubt: str
    """What is not sure about it: the price, that nobody has looked up, or the quantity."""
    prices: tuple[str, ...]
    """Keys of the price book that it stands on."""

    @property
    def is_usage(self) -> bool:
        """Whether it follows from use; otherwise it is paid though nobody uses anything."""
        return bool(self.usage_key)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data, for all services together."""
        plain = asdict(self) | {"is_usage": self.is_usage, "prices": list(self.prices)}
        del plain["service"]
        cents = {key: round(plain[key], 2) for key in ("usd", "least_usd", "most_usd")}
        return plain | cents | {"unit_usd": round(self.unit_usd, 9), "quantity": round(self.quantity, 3)}


def spot_range(discount_percent: float) -> tuple[float, float]:
    """Return between what the discount of Spot floats, with what is assumed of it inside."""
    return min(discount_percent, *SPOT_DISCOUNT_PERCENT), max(discount_percent, *SPOT_DISCOUNT_PERCENT)


def priced(charge: Charge, book: PriceBook, discount_percent: float) -> Line:
    """Return a charge with its price.

    Raises:
        KeyError: The book has no such price.
    """
    full = sum(book[key].usd * amount for key, amount in charge.terms)
    unit_usd = dear = cheap = full
    if charge.on_spot:
        least, most = spot_range(discount_percent)
        unit_usd, dear, cheap = (full * (1 - percent / 100) for percent in (discount_percent, least, most))
    unchecked = any(book[key].confidence == "unchecked" for key, _ in charge.terms)
    return Line(
        part=charge.part,
        what=charge.what,
        quantity=charge.quantity,
        unit=charge.unit,
        unit_usd=unit_usd,
        usd=unit_usd * charge.quantity,
        least_usd=cheap * charge.quantity,
        most_usd=dear * charge.quantity,
        service=charge.service,
        assumption=charge.assumption,
        usage_key=charge.usage_key,
        doubt="estimated count" if charge.is_estimate else "unchecked price" if unchecked else "",
        prices=tuple(key for key, _ in charge.terms),
    )


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return rows of the same thing added up: in the order of the parts, use last, the dearest first."""
    found: dict[tuple[str, str, bool], Line] = {}
    for line in lines:
        key = (line.part, line.what, line.is_usage)
        before = found.get(key)
        found[key] = replace(line, service=None) if before is None else _added(before, line)
    return tuple(sorted(found.values(), key=lambda line: (PARTS.index(line.part), line.is_usage, -line.usd)))


def by_service(lines: Iterable[Line]) -> dict[str, dict[str, float]]:
    """Return what each service costs by itself: its tasks, what watches them, and the rest; the dearest first."""
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        if line.service is not None:
            row = found.setdefault(line.service, {"tasks_usd": 0.0, "monitoring_usd": 0.0, "other_usd": 0.0})
            kind = {"services": "tasks", "gateway": "tasks", "monitoring": "monitoring"}.get(line.part, "other")
            row[f"{kind}_usd"] += line.usd
    rows = {name: {**row, "usd": sum(row.values())} for name, row in found.items()}
    return {
        name: {key: round(usd, 2) for key, usd in row.items()}
        for name, row in sorted(rows.items(), key=lambda item: (-round(item[1]["usd"], 2), item[0]))
    }


def _added(one: Line, other: Line) -> Line:
    return replace(
        one,
        quantity=one.quantity + other.quantity,
        usd=one.usd + other.usd,
        least_usd=one.least_usd + other.least_usd,
        most_usd=one.most_usd + other.most_usd,
    )
