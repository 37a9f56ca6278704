"""Print a cost report: rows, sums, what was assumed, what is missing, and the report that there was before."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from fleet.cli.output import result, result_json, say, styled, table
from fleet.cost.charge import HOURS_A_MONTH, PARTS
from fleet.cost.compare import differences
from fleet.cost.coverage import NEVER_COUNTED
from fleet.cost.lines import Line, by_service
from fleet.cost.past import PAST_TOTAL_USD, beside_the_past
from fleet.cost.prices import MOST_AGE
from fleet.cost.report import Report
from fleet.local.server import ENVIRONMENT as LOCAL

Output = Literal["text", "json", "markdown"]
Row = Sequence[object]
Table = Callable[[Sequence[str], Sequence[Row], Sequence[int]], str]
_LARGEST = 5
_SHOWN_KEYS = 6
_WIDTH = 100
_THOUSAND = 1000
_SMALL = 0.001


def print_report(report: Report, output: Output, by: Literal["line", "service"]) -> None:
    """Print a report to stdout, and what is doubtful about it to stderr."""
    if output == "json":
        result_json(report.to_plain())
        return
    drawn = _table_of(output)
    title = f"{report.environment} a month in {report.region}: USD, on demand, {HOURS_A_MONTH} hours, no free tiers"
    result(f"## {title}\n" if output == "markdown" else f"{styled(title, 'bold')}\n")
    result(_by_service(report, drawn) if by == "service" else _by_line(report, drawn))
    result("")
    for paragraph in (_sums(report), _assumptions(report), _missing(report)):
        for text in paragraph:
            result(f"- {text}" if output == "markdown" else textwrap.fill(text, _WIDTH, subsequent_indent="  "))
        result("")
    if by == "line":
        result(_past(report, drawn))
        result("")
    _say_doubts(report)
    _verdict(report)


def print_differences(before: Mapping[str, Any], report: Report, output: Output) -> None:
    """Print what differs from another report."""
    after = report.to_plain()
    found = differences(before, after)
    if output == "json":
        rows = [
            {"part": each.part, "what": each.what, "is_usage": each.is_usage, "before_usd": each.before_usd,
             "after_usd": each.after_usd, "difference_usd": round(each.usd, 2)}
            for each in found
        ]  # fmt: skip
        result_json({"before": _head(before), "after": _head(after), "differences": rows})
        return
    told: list[Row] = [
        (
            each.part,
            each.what,
            _usd(each.before_usd),
            _usd(each.after_usd),
            f"{each.usd:+,.2f}",
            "by use" if each.is_usage else "",
        )
        for each in found
    ]
    told += [
        (name, "", _usd(before[key]), _usd(after[key]), f"{after[key] - before[key]:+,.2f}", "")
        for name, key in (("base", "base_usd"), ("total", "total_usd"))
    ]
    headers = (
        "part",
        "line",
        f"{before['environment']} before" if before["environment"] == report.environment else before["environment"],
        report.environment,
        "difference",
        "",
    )
    result(_table_of(output)(headers, told, (2, 3, 4)))
    result("")
    _say_doubts(report)
    _verdict(report)


def _verdict(report: Report) -> None:
    result(styled(report.verdict, "green" if report.is_within_budget else "red"))
    if report.is_within_budget:
        return
    base = sorted((line for line in report.merged if not line.is_usage), key=lambda line: -line.usd)
    for line in base[:_LARGEST]:
        result(f"  {_usd(line.usd):>8}  {line.part}: {line.what}")
    result("  → sizes are one key each (docs/cost.md#sizes); --compare FILE tells what a change brings")


def _head(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain[key] for key in ("environment", "base_usd", "usage_usd", "total_usd")}


def _by_line(report: Report, drawn: Table) -> str:
    rows: list[Row] = []
    for part in PARTS:
        lines = [line for line in report.merged if line.part == part]
        if lines:
            usd = sum(line.usd for line in lines)
            rows.append((part, "", "", _usd(usd), _share(usd, report), ""))
        rows += [
            (
                f"  {line.what}",
                _amount(line),
                _price(line.unit_usd),
                _usd(line.usd),
                _share(line.usd, report),
                _note(line),
            )
            for line in lines
        ]
    return drawn(("line", "quantity", "unit price", "USD", "share", "note"), rows, (1, 2, 3, 4))


def _by_service(report: Report, drawn: Table) -> str:
    rows: list[Row] = [
        (
            name,
            *(_usd(row[key]) for key in ("tasks_usd", "monitoring_usd", "other_usd", "usd")),
            _share(row["usd"], report),
        )
        for name, row in by_service(report.lines).items()
    ]
    for part in PARTS:
        usd = sum(line.usd for line in report.lines if line.part == part and line.service is None)
        if round(usd, 2):
            rows.append((f"shared: {part}", "", "", "", _usd(usd), _share(usd, report)))
    return drawn(("service", "tasks", "monitoring", "other", "USD", "share"), rows, (1, 2, 3, 4, 5))


def _note(line: Line) -> str:
    return line.usage_key or line.doubt or ("Spot" if line.most_usd > line.least_usd else "")


def _amount(line: Line) -> str:
    number = f"{line.quantity:,.0f}" if line.quantity >= _THOUSAND else f"{line.quantity:.4g}"
    return f"{number} {line.unit}"


def _price(usd: float) -> str:
    return f"{usd:.7f}" if usd < _SMALL else f"{usd:,.3f}"


def _usd(usd: float) -> str:
    return f"{usd:,.2f}"


def _share(usd: float, report: Report) -> str:
    return f"{usd / report.total_usd:.0%}" if report.total_usd else "-"


def _sums(report: Report) -> Iterator[str]:
    yield f"base {_usd(report.base_usd)} + by use {_usd(report.usage_usd)} = total {_usd(report.total_usd)} USD a month"
    least, most = report.total_range_usd
    if round(most - least, 2):
        low, high = report.spot_percent
        yield (
            f"Spot is taken to cost {report.spot_discount_percent:g} % less; it floats: "
            f"total {_usd(least)} at {high:g} % less, {_usd(most)} at {low:g} %"
        )
    if report.scaled_out_usd:
        yield f"up to {_usd(report.scaled_out_usd)} more if every service that scales had all its tasks all month"


def _assumptions(report: Report) -> Iterator[str]:
    yield "A note that is a key is an assumption of use: cost.usage in environments/ENV.yaml, or --usage KEY=VALUE."
    for line in report.merged:
        if line.assumption:
            yield f"{line.what}: {line.assumption}"


def _missing(report: Report) -> Iterator[str]:
    for gap in report.gaps:
        yield f"{styled('not priced', 'red')}: {gap.type} ({gap.count}): {gap.why}"
    for gap in report.left_out:
        yield f"left out: {gap.type} ({gap.count}): {gap.why}"
    yield f"in no line: {'; '.join(NEVER_COUNTED)}"
    if report.environment == LOCAL:
        yield "Nothing of this is paid in the local AWS: it is what the same templates would cost in AWS."


def _past(report: Report, drawn: Table) -> str:
    rows: list[Row] = [
        (each.part, "left out" if each.then_usd is None else f"{each.then_usd:,}", _usd(each.now_usd))
        for each in beside_the_past(report.lines)
    ]
    change = (report.total_usd - PAST_TOTAL_USD) / PAST_TOTAL_USD
    rows.append((f"total ({change:+.0%})", f"{PAST_TOTAL_USD:,}", _usd(report.total_usd)))
    return drawn(("beside the report before", "then", "now"), rows, (1, 2))


def _say_doubts(report: Report) -> None:
    mark = styled("warning", "yellow", sys.stderr)
    if report.foreign:
        region = report.foreign[0].region
        say(
            f"{mark}: {len(report.foreign)} prices are those of {region}, and the environment is in {report.region}\n"
            "  → give its prices with --prices FILE: docs/cost.md#prices"
        )
    if report.stale:
        oldest = report.stale[0]
        say(
            f"{mark}: {len(report.stale)} of {len(report.prices)} prices were last looked up more than {MOST_AGE.days} days ago, "
            f"the oldest on {oldest.as_of}\n  {_keys([price.key for price in report.stale])}\n"
            "  → look them up anew: docs/cost.md#prices"
        )


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"{', '.join(keys[:_SHOWN_KEYS])}{more}"


def _table_of(output: Output) -> Table:
    return _markdown if output == "markdown" else lambda headers, rows, right: table(headers, rows, right=right)


def _markdown(headers: Sequence[str], rows: Sequence[Row], right: Sequence[int]) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(headers))]
    return "\n".join(f"| {' | '.join(str(cell).strip() for cell in row)} |" for row in [headers, rule, *rows])
