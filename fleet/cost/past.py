"""The report that the platform had before, line by line, beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.cost.charge import PARTS, Part
from fleet.cost.lines import Line

PAST_USD: Mapping[Part, tuple[str, int]] = {
    "nats": ("NATS", 420),
    "cache": ("Redis", 1288),
    "services": ("ECS, 21 services", 554),
    "gateway": ("gateway", 3),
    "monitoring": ("CloudWatch", 50),
}
PAST_TOTAL_USD = 2315


@dataclass(frozen=True, slots=True)
class Compared:
    """A part of the bill, then and now."""

    part: str
    then_usd: int | None
    """None where the old report left the part out."""
    now_usd: float


def beside_the_past(lines: Iterable[Line]) -> list[Compared]:
    """Return each part of the bill, base and use together, beside what the old report said of it."""
    now = dict.fromkeys(PARTS, 0.0)
    for line in lines:
        now[line.part] += line.usd
    told: dict[Part, tuple[str, int | None]] = {part: PAST_USD.get(part, (part, None)) for part in PARTS}
    return [Compared(*told[part], usd) for part, usd in now.items()]
