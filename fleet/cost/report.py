"""The report: what an environment costs, what could not be counted, and whether it is within its budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from catalog.cost import Cost
from fleet.cost import compute
from fleet.cost.charge import HOURS_A_MONTH, Charge, Gap
from fleet.cost.coverage import LEFT_OUT, NEVER_COUNTED, base_charges
from fleet.cost.lines import Line, by_service, merged, priced, spot_range
from fleet.cost.prices import Price, PriceBook, stale
from fleet.cost.resources import Resource, Resources, UnreadableError
from fleet.cost.usage import usage_charges

SCHEMA = 1


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
        """The rows for all services together."""
        return merged(self.lines)

    @property
    def base_usd(self) -> float:
        """What is paid though nobody uses anything."""
        return sum(line.usd for line in self.lines if not line.is_usage)

    @property
    def total_usd(self) -> float:
        """Base and use."""
        return sum(line.usd for line in self.lines)

    @property
    def usage_usd(self) -> float:
        """What follows from use, in whole cents, so that base and use add up to the total as they are printed."""
        return round(round(self.total_usd, 2) - round(self.base_usd, 2), 2)

    @property
    def total_range_usd(self) -> tuple[float, float]:
        """The same with the largest and with the smallest discount of Spot."""
        return sum(line.least_usd for line in self.lines), sum(line.most_usd for line in self.lines)

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
        least, most = self.total_range_usd
        return {
            "schema": SCHEMA,
            "environment": self.environment,
            "region": self.region,
            "currency": "USD",
            "hours_a_month": HOURS_A_MONTH,
            "within_budget": self.is_within_budget,
            "verdict": self.verdict,
            "budget_usd": self.budget_usd,
            "base_usd": round(self.base_usd, 2),
            "usage_usd": self.usage_usd,
            "total_usd": round(self.total_usd, 2),
            "total_least_usd": round(least, 2),
            "total_most_usd": round(most, 2),
            "spot_discount_percent": self.spot_discount_percent,
            "scaled_out_usd": round(self.scaled_out_usd, 2),
            "lines": [line.to_plain() for line in self.merged],
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
    found = [*base_charges(resources), *usage_charges(resources, cost.usage)]
    gaps = [each for each in found if isinstance(each, Gap)]
    discount = cost.usage.spot_discount_percent
    lines = []
    for charge in found:
        if not isinstance(charge, Charge):
            continue
        if missing := [key for key, _ in charge.terms if key not in book]:
            gaps.append(Gap(charge.what, f"the price book has no {' and no '.join(missing)}"))
        else:
            lines.append(priced(charge, book, discount))
    used = {key: book[key] for line in lines for key in line.prices}
    types = Counter(resource.type for resource in resources)
    return Report(
        environment=environment,
        region=region,
        lines=tuple(lines),
        gaps=tuple(replace(gap, count=count) for gap, count in Counter(gaps).items()),
        left_out=tuple(Gap(kind, why, types[kind]) for kind, why in LEFT_OUT.items() if types[kind]),
        budget_usd=cost.max_base_usd,
        spot_discount_percent=discount,
        scaled_out_usd=sum(_room(each, resources, book, discount) for each in resources.of("AWS::ECS::Service")),
        prices=dict(sorted(used.items())),
        stale=tuple(stale(used, today)),
    )


def _room(service: Resource, resources: Resources, book: PriceBook, discount_percent: float) -> float:
    """Return what the tasks cost that a service may have beyond those that it has when nothing happens."""
    try:
        target = compute.scaling(service, resources)
        if target is None:
            return 0.0
        task = compute.one_task(resources.referred(service, service.properties.get("TaskDefinition")))
        least, most = int(target.number("MinCapacity")), int(target.number("MaxCapacity"))
        before, after = compute.providers(service, least), compute.providers(service, most)
        return sum(
            (after[on_spot] - before[on_spot]) * priced(replace(task, on_spot=on_spot), book, discount_percent).usd
            for on_spot in after
        )
    except (UnreadableError, KeyError):
        return 0.0  # what cannot be read or priced is a gap already
