"""Print what a verification saw: a table of the services, one of what they stand on, what is wanting, the scorecard, the verdict."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from fleet.cli.output import Format, result, result_json, say, styled, table
from fleet.cli.scorecard import scorecard_plain, scorecard_text
from fleet.verify.check import Check
from fleet.verify.run import Report, ServiceRow
from fleet.verify.scorecard import category_of, scorecard

_SHOWN_SUBJECTS = 8
# What the second table calls the families of checks that are not about services and their alarms.
_PLATFORM = {
    "account": "account",
    "cluster": "cluster",
    "stack": "stacks",
    "repository": "image repositories",
    "log-group": "log group",
    "log-stream": "log streams",
    "nats": "NATS cluster",
    "topic": "alert topics",
    "key": "key of the topics",
    "subscription": "subscriptions",
    "alarm": "stray alarms",
    "alert": "test alert",
    "certificate": "certificates",
    "wire": "NATS on the wire",
    "gateway": "gateway",
    "error": "errors",
    "docs": "documentation",
    "load-test": "load test",
}


def print_report(report: Report, output: Format) -> None:
    """Print a report to stdout."""
    if output == "json":
        result_json(report_plain(report))
        return
    result(_service_table(report))
    result("")
    result(_platform_table(report))
    result("")
    result(scorecard_text(scorecard(report.checks)))
    result("")
    for line in _told(report.warnings, styled("warning", "yellow", sys.stderr)):
        say(line)
    for line in _told(report.wanting, styled("wanting", "red")):
        result(line)
    if not report.claims_nodes:
        result("NATS: slots, configuration and alarms deployed; nodes that answer: not claimed, since none does here")
    if not report.claims_cache:
        result("cache: deployed; that it answers: not claimed, since none does here")
    if not report.claims_tasks:
        result("deployed; running tasks: not claimed by the local AWS")
    result(styled(report.verdict, "green" if report.good else "red"))


def _service_table(report: Report) -> str:
    headers = ["group", "service", "tasks", "alarms", "state"]
    if report.claims_tasks:
        headers[3:3] = ["running", "healthy"]
    rows = [_service_row(row, claims_tasks=report.claims_tasks) for row in report.services]
    return table(headers, rows, right=range(2, len(headers) - 1))


def _service_row(row: ServiceRow, *, claims_tasks: bool) -> Sequence[object]:
    counts = row.counts
    running = [counts.running if counts else "-", counts.healthy if counts else "-"] if claims_tasks else []
    if not row.enabled:
        return [row.group, row.service, "0", *(["-", "-"] if claims_tasks else []), "0", f"disabled: {row.reason}"]
    state = "deployed" if row.good else styled("wanting" if counts else "missing", "red")
    return [row.group, row.service, counts.desired if counts else "-", *running, f"{row.alarms_wired}/3", state]


def _platform_table(report: Report) -> str:
    about_services = {row.service for row in report.services}
    seen: dict[str, Counter[str]] = {}
    for check in report.checks:
        family = check.id.partition(".")[0]
        if check.subject in about_services or (family == "alarm" and check.id != "alarm.strays"):
            continue
        seen.setdefault(_PLATFORM.get(family, family), Counter())[check.status] += 1
    rows = []
    for what, statuses in seen.items():
        bad = statuses["wanting"] + statuses["unknown"]
        unproven = statuses["unproven"]
        state = styled("wanting", "red") if bad else "not proven" if unproven else "as it should be"
        rows.append((what, f"{statuses.total() - bad - unproven}/{statuses.total()}", state))
    return table(("platform", "checks", "state"), rows, right=[1])


def _told(checks: Sequence[Check], mark: str) -> Iterator[str]:
    """Yield what is wrong; what is wrong with many in the same way is told once, as one missing stack takes much with it."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for check in checks:
        key = (
            check.id,
            check.expected,
            check.found,
            check.fix,
            "not to be seen: " if check.status == "unknown" else "",
        )
        alike.setdefault(key, []).append(check.subject)
    for (check_id, expected, found, fix, unseen), subjects in alike.items():
        more = f" and {len(subjects) - _SHOWN_SUBJECTS} more" if len(subjects) > _SHOWN_SUBJECTS else ""
        yield f"{mark}: {check_id}: {unseen}expected {expected}, found {found}"
        yield f"  {', '.join(subjects[:_SHOWN_SUBJECTS])}{more}"
        if fix:
            yield f"  → {fix}"


def report_plain(report: Report) -> dict[str, Any]:
    """Return a report as plain data."""
    return {
        "environment": report.environment,
        "account": report.account,
        "region": report.region,
        "good": report.good,
        "verdict": report.verdict,
        "tasks_claimed": report.claims_tasks,
        "nodes_claimed": report.claims_nodes,
        "cache_claimed": report.claims_cache,
        "services": [asdict(row) for row in report.services],
        "scorecard": scorecard_plain(scorecard(report.checks)),
        "checks": [asdict(check) | {"category": str(category_of(check.id))} for check in report.checks],
    }
