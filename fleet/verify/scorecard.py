"""How ready an environment is: the nine categories of the hardening report, each as passed checks of all checks of this run.

A view of the same checks that the verdict is made of. What was not seen is not passed: a check without proof counts as failed, a
category without a check has nothing to show for itself, and no category is ever left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleet.verify.check import Check


class Category(StrEnum):
    """The categories, as the report calls them and in its order."""

    INFRASTRUCTURE = "infrastructure"
    SERVICES = "services operational"
    MONITORING = "monitoring"
    CIRCUIT_BREAKERS = "circuit breakers"
    ERROR_HANDLING = "error handling"
    TLS = "TLS"
    HEALTH_CHECKS = "health checks"
    LOAD_TESTING = "load testing"
    DOCUMENTATION = "documentation"


FAMILIES: Mapping[str, Category] = {
    "account": Category.INFRASTRUCTURE,
    "alarm": Category.MONITORING,
    "alarms": Category.MONITORING,
    "alert": Category.MONITORING,
    "breaker": Category.CIRCUIT_BREAKERS,
    "cache": Category.INFRASTRUCTURE,
    "certificate": Category.TLS,
    "certificates": Category.TLS,
    "cluster": Category.INFRASTRUCTURE,
    "container": Category.INFRASTRUCTURE,
    "docs": Category.DOCUMENTATION,
    "error": Category.ERROR_HANDLING,
    "gateway": Category.SERVICES,
    "health-check": Category.HEALTH_CHECKS,
    "key": Category.MONITORING,
    "load-test": Category.LOAD_TESTING,
    "log streams": Category.MONITORING,
    "log-group": Category.MONITORING,
    "log-stream": Category.MONITORING,
    "logging": Category.MONITORING,
    "logs": Category.MONITORING,
    "nats": Category.INFRASTRUCTURE,
    "reports": Category.MONITORING,
    "repositories": Category.INFRASTRUCTURE,
    "repository": Category.INFRASTRUCTURE,
    "secret": Category.SERVICES,
    "service": Category.SERVICES,
    "services": Category.SERVICES,
    "stack": Category.INFRASTRUCTURE,
    "stacks": Category.INFRASTRUCTURE,
    "subscription": Category.MONITORING,
    "task": Category.INFRASTRUCTURE,
    "topic": Category.MONITORING,
    "topics": Category.MONITORING,
    "variable": Category.SERVICES,
    "wire": Category.TLS,
}
"""Of every check whose id begins so, up to the first dot."""

EXCEPTIONS: Mapping[str, Category] = {
    # An alarm belongs to what watches, whatever it watches.
    "cache.alarm": Category.MONITORING,
    "cache.alarm-actions": Category.MONITORING,
    "nats.alarm": Category.MONITORING,
    "nats.alarm-actions": Category.MONITORING,
    "cache.encrypted-in-transit": Category.TLS,
    "nats.tls": Category.TLS,
    "wire.answers": Category.SERVICES,
    # The network around a service, not the service.
    "service.capacity": Category.INFRASTRUCTURE,
    "service.load-balancer": Category.INFRASTRUCTURE,
    "service.public-ip": Category.INFRASTRUCTURE,
    "service.security-groups": Category.INFRASTRUCTURE,
    "service.subnets": Category.INFRASTRUCTURE,
    # ECS's breaker stops a deployment whose tasks do not get healthy; the report's are the SDK's, between services.
    "service.circuit-breaker": Category.HEALTH_CHECKS,
    "service.healthy-count": Category.HEALTH_CHECKS,
    "service.roll-back": Category.HEALTH_CHECKS,
}


@dataclass(frozen=True, slots=True)
class Score:
    """What one category comes to."""

    category: Category
    passed: int
    total: int
    lacking: tuple[Check, ...]
    """What was not passed."""

    @property
    def percent(self) -> float:
        """Passed of all, cut to a tenth and never rounded up: 100 is all of them."""
        return self.tenths / 10

    @property
    def tenths(self) -> int:
        """The same in tenths of a percent."""
        return 1000 * self.passed // self.total if self.total else 0


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What all nine come to."""

    scores: tuple[Score, ...]

    @property
    def overall(self) -> float:
        """The mean of the nine: else the many checks of the infrastructure would drown what nobody has proved."""
        return sum(score.tenths for score in self.scores) // len(self.scores) / 10


def category_of(check_id: str) -> Category:
    """Return the one category that a check belongs to.

    Raises:
        KeyError: It belongs to none: a check was added, and its category was not.
    """
    return EXCEPTIONS.get(check_id) or FAMILIES[check_id.partition(".")[0]]


def scorecard(checks: Sequence[Check]) -> Scorecard:
    """Score every category."""
    of: dict[Category, list[Check]] = {category: [] for category in Category}
    for check in checks:
        of[category_of(check.id)].append(check)
    return Scorecard(tuple(_score(category, each) for category, each in of.items()))


def _score(category: Category, checks: Sequence[Check]) -> Score:
    lacking = tuple(check for check in checks if check.status != "ok")
    return Score(category, len(checks) - len(lacking), len(checks), lacking)
