"""Print the scorecard: a line a category, and what keeps it from being whole."""

from __future__ import annotations

from typing import Any

from fleet.cli.output import styled, table
from fleet.verify.scorecard import Score, Scorecard

_WHOLE = 1000
_SHOWN = 2
_LONGEST = 100


def scorecard_text(card: Scorecard) -> str:
    """Return the scorecard as a table; one that could say more does so in `--format json`."""
    rows: list[tuple[object, ...]] = [
        (score.category, f"{score.passed}/{score.total}", f"{score.percent:.1f} %", _lacking(score))
        for score in card.scores
    ]
    overall = ("overall", "", f"{card.overall:.1f} %", "the mean of the nine")
    return table(("readiness", "passed", "score", "not passed"), [*rows, overall], right=[1, 2])


def scorecard_plain(card: Scorecard) -> dict[str, Any]:
    """Return the scorecard as plain data; the checks themselves stand beside it."""
    return {
        "overall_percent": card.overall,
        "categories": [
            {
                "category": str(score.category),
                "percent": score.percent,
                "passed": score.passed,
                "total": score.total,
                "not_passed": [
                    {"id": check.id, "subject": check.subject, "status": check.status, "found": check.found}
                    for check in score.lacking
                ],
            }
            for score in card.scores
        ],
    }


def _lacking(score: Score) -> str:
    if not score.total:
        return styled("nothing proves it in this run", "yellow")
    if score.tenths == _WHOLE:
        return ""
    reasons = dict.fromkeys(f"{check.id}: {check.found}" for check in score.lacking)
    shown = "; ".join(list(reasons)[:_SHOWN])
    cut = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
    return cut + (f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else "")
