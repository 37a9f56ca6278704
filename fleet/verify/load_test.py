"""Load: proved by a stored run that is recent and passed, and by nothing else."""

from __future__ import annotations

from fleet.verify.check import Check
from fleet.verify.scope import Scope


def check_load_test(scope: Scope) -> list[Check]:
    """Look for the newest stored run of the environment."""
    checks = scope.checks()
    checks.unproven("load-test.recent", scope.name, "a stored run that is recent and passed", "none is stored")
    return checks.made
