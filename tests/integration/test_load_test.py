"""A load test with real workers, real services, a real server with the permissions of the catalog, and a bucket in between."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from catalog import load_catalog
from catalog.environment import Objectives
from fleet.account import Account
from fleet.errors import WantingError
from fleet.load_test.local_workers import LocalWorkers
from fleet.load_test.planning import Wishes, make_plan, new_run
from fleet.load_test.report import page
from fleet.load_test.result import Result, judged
from fleet.load_test.run import run_plan
from fleet.load_test.scenario import Scenario, ScenarioStage
from fleet.load_test.store import Store, newest_result
from fleet.local.server import RunningServer
from load_test.measurements import NO_RESPONDERS, NOT_PERMITTED, TIMEOUT, Measurements
from load_test.plan import Plan, Stage
from load_test.worker import WorkerError, take_part
from load_test.worker import run as run_alone
from sdk import DirectoryCertificates
from tests.nats_machines import ROOT
from tests.reference_fleet import ASKER, Fleet, fleet
from tests.unit.fleet.quiet import Notes

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
SERVICES = ["settings-nats", "time-manager-nats", "weather-manager-nats"]
ACCOUNT_ID = "123456789012"
PATIENCE_SECONDS = 30.0
LENIENT = Objectives(max_p50_milliseconds=30_000, max_p99_milliseconds=60_000, min_rate=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet"), fleet_bucket, CATALOG) as made:
        await made.run(SERVICES)
        yield made


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")
    made = Account(session, ACCOUNT_ID, RunningServer(f"http://{host}:{port}", "us-east-1", ACCOUNT_ID, os.getpid()))
    made.s3.create_bucket(Bucket=Store(made, "local").bucket)
    yield made
    server.stop()


class Dictionary:
    """A bucket that is none."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects
        self._written = asyncio.Condition()
        self._loop = asyncio.get_running_loop()

    def read(self, name: str) -> Any:
        return self.objects.get(name)

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        self.objects[name] = value
        asyncio.run_coroutine_threadsafe(self._tell(), self._loop)

    async def told(self, name: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._written:
            await self._written.wait_for(lambda: name in self.objects)

    async def _tell(self) -> None:
        async with self._written:
            self._written.notify_all()


def plan_of(*stages: Stage, workers: int = 1, subjects: tuple[str, ...] = ()) -> Plan:
    scenario = Scenario(stages=[ScenarioStage(rate=1.0, seconds=1.0)])
    wishes = Wishes(services=SERVICES, subjects=subjects)
    plan = make_plan(CATALOG, "local", scenario, wishes, run=new_run(datetime.now(UTC)), workers=workers)
    # A busy machine fails none of them: how a timeout is told has a test of its own.
    patient = tuple(replace(target, timeout_seconds=PATIENCE_SECONDS) for target in plan.targets)
    return replace(plan, stages=stages, targets=patient)


def variables(services: Fleet, account: Account) -> dict[str, str]:
    assert account.server is not None
    return {
        "NATS_SERVERS": services.url,
        "CERTIFICATES_DIRECTORY": str(services.certificates(ASKER)),
        "LOAD_TEST_BUCKET": Store(account, "local").bucket,
        "AWS_ENDPOINT_URL": account.server.endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


async def conducted(plan: Plan, account: Account, told: Mapping[str, str], logs: Path) -> tuple[Result, Notes]:
    notes = Notes()
    ran = await asyncio.to_thread(run_plan, plan, Store(account, "local"), LocalWorkers(told, logs), notes)
    return judged(plan, ran.measured, LENIENT, ran.started_at, ran.finished_at), notes


async def test_two_workers_are_one_test_and_its_result_is_found_again(
    services: Fleet, account: Account, tmp_path: Path
) -> None:
    plan = plan_of(Stage("rate", 0, 100, 1, measured=False), Stage("rate", 100, 100, 3), workers=2)

    result, notes = await conducted(plan, account, variables(services, account), tmp_path)

    Store(account, "local").keep(result)
    plain = result.to_plain()
    assert plain["summary"]["errors"] == {}, result.measured.samples
    assert plain["summary"]["due"] == plain["summary"]["answered"] == 300
    assert set(plain["services"]) == set(SERVICES)
    assert all(part["p50_milliseconds"] > 0 for part in plain["services"].values())
    assert sum(interval.due for interval in result.measured.intervals) == 350
    assert result.verdict == "passed"
    stored = newest_result(account, "local")
    assert stored is not None
    assert (stored.run, stored.passed, stored.environment) == (plan.run, True, "local")
    assert Result.from_plain(json.loads(json.dumps(stored.plain))).to_plain() == plain
    assert "settings-nats" in page(result)
    assert notes.notes[0] == "2 workers start"


async def test_a_worker_that_cannot_take_part_ends_the_test_with_its_reason(
    services: Fleet, account: Account, tmp_path: Path
) -> None:
    told = variables(services, account) | {"CERTIFICATES_DIRECTORY": str(tmp_path / "nowhere")}

    with pytest.raises(WantingError, match=r"worker 0.*chain\.pem.*cannot be read"):
        await conducted(plan_of(Stage("rate", 10, 10, 1)), account, told, tmp_path)


async def test_a_worker_that_is_told_to_stop_leaves_what_it_has_until_then(services: Fleet) -> None:
    exchange = Dictionary(
        {"plan.json": plan_of(Stage("rate", 50, 50, 600)).to_plain(), "start.json": {"at": time.time()}}
    )
    certificates = DirectoryCertificates(services.certificates(ASKER))

    async def stop_after_the_first_word() -> None:
        await exchange.told("progress-000.json")
        exchange.objects["stop.json"] = {}

    await asyncio.gather(take_part(exchange, 0, [services.url], certificates), stop_after_the_first_word())

    measured = Measurements.from_plain(exchange.objects["result-000.json"])
    assert measured.was_stopped
    assert 0 < sum(interval.due for interval in measured.intervals) < 50 * 600


async def test_a_worker_that_hears_the_word_long_after_the_others_does_not_begin(services: Fleet) -> None:
    exchange = Dictionary({"plan.json": plan_of(Stage("rate", 50, 50, 1)).to_plain(), "start.json": {"at": 0.0}})

    with pytest.raises(WorkerError, match="the others began"):
        await take_part(exchange, 0, [services.url], DirectoryCertificates(services.certificates(ASKER)))

    assert "the others began" in exchange.objects["result-000.json"]["error"]


async def test_errors_are_told_apart(services: Fleet) -> None:
    plan = plan_of(Stage("rate", 200, 200, 1), subjects=("settings.get", "time.get"))
    settings, clock = sorted(plan.targets, key=lambda target: target.subject)
    targets = (
        settings,
        replace(settings, subject="quest.get"),
        replace(settings, subject="settings.secret"),
        replace(settings, service="missing", accepts=(), bodies=({"name": "not.there"},)),
        replace(clock, timeout_seconds=1e-6),
    )
    everything = replace(plan, targets=(*targets, replace(targets[0], bodies=({"name": "NOT A NAME"},))))
    kinds = {}

    for number, target in enumerate(everything.targets):
        alone = replace(everything, targets=(target,), stages=(Stage("rate", 50, 50, 0.2),))
        measured = await run_alone(alone, [services.url], DirectoryCertificates(services.certificates(ASKER)))
        (subject,) = measured.subjects.values()
        kinds[number] = (subject.answered, dict(subject.errors))

    assert kinds == {
        0: (10, {}),
        1: (0, {NO_RESPONDERS: 10}),
        2: (0, {NOT_PERMITTED: 10}),
        3: (0, {"service: NOT_FOUND": 10}),
        4: (0, {TIMEOUT: 10}),
        5: (0, {"service: INVALID_ARGUMENT": 10}),
    }


async def test_callers_wait_for_their_answers(services: Fleet) -> None:
    plan = plan_of(Stage("callers", 4, 4, 1), subjects=("settings.get",))

    measured = await run_alone(plan, [services.url], DirectoryCertificates(services.certificates(ASKER)))

    (subject,) = measured.subjects.values()
    assert subject.answered == subject.due > 20
    assert measured.lag.number > 0
