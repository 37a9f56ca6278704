"""What a verification saw, as a page for people who were not there: verdict, scorecard, services, load, cost, and all of the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from fleet.cost.charge import PARTS
from fleet.cost.report import Report as CostReport
from fleet.load_test.store import StoredResult
from fleet.page import bar, document, heading, table, tiles
from fleet.verify.check import Check
from fleet.verify.run import Report, ServiceRow
from fleet.verify.scorecard import Scorecard, category_of, scorecard

_MANY = 1000
_HOW_SCORED = (
    "Each category is its passed checks of all checks of this run, the overall figure the mean of the nine. What was not seen to "
    "hold has not passed."
)
_WORDS = {
    "ok": ("good", "passed"),
    "wanting": ("bad", "wanting"),
    "unknown": ("bad", "not to be seen"),
    "warning": ("odd", "warning"),
    "unproven": ("odd", "not proven"),
}


def page(report: Report, load: StoredResult | None, cost: CostReport, when: datetime) -> str:
    """Return the page.

    Args:
        report: What was seen.
        load: The environment's newest load test, where there is one.
        cost: What the environment costs.
        when: It was seen.
    """
    card = scorecard(report.checks)
    title = f"Readiness of {report.environment}, {when:%Y-%m-%d %H:%M} UTC"
    verdict = "as the catalog says" if report.good else f"{len(report.wanting)} found wanting"
    parts = [
        heading(title, verdict, good=report.good),
        f"<p>{escape(report.verdict)}.</p>",
        f'<p class="dim">Account {escape(report.account)}, {escape(report.region)}.</p>',
        _tiles(report, card, cost),
        *_wanting(report.wanting),
        "<h2>Scorecard</h2>",
        _scorecard(card),
        f'<p class="dim">{_HOW_SCORED}</p>',
        "<h2>Services</h2>",
        _services(report),
        "<h2>Load</h2>",
        _load(load),
        "<h2>Cost</h2>",
        *_cost(cost),
        "<h2>Evidence</h2>",
        *_evidence(report.checks, card),
    ]
    return document(title, parts)


def _tiles(report: Report, card: Scorecard, cost: CostReport) -> str:
    enabled = [row for row in report.services if row.enabled]
    alarms = sum(row.alarms_wired for row in enabled)
    figures = {
        "ready": f"{card.overall:.1f} %",
        "services": f"{sum(row.good for row in enabled)} of {len(enabled)}",
        "alarms wired": f"{alarms}",
        "checks": f"{len(report.checks):,}",
        "wanting": f"{len(report.wanting)}",
    }
    if report.claims_tasks:
        figures["tasks healthy"] = f"{sum(row.counts.healthy or 0 for row in enabled if row.counts)}"
    return tiles({**figures, "USD a month, before use": f"{cost.base_usd:,.2f}"})


def _wanting(wanting: Sequence[Check]) -> Iterable[str]:
    if not wanting:
        return
    yield "<h2>Wanting</h2>"
    rows = [
        (escape(check.subject), escape(check.id), escape(check.expected), escape(check.found), escape(check.fix))
        for check in wanting
    ]
    yield table(("what", "check", "expected", "found", "what to do"), rows, style="words")


def _scorecard(card: Scorecard) -> str:
    rows = [
        (escape(score.category), f"{score.passed} of {score.total}", f"{score.percent:.1f} %", bar(score.percent))
        for score in card.scores
    ]
    overall = ("<b>overall</b>", "", f"<b>{card.overall:.1f} %</b>", bar(card.overall))
    return table(("category", "passed", "score", ""), [*rows, overall])


def _services(report: Report) -> str:
    rows = [_service(row, claims_tasks=report.claims_tasks) for row in report.services]
    headers = ("service", "group", "tasks", "running", "healthy", "alarms", "state")
    return table(headers, rows, ["" if row.enabled else "part" for row in report.services])


def _service(row: ServiceRow, *, claims_tasks: bool) -> tuple[str, ...]:
    counts = row.counts
    if not row.enabled:
        return (escape(row.service), escape(row.group), "0", "", "", "0", f"disabled: {escape(row.reason or '')}")
    style, word = ("good", "as it should be") if row.good else ("bad", "wanting" if counts else "missing")
    return (
        escape(row.service),
        escape(row.group),
        f"{counts.desired}" if counts else "-",
        f"{counts.running}" if counts and claims_tasks else "-",
        f"{counts.healthy}" if counts and claims_tasks else "-",
        f"{row.alarms_wired}",
        f'<span class="{style}">{word}</span>',
    )


def _load(load: StoredResult | None) -> str:
    if load is None:
        return '<p class="odd">Nobody has loaded it: no load test is stored.</p>'
    summary = load.plain["summary"]
    style = "good" if load.passed else "bad"
    told = (
        f"{summary['due']:,} requests, {summary['error_percent']:g} % failed; p50 {summary['p50_milliseconds']:.1f} ms, "
        f"p99 {summary['p99_milliseconds']:.1f} ms"
    )
    return (
        f'<p><span class="{style}">{escape(load.verdict)}</span>: {told}. Run {escape(load.run)}, '
        f"{load.finished_at:%Y-%m-%d %H:%M} UTC.</p>"
    )


def _cost(cost: CostReport) -> Iterable[str]:
    style = "good" if cost.is_within_budget else "bad"
    told = f"{cost.total_usd:,.2f} with what use is assumed to add (*)"
    yield f'<p><span class="{style}">{escape(cost.verdict)}</span>; {told}.</p>'
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []
    for part in PARTS:
        lines = [line for line in cost.merged if line.part == part]
        usd = sum(line.usd for line in lines)
        if lines:
            rows.append((f"<b>{escape(part)}</b>", "", f"<b>{usd:,.2f}</b>", bar(100 * usd / cost.total_usd)))
            styles.append("")
        for line in lines:
            amount = (
                f"{line.quantity:,.4g} {line.unit}" if line.quantity < _MANY else f"{line.quantity:,.0f} {line.unit}"
            )
            what = f"{line.what} *" if line.is_usage else line.what
            rows.append((escape(what), escape(amount), f"{line.usd:,.2f}", ""))
            styles.append("part")
    yield table(("line", "quantity", "USD a month", ""), rows, styles)
    missing = [f"{gap.type}: {gap.why}" for gap in cost.gaps]
    yield "".join(f'<p class="bad">Not priced: {escape(each)}.</p>' for each in missing)


def _evidence(checks: Sequence[Check], card: Scorecard) -> Iterable[str]:
    for score in card.scores:
        mine = sorted(
            (check for check in checks if category_of(check.id) is score.category),
            key=lambda check: (check.status == "ok", check.id, check.subject),
        )
        rows = [
            (escape(check.id), escape(check.subject), escape(check.expected), escape(check.found), _word(check))
            for check in mine
        ]
        shown = table(("check", "of", "expected", "found", ""), rows, style="words") if rows else ""
        yield f"<details><summary>{escape(score.category)}: {score.passed} of {score.total}</summary>{shown}</details>"


def _word(check: Check) -> str:
    style, word = _WORDS[check.status]
    return f'<span class="{style}">{word}</span>'
