"""The price book: what AWS asks for one unit, who says so, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from catalog.compose import composed
from catalog.draft import Draft, drafted
from catalog.faults import CatalogError, did_you_mean, in_order, shown
from catalog.model import Model
from catalog.source import read_source

BOOK = Path(__file__).parent / "prices.yaml"
MOST_AGE = timedelta(days=180)

Confidence = Literal["checked", "unchecked"]


class PriceRow(Model):
    """A price as the file has it."""

    usd: Annotated[float, Field(gt=0)]
    """Price of one unit, on demand."""
    unit: str
    """What is counted."""
    source: str
    """Who says so: a key of `sources`."""
    as_of: str
    """The day for which the source says it, such as 2026-07-20."""
    confidence: Confidence
    """Whether anybody has looked it up."""


class PriceFile(Model):
    """A price book as the file has it."""

    region: str
    """Region whose prices these are."""
    sources: dict[str, str]
    """Who says so, in words."""
    prices: dict[str, PriceRow]
    """The prices by key."""


@dataclass(frozen=True, slots=True)
class Price:
    """What AWS asks for one unit."""

    key: str
    usd: float
    unit: str
    region: str
    source: str
    as_of: date
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class PriceBook(Mapping[str, Price]):
    """Prices by their keys."""

    prices: Mapping[str, Price]

    def __getitem__(self, key: str) -> Price:
        return self.prices[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.prices)

    def __len__(self) -> int:
        return len(self.prices)

    def replaced_by(self, other: PriceBook) -> PriceBook:
        """Return a book in which the other one's prices take the place of ours."""
        return PriceBook({**self.prices, **other.prices})


def load_prices(file: Path = BOOK) -> PriceBook:
    """Load a price book.

    Raises:
        CatalogError: The file has errors; all of them.
    """
    root, faults = composed(read_source(file))
    draft = drafted(
        file, PriceFile, root, faults, lambda data: {"region": "us-east-1", "sources": {}, "prices": {}} | data
    )
    if draft is not None:
        _check_rows(draft)
    if draft is None or any(fault.severity == "error" for fault in faults):
        raise CatalogError(in_order(faults))
    book = draft.model
    return PriceBook(
        {
            key: Price(
                key=key,
                usd=row.usd,
                unit=row.unit,
                region=book.region,
                source=book.sources[row.source],
                as_of=date.fromisoformat(row.as_of),
                confidence=row.confidence,
            )
            for key, row in book.prices.items()
        }
    )


def stale(prices: Mapping[str, Price], today: date) -> list[Price]:
    """Return the prices that nobody has looked up for long, the oldest first."""
    return sorted(
        (price for price in prices.values() if today - price.as_of > MOST_AGE),
        key=lambda price: (price.as_of, price.key),
    )


def _check_rows(draft: Draft[PriceFile]) -> None:
    for key, row in draft.model.prices.items():
        if row.source not in draft.model.sources and draft.given("prices", key, "source"):
            told = f"{shown(row.source)} is no key of `sources`{did_you_mean(row.source, draft.model.sources)}"
            draft.report(("prices", key, "source"), told)
        if draft.given("prices", key, "as_of") and not _is_day(row.as_of):
            draft.report(("prices", key, "as_of"), f"{shown(row.as_of)} is no day; allowed: days such as 2026-07-20")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
