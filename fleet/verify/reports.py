"""What the running services report of themselves, minute by minute: how often a circuit breaker opened, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.chunks import chunks
from fleet.verify.check import Check
from fleet.verify.scope import NO_TASKS, Scope

NAMESPACE = "GamingSystem/Services"
REPORTED: Mapping[str, str] = {"breaker.reports": "CircuitsOpened", "error.reports": "CallErrors"}
_BACK = timedelta(minutes=15)
_QUERIES_A_REQUEST = 500


def check_reports(scope: Scope) -> list[Check]:
    """Look whether every service has lately said how its breakers and its calls fare; a zero is as good as any number.

    A service that has just been started may not have been heard of yet, so silence is no fault, and no proof.
    """
    checks = scope.checks()
    wanted = [
        (check_id, metric, service.name) for check_id, metric in REPORTED.items() for service in scope.catalog.enabled
    ]
    heard = _heard(scope, [(metric, service) for _, metric, service in wanted]) if scope.claims_tasks else None
    for check_id, metric, service in wanted:
        minutes = int(_BACK.total_seconds() // 60)
        expected = f"{metric} of the last {minutes} minutes"
        if heard is None:
            checks.unproven(check_id, service, expected, NO_TASKS)
            continue
        total = heard.get((metric, service))
        found = "nothing" if total is None else f"{total:.0f}"
        checks.proves(check_id, service, total is not None, expected, found)
    return checks.made


def _heard(scope: Scope, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Return the sum of each metric of a service that was heard of at all."""
    now = datetime.now(UTC)
    found: dict[tuple[str, str], float] = {}
    numbered = {f"m{number}": pair for number, pair in enumerate(wanted)}
    for part in chunks(list(numbered.items()), _QUERIES_A_REQUEST):
        queries: Any = [
            {"Id": identifier, "MetricStat": {"Metric": _metric(scope, *pair), "Period": 60, "Stat": "Sum"}}
            for identifier, pair in part
        ]
        pages = scope.account.cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=now - _BACK, EndTime=now + timedelta(minutes=1)
        )
        for page in pages:
            for one in page["MetricDataResults"]:
                if one["Values"]:
                    pair = numbered[one["Id"]]
                    found[pair] = found.get(pair, 0.0) + sum(one["Values"])
    return found


def _metric(scope: Scope, metric: str, service: str) -> dict[str, Any]:
    dimensions = {"Environment": scope.name, "Service": service}
    return {
        "Namespace": NAMESPACE,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
    }
