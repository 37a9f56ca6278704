"""A whole load test of an environment: what must be in place, the run, the verdict, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.faults import did_you_mean
from fleet import project
from fleet.account import Account
from fleet.errors import InputError
from fleet.load_test.ecs_workers import EcsWorkers
from fleet.load_test.local_workers import LocalWorkers
from fleet.load_test.report import page
from fleet.load_test.result import Result, judged
from fleet.load_test.run import Workers, run_plan
from fleet.load_test.store import Store
from fleet.load_test.task import check_image, worker_place, worker_task
from fleet.load_test.verdict import unknown_services
from fleet.progress import Progress
from load_test.plan import Plan


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load test that can begin."""

    plan: Plan
    store: Store
    workers: Workers


def prepare(
    account: Account, environment: Environment, catalog: Catalog, plan: Plan, servers: Sequence[str] = ()
) -> Prepared:
    """See that everything is in place.

    Args:
        account: Where the environment is.
        environment: The environment.
        catalog: The catalog.
        plan: What is to be done.
        servers: Addresses of the nodes, where workers are processes on this machine.

    Raises:
        InputError: Something is not there, or the environment's objectives name a service that is not.
    """
    for name in unknown_services(environment.objectives, catalog.services):
        near = did_you_mean(name, catalog.services)
        raise InputError(
            f"environments/{environment.name}.yaml: objectives.services: no service is called {name!r}{near}"
        )
    store = Store(account, environment.name)
    if not store.exists():
        raise InputError(
            f"{environment.name} has no bucket {store.bucket}\n  deploy it: make deploy ENV={environment.name}"
        )
    task = worker_task(account, environment)
    if account.server is None:
        check_image(account, environment, task)
        return Prepared(plan, store, EcsWorkers(account, environment.name, task, worker_place(account, environment)))
    variables = {
        **task.variables,
        "NATS_SERVERS": ",".join(servers),
        "AWS_ENDPOINT_URL": account.server.endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": account.region,
    }
    return Prepared(plan, store, LocalWorkers(variables, project.STATE / "log" / "load-test"))


def run(prepared: Prepared, environment: Environment, progress: Progress) -> tuple[Result, str]:
    """Run a load test, keep its result, and return it with the page that shows it.

    Raises:
        WantingError: It could not be run to its end.
    """
    plan, store = prepared.plan, prepared.store
    with progress.step(f"load test {plan.run}") as step:
        ran = run_plan(plan, store, prepared.workers, step)
    result = judged(plan, ran.measured, environment.objectives, ran.started_at, ran.finished_at)
    shown = page(result)
    store.keep(result)
    store.write_page(names.load_test_report(plan.run), shown)
    return result, shown
