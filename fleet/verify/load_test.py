"""Load: proved by a stored run that is recent, passed, and was run on the catalog of now; and by nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from catalog.digest import catalog_digest
from fleet.load_test.store import StoredResult, newest_result
from fleet.verify.check import Check
from fleet.verify.scope import Scope

RECENT = timedelta(days=7)
_EXPECTED = {
    "load-test.recent": f"a run of the last {RECENT.days} days",
    "load-test.passed": "every objective met",
    "load-test.catalog": "run on the catalog of now",
}


def check_load_test(scope: Scope) -> list[Check]:
    """Look for the newest stored run of the environment."""
    checks = scope.checks()
    run = newest_result(scope.account, scope.name)
    fix = f"fleet loadtest --env {scope.name}"
    for check_id, expected in _EXPECTED.items():
        good, found = (False, "none is stored") if run is None else _judged(check_id, scope, run)
        checks.proves(check_id, scope.name, good, expected, found, fix)
    return checks.made


def _judged(check_id: str, scope: Scope, run: StoredResult) -> tuple[bool, str]:
    match check_id:
        case "load-test.recent":
            age = datetime.now(UTC) - run.finished_at
            return age < RECENT, f"{run.run}, {age.days} days old"
        case "load-test.passed":
            broken = [str(one["objective"]) for one in run.plain.get("judgements", ()) if not one["good"]]
            return run.passed, f"{run.verdict}{': ' if broken else ''}{', '.join(dict.fromkeys(broken))}"
    is_same = run.catalog_digest == catalog_digest(scope.catalog)
    return is_same, "so" if is_same else "the catalog has changed since"
