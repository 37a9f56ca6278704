"""The report: charges with their prices, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from catalog.cost import Cost
from fleet.cost import compute
from fleet.cost.charge import PARTS, Charge, Gap, Part
from fleet.cost.coverage import LEFT_OUT, NEVER_COUNTED, base_charges
from fleet.cost.prices import Price, PriceBook, stale
from fleet.cost.resources import Resource, Resources, UnreadableError
from fleet.cost.usage import usage_charges

SCHEMA = 1
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
    """Price of one unit a month, discounts of Spot taken off."""
    usd: float
    least_usd: float
    most_usd: float
    service: str | None
    assumption: str
    is_usage: bool
    is_unsure: bool
    """Whether nobody has looked the price up, or the quantity is an estimate."""
    prices: tuple[str, ...]
    """Keys of the price book that it stands on."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an environment costs a month."""

    environment: str
    region: str
    lines: tuple[Line, ...]
    """A row for each service; `merged` is what people read."""
    gaps: tuple[Gap, ...]
    """What costs money and could not be counted."""
    left_out: tuple[Gap, ...]
    """What costs little, by use, and is left out on purpose."""
    budget_usd: float | None
    spot_discount_percent: float
    scaled_out_usd: float
    """What it costs more while every service that scales has as many tasks as it may."""
    prices: dict[str, Price]
    """The prices that it stands on."""
    stale: tuple[Price, ...]
    """Those of them that nobody has looked up for long."""

    @property
    def merged(self) -> tuple[Line, ...]:
        """The rows without regard to services, those of a part together, the dearest first."""
        return merged(self.lines)

    @property
    def base(self) -> tuple[Line, ...]:
        """The rows that are paid though nobody uses anything."""
        return tuple(line for line in self.lines if not line.is_usage)

    @property
    def base_usd(self) -> float:
        """What is paid though nobody uses anything."""
        return sum(line.usd for line in self.base)

    @property
    def total_usd(self) -> float:
        """Base and use."""
        return sum(line.usd for line in self.lines)

    @property
    def spot_percent(self) -> tuple[float, float]:
        """The least and the most that Spot is taken to cost less."""
        return spot_range(self.spot_discount_percent)

    @property
    def foreign(self) -> list[Price]:
        """The prices that are another region's."""
        return [price for price in self.prices.values() if price.region != self.region]

    @property
    def is_within_budget(self) -> bool:
        """Whether the base is known, and at most what the environment allows."""
        return self.budget_usd is None or (not self.gaps and round(self.base_usd, 2) <= self.budget_usd)

    @property
    def verdict(self) -> str:
        """Whether the base is within its budget, in words."""
        told = f"base {self.base_usd:,.2f} USD a month"
        if self.budget_usd is None:
            return f"{told}; no budget is set (environments/{self.environment}.yaml: cost.max_base_usd)"
        told += f", at most {self.budget_usd:,.2f} allowed"
        if round(self.base_usd, 2) > self.budget_usd:
            return f"over budget: {told}"
        return f"within budget: {told}" if not self.gaps else f"not proven: {told}, and not everything could be counted"

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "schema": SCHEMA,
            "environment": self.environment,
            "region": self.region,
            "currency": "USD",
            "hours": 730,
            "within_budget": self.is_within_budget,
            "verdict": self.verdict,
            "budget_usd": self.budget_usd,
            "base_usd": round(self.base_usd, 2),
            "usage_usd": round(self.total_usd - self.base_usd, 2),
            "total_usd": round(self.total_usd, 2),
            "total_least_usd": round(sum(line.least_usd for line in self.lines), 2),
            "total_most_usd": round(sum(line.most_usd for line in self.lines), 2),
            "scaled_out_usd": round(self.scaled_out_usd, 2),
            "lines": [_rounded(line) for line in self.merged],
            "services": by_service(self.lines),
            "not_priced": [asdict(gap) for gap in self.gaps],
            "left_out": [asdict(gap) for gap in self.left_out],
            "not_counted": list(NEVER_COUNTED),
            "prices": [asdict(price) | {"as_of": price.as_of.isoformat()} for price in self.prices.values()],
            "stale_prices": [price.key for price in self.stale],
            "foreign_prices": [price.key for price in self.foreign],
        }


