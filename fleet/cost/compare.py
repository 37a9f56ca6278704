"""What a change costs: two reports line by line, each from a synthesis or from the JSON that an earlier run wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.cost.report import SCHEMA
from fleet.errors import InputError

_SMALLEST_USD = 0.005


@dataclass(frozen=True, slots=True)
class Difference:
    """A line that costs more or less than in the other report; 0 where one of them has no such line."""

    part: str
    what: str
    is_usage: bool
    before_usd: float
    after_usd: float

    @property
    def usd(self) -> float:
        """What is added."""
        return self.after_usd - self.before_usd


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return the lines of two plain reports that differ, the largest difference first."""
    old, new = _by_line(before), _by_line(after)
    found = [Difference(*key, old.get(key, 0.0), new.get(key, 0.0)) for key in {**old, **new}]
    return sorted((each for each in found if abs(each.usd) >= _SMALLEST_USD), key=lambda each: -abs(each.usd))


def read_plain(file: Path) -> dict[str, Any]:
    """Read a report that was written with `--format json`.

    Raises:
        InputError: It is none, or of another version of this program.
    """
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {error}") from error
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA or "lines" not in plain:
        raise InputError(f"{file} is no report of `fleet cost --format json` (schema {SCHEMA})")
    return plain


def _by_line(plain: Mapping[str, Any]) -> dict[tuple[str, str, bool], float]:
    return {(line["part"], line["what"], line["is_usage"]): line["usd"] for line in plain["lines"]}
