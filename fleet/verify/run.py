"""Look at everything at once, and come to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from catalog import names
from catalog.catalog import Catalog
from fleet.errors import InputError
from fleet.verify.alarms import SeenAlarms, check_alarms
from fleet.verify.cache import check_cache
from fleet.verify.certificates import check_certificates
from fleet.verify.check import Check
from fleet.verify.documentation import check_documentation
from fleet.verify.gateway import check_gateway
from fleet.verify.load_test import check_load_test
from fleet.verify.nats import check_nats
from fleet.verify.platform import check_log_group, check_log_streams, check_repositories, check_stacks
from fleet.verify.reports import check_reports
from fleet.verify.scope import Scope
from fleet.verify.services import SeenServices, ServiceCounts, check_services
from fleet.verify.topics import check_topics
from fleet.verify.wire import check_wire

T = TypeVar("T")

Look = Callable[[Scope], list[Check]]
PROOFS: Mapping[str, Look] = {"docs": check_documentation, "load-test": check_load_test}

_LOOKS_AT_ONCE = 16
_REQUESTS_AT_ONCE = 16
_ALARMS_A_SERVICE = len(names.ALARM_KINDS)
_NUMBERS = {1: "one replica", 2: "two replicas", 3: "three replicas", 4: "four replicas"}


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service of the catalog, in a line."""

    group: str
    service: str
    enabled: bool
    reason: str | None
    counts: ServiceCounts | None
    """Nothing where it is not deployed."""
    alarms_wired: int
    good: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at."""

    environment: str
    account: str
    region: str
    claims_tasks: bool
    claims_nodes: bool
    claims_cache: bool
    checks: tuple[Check, ...]
    services: tuple[ServiceRow, ...]

    @property
    def wanting(self) -> list[Check]:
        """What is not as it should be, or could not be seen."""
        return [check for check in self.checks if check.status in {"wanting", "unknown"}]

    @property
    def warnings(self) -> list[Check]:
        """What is worth knowing."""
        return [check for check in self.checks if check.status == "warning"]

    @property
    def good(self) -> bool:
        """Whether nothing is wanting."""
        return not self.wanting

    @property
    def verdict(self) -> str:
        """What all of this comes to, in a sentence."""
        enabled = [row for row in self.services if row.enabled]
        there = [row for row in enabled if row.counts]
        replicas = {row.counts.desired for row in there if row.counts}
        each = f" with {_NUMBERS.get(min(replicas), f'{min(replicas)} replicas')} each" if len(replicas) == 1 else ""
        wired = sum(row.alarms_wired for row in enabled)
        alarms = f"{wired} of {len(enabled) * _ALARMS_A_SERVICE} alarms wired to {names.alerts_topic(self.environment)}"
        deployed = f"{len(there)} of {len(enabled)} services deployed{each}"
        if self.claims_tasks:
            well = [row for row in there if row.counts and (row.counts.healthy or 0) >= row.counts.desired]
            deployed += f", {len(well)} of them healthy"
        wanting = len(self.wanting)
        return f"{deployed}; {alarms}" + (f"; {wanting} of {len(self.checks)} checks found wanting" if wanting else "")


def verify(scope: Scope, proofs: Mapping[str, Look] = PROOFS) -> Report:
    """Compare an environment with the catalog.

    Args:
        scope: What should be there, and where it should be.
        proofs: What else is looked at for the scorecard, and never for the verdict.

    Raises:
        InputError: The account cannot be read at all.
    """
    looks: dict[str, Callable[[], list[Check]]] = {
        "topics": lambda: check_topics(scope),
        "stacks": lambda: check_stacks(scope),
        "repositories": lambda: check_repositories(scope),
        "logs": lambda: check_log_group(scope),
        "nats": lambda: check_nats(scope),
        "cache": lambda: check_cache(scope),
        "certificates": lambda: check_certificates(scope),
        "wire": lambda: check_wire(scope),
        "gateway": lambda: check_gateway(scope),
        "reports": lambda: check_reports(scope),
        **{subject: partial(look, scope) for subject, look in proofs.items()},
    }
    # Two pools: a look that waits for its own requests must not keep a place that they need.
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as looking, ThreadPoolExecutor(_REQUESTS_AT_ONCE) as requests:
        services = looking.submit(_seen, "services", lambda: check_services(scope, requests), SeenServices)
        alarms = looking.submit(_seen, "alarms", lambda: check_alarms(scope), SeenAlarms)
        rest = [looking.submit(_seen, subject, look, list[Check]) for subject, look in looks.items()]
        seen = services.result()
        streams = _seen("log streams", lambda: check_log_streams(scope, seen.task_ids, requests), list[Check])
        seen_alarms = alarms.result()
        platform = [check for future in rest for check in future.result()]
    checks = (*seen.checks, *seen_alarms.checks, *platform, *streams)
    rows = _rows(scope.catalog, scope.name, checks, seen, seen_alarms)
    return Report(
        scope.name,
        scope.account.account_id,
        scope.account.region,
        scope.claims_tasks,
        scope.claims_nodes,
        scope.claims_cache,
        checks,
        tuple(rows),
    )


def _seen(subject: str, look: Callable[[], T], unseen: Callable[[list[Check]], T]) -> T:
    """Return what a look found; where AWS refuses the look, that this could not be seen."""
    try:
        return look()
    except ClientError as error:
        fix = "ask for the permission to read this"
        return unseen([Check(f"{subject}.readable", subject, "unknown", "readable", str(error), fix)])
    except BotoCoreError as error:
        raise InputError(f"the account cannot be read: {error}") from error


def _rows(
    catalog: Catalog, environment: str, checks: Sequence[Check], services: SeenServices, alarms: SeenAlarms
) -> Iterator[ServiceRow]:
    wanting = {check.subject for check in checks if check.status in {"wanting", "unknown"}}
    for service in catalog.services.values():
        subjects = {service.name, *(names.alarm(service.name, kind, environment) for kind in names.ALARM_KINDS)}
        yield ServiceRow(
            service.group,
            service.name,
            service.enabled,
            service.reason,
            services.counts.get(service.name),
            alarms.wired.get(service.name, 0),
            not subjects & wanting,
        )
