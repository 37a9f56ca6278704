"""Cut a list into pieces, as AWS takes so many things in one request and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(values: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield the values in pieces of at most a size."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