def make_report(
    environment: str, region: str, resources: Resources, cost: Cost, book: PriceBook, today: date
) -> Report:
    """Reckon what an environment costs."""
    found = list(base_charges(resources))
    charges = [each for each in found if isinstance(each, Charge)]
    charges += usage_charges(resources, cost.usage)
    gaps = [each for each in found if isinstance(each, Gap)]
    lines = []
    for charge in charges:
        missing = [key for key, _ in charge.terms if key not in book]
        if missing:
            gaps.append(Gap(charge.what, f"no price {' and '.join(missing)} in the price book"))
        else:
            lines.append(_priced(charge, book, cost.usage.spot_discount_percent))
    used = {key: book[key] for line in lines for key in line.prices}
    types = Counter(resource.type for resource in resources)
    return Report(
        environment=environment,
        region=region,
        lines=tuple(lines),
        gaps=tuple(_counted(gaps)),
        left_out=tuple(Gap(kind, f"{types[kind]} × {why}") for kind, why in LEFT_OUT.items() if types[kind]),
        budget_usd=cost.max_base_usd,
        spot_discount_percent=cost.usage.spot_discount_percent,
        scaled_out_usd=_scaled_out(resources, book, cost.usage.spot_discount_percent),
        prices=dict(sorted(used.items())),
        stale=tuple(stale(used, today)),
    )


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return rows of the same thing added up, in the order of the parts, the dearest first."""
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


def spot_range(discount_percent: float) -> tuple[float, float]:
    """Return between what the discount of Spot floats, with what is assumed of it inside."""
    return min(discount_percent, *SPOT_DISCOUNT_PERCENT), max(discount_percent, *SPOT_DISCOUNT_PERCENT)


def _priced(charge: Charge, book: PriceBook, discount_percent: float) -> Line:
    full = sum(book[key].usd * amount for key, amount in charge.terms)
    unit_usd, dear, cheap = full, full, full
    if charge.on_spot:
        least, most = spot_range(discount_percent)
        unit_usd, dear, cheap = (full * (1 - percent / 100) for percent in (discount_percent, least, most))
    spot = f"spot_discount_percent = {discount_percent:g}; it has floated between 50 and 70" if charge.on_spot else ""
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
        assumption=charge.assumption or spot,
        is_usage=charge.is_usage,
        is_unsure=charge.is_unsure or any(book[key].confidence == "unchecked" for key, _ in charge.terms),
        prices=tuple(key for key, _ in charge.terms),
    )


def _added(one: Line, other: Line) -> Line:
    return replace(
        one,
        quantity=one.quantity + other.quantity,
        usd=one.usd + other.usd,
        least_usd=one.least_usd + other.least_usd,
        most_usd=one.most_usd + other.most_usd,
    )


def _counted(gaps: Sequence[Gap]) -> Iterable[Gap]:
    """Yield gaps of the same kind once, with how many there are."""
    for gap, count in Counter(gaps).items():
        yield gap if count == 1 else replace(gap, why=f"{count} × {gap.why}")


def _scaled_out(resources: Resources, book: PriceBook, discount_percent: float) -> float:
    """Return what the tasks cost that services have at most beyond those that they have at least."""
    return sum(_room(service, resources, book, discount_percent) for service in resources.of("AWS::ECS::Service"))


def _room(service: Resource, resources: Resources, book: PriceBook, discount_percent: float) -> float:
    try:
        target = compute.scaling(service, resources)
        if target is None:
            return 0.0
        task = compute.one_task(resources.referred(service, service.properties.get("TaskDefinition")))
        least, most = int(target.number("MinCapacity")), int(target.number("MaxCapacity"))
        before, after = compute.providers(service, least), compute.providers(service, most)
        return sum(
            (after[on_spot] - before[on_spot]) * _priced(replace(task, on_spot=on_spot), book, discount_percent).usd
            for on_spot in after
        )
    except (UnreadableError, KeyError):
        return 0.0  # what could not be read is a gap already


def _rounded(line: Line) -> dict[str, Any]:
    plain = asdict(line)
    del plain["service"]
    for key in ("usd", "least_usd", "most_usd"):
        plain[key] = round(plain[key], 2)
    return plain | {
        "unit_usd": round(line.unit_usd, 6),
        "quantity": round(line.quantity, 3),
        "prices": list(line.prices),
    }
