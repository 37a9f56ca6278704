"""The pages that an operator leans on: runbooks that alarms name, commands of the README, schemas and pictures that have not drifted.

They stand in the checkout and not in the environment, so what is wanting of them lowers the score and never the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from catalog import names
from catalog.schema import drifted, schemas
from fleet import project
from fleet.verify import readme
from fleet.verify.check import Check, Checks
from fleet.verify.scope import SERVICES_PART, STACK_PARTS, Scope

_RUNBOOK = re.compile(r"Runbook: (\S+)$")
_PICTURE = re.compile(r"^```mermaid\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TIMES = "\N{MULTIPLICATION SIGN}"
_NODE = re.compile(r"[\w-]+")
_RUN_TESTS = ".ci/run writes the record on a clean checkout"


def check_documentation(scope: Scope) -> list[Check]:
    """Look at every page that something leads to."""
    checks = scope.checks()
    _check_runbooks(scope, checks)
    _check_commands(checks)
    stale = drifted()
    for name in schemas():
        found = "something else" if name in stale else "that"
        checks.proves("docs.schema", name, name not in stale, "what the model says", found, "python -m catalog.schema")
    _check_pictures(scope, checks)
    return checks.made


def _check_runbooks(scope: Scope, checks: Checks) -> None:
    """Follow the link of every alarm of the environment."""
    alarms = dict(_descriptions(scope))
    links = {name: match[1] for name, text in alarms.items() if (match := _RUNBOOK.search(text))}
    silent = sorted(alarms.keys() - links.keys())
    found = "there are no alarms" if not alarms else ", ".join(silent) or "each does"
    subject = f"{len(alarms)} alarms"
    checks.proves("docs.runbook-named", subject, bool(alarms) and not silent, "each names its runbook", found)
    for link in sorted(set(links.values())):
        there = _page(link).startswith("# ")
        checks.proves("docs.runbook", link, there, "a page", "there" if there else "missing", f"write {link}")


def _descriptions(scope: Scope) -> Iterator[tuple[str, str]]:
    pages = scope.account.cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    for page in pages:
        for alarm in page["MetricAlarms"]:
            if alarm["AlarmName"].endswith(f"-{scope.name}"):
                yield alarm["AlarmName"], alarm.get("AlarmDescription", "")


def _check_commands(checks: Checks) -> None:
    text = _page("README.md")
    record = readme.read_record()
    why = readme.why_not(record, readme.checkout(), text)
    ran = record.ran if record and not why else {}
    for command in readme.commands(text):
        found = f"by {ran[command]}" if command in ran else why or "no test has run it"
        checks.proves("docs.command", command, command in ran, "ran in CI for this commit", found, _RUN_TESTS)


def _check_pictures(scope: Scope, checks: Checks) -> None:
    """Compare what the pictures count and name with the catalog."""
    enabled = scope.catalog.enabled
    behind = [service for service in enabled if not scope.catalog.is_gateway(service)]
    labels = [
        *(f"{one.name} {_TIMES}{one.replicas}" for one in enabled if scope.catalog.is_gateway(one)),
        f"{len(behind)} services {_TIMES}{min((service.replicas for service in behind), default=0)}",
        f"NATS {_TIMES}{len(names.NATS_NODES)}",
        f"{len(enabled) * len(names.ALARM_KINDS)} alarms",
    ]
    drawn = _pictures("README.md")
    for label in labels:
        there = f'"{label}"' in drawn
        checks.proves("docs.picture", f"README.md: {label}", there, "drawn", "that" if there else "not drawn")
    drawn_parts = set(_NODE.findall(_pictures("docs/architecture.md")))
    for part in (*STACK_PARTS, SERVICES_PART):
        there = part in drawn_parts
        subject = f"docs/architecture.md: {part}"
        checks.proves("docs.picture", subject, there, "drawn", "that" if there else "not drawn")


def _pictures(page: str) -> str:
    return "\n".join(_PICTURE.findall(_page(page)))


def _page(name: str) -> str:
    page = project.ROOT / name
    return page.read_text(encoding="utf-8") if page.is_file() else ""
