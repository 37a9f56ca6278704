"""A histogram of high dynamic range: every value is kept to so many significant digits, from a microsecond to hours.

The layout is HdrHistogram's: buckets that double in width, each of as many equal parts as the digits need. So histograms of many
workers add up to exactly the histogram that one would have had, and no percentile is ever an average.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PRECISE_DIGITS = 3
COARSE_DIGITS = 2


class Histogram:
    """Counts of whole numbers, here microseconds.

    Args:
        digits: Significant digits that a value keeps.
    """

    __slots__ = ("_bits", "_half", "_limit", "counts", "digits", "highest", "lowest", "number", "total")

    def __init__(self, digits: int = PRECISE_DIGITS) -> None:
        self.digits = digits
        self._bits = math.ceil(math.log2(2 * 10**digits))
        self._limit = 1 << self._bits
        self._half = self._limit >> 1
        self.counts: dict[int, int] = {}
        self.number = 0
        self.total = 0
        self.lowest = 0
        self.highest = 0

    def record(self, value: int) -> None:
        """Count a value; one below 0 counts as 0."""
        value = max(value, 0)
        if value < self._limit:
            index = value
        else:
            shift = value.bit_length() - self._bits
            index = shift * self._half + (value >> shift)
        self.counts[index] = self.counts.get(index, 0) + 1
        if not self.number or value < self.lowest:
            self.lowest = value
        self.highest = max(self.highest, value)
        self.number += 1
        self.total += value

    def add(self, other: Histogram) -> None:
        """Count everything that another one has counted.

        Raises:
            ValueError: It keeps another number of digits.
        """
        if other.digits != self.digits:
            raise ValueError(f"a histogram of {other.digits} digits cannot be added to one of {self.digits}")
        if not other.number:
            return
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.lowest = min(self.lowest, other.lowest) if self.number else other.lowest
        self.highest = max(self.highest, other.highest)
        self.number += other.number
        self.total += other.total

    @property
    def mean(self) -> float:
        """The mean; 0 where nothing was counted."""
        return self.total / self.number if self.number else 0.0

    def percentile(self, percent: float) -> int:
        """Return the value that so many percent do not exceed, as the digits have it; 0 where nothing was counted."""
        return next(iter(self.percentiles([percent])), 0)

    def percentiles(self, percents: Iterable[float]) -> list[int]:
        """Return several percentiles, which ascend, in one go."""
        if not self.number:
            return [0 for _ in percents]
        ascending = iter(sorted(self.counts.items()))
        seen, index = 0, 0
        found = []
        for percent in percents:
            wanted = max(1, math.ceil(percent / 100 * self.number - 1e-9))
            while seen < wanted:
                index, count = next(ascending)
                seen += count
            found.append(min(self._last_value(index), self.highest))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_plain() == other.to_plain()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "digits": self.digits,
            "lowest": self.lowest,
            "highest": self.highest,
            "total": self.total,
            "counts": list(self._flat()),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Histogram:
        """Read plain data, as `to_plain` writes it."""
        made = cls(plain["digits"])
        flat = plain["counts"]
        index = 0
        for step, count in zip(flat[::2], flat[1::2], strict=True):
            index += step
            made.counts[index] = count
            made.number += count
        made.lowest, made.highest, made.total = plain["lowest"], plain["highest"], plain["total"]
        return made

    def _flat(self) -> Iterator[int]:
        """Yield for each index in turn how far it is from the one before, and its count: short numbers, which JSON likes."""
        before = 0
        for index, count in sorted(self.counts.items()):
            yield index - before
            yield count
            before = index

    def _last_value(self, index: int) -> int:
        """Return the greatest value that an index stands for."""
        if index < self._limit:
            return index
        shift = index // self._half - 1
        return ((index - shift * self._half + 1) << shift) - 1
