"""Print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer

from tls.mirror import Mirrored
from tls.report import Report
from tls.status import Status


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


def say(text: str) -> None:
    """Print something that is no result."""
    typer.echo(text, err=True)


def print_result(form: Format, plain: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Print a result in the form that was asked for."""
    typer.echo(json.dumps(plain, indent=2) if form is Format.JSON else "\n".join(lines))


def report_lines(report: Report, *, superfluous: str = "`retire --unused` takes it away") -> list[str]:
    """Return a report for people.

    Args:
        report: What a run did and found.
        superfluous: What becomes of a certificate that nobody asks for.
    """
    would = "would be " if report.dry_run else ""
    lines = [f"{leaf.place}: {would}issued: {leaf.reason}" for leaf in report.issued]
    lines += [
        f"{outcome.node}: {'delivered' if outcome.succeeded else 'delivery FAILED'} {outcome.detail}".rstrip()
        for outcome in report.delivered
    ]
    lines += [f"{place}: retired" for place in report.retired]
    lines += [f"{place}: nobody asks for it; {superfluous}" for place in report.superfluous]
    lines += [f"finding: {finding}" for finding in report.findings]
    if report.creates_authority:
        lines.append(f"a new authority {would}made")
    lines.append(f"{len(report.issued)} certificates {would}issued, {report.unchanged} unchanged in {report.store}")
    return lines


def mirror_lines(mirrored: Mirrored, *, dry_run: bool) -> list[str]:
    """Return for people what was published."""
    would = "would be " if dry_run else ""
    lines = [f"{place}: {would}published" for place in mirrored.published]
    if mirrored.authority:
        lines.append(f"bundles and record {would}published")
    return [*lines, f"{len(mirrored.published)} certificates {would}published, {mirrored.unchanged} unchanged"]


def status_lines(status: Status) -> list[str]:
    """Return a status for people."""
    rows = [
        (entry.place, f"{entry.days_left:.1f}", entry.summary.serial[:16], entry.authority, ", ".join(entry.served_by))
        for entry in status.certificates
    ]
    root = "online" if status.root_key_is_online else "offline"
    return [
        f"{status.environment} in {status.store}: phase {status.phase}, {status.issuing} issues, root's key {root}",
        *_table(("certificate", "days", "serial", "authority", "served by"), rows),
        *(f"finding: {finding}" for finding in status.findings),
    ]


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headers, *rows)
    ]
