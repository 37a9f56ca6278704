"""One worker of a load test, from its plan to its result."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from load_test import exchange as places
from load_test.clock import LoopClock
from load_test.driver import Driver
from load_test.exchange import ExchangeError
from load_test.measurements import Measurements
from load_test.nats_asker import NatsAsker
from load_test.plan import Plan
from sdk.certificates import CertificateSource
from sdk.errors import SdkError

_log = logging.getLogger(__name__)

CONNECT_SECONDS = 30.0
START_SECONDS = 900.0
"""How long a worker waits for the others; a task that nobody starts must not run for ever."""
_LATE_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_PROGRESS_SECONDS = 2.0


class Exchange(Protocol):
    """Where plan and results lie."""

    def read(self, name: str) -> Mapping[str, Any] | None:
        """Return an object; None where it is not there."""
        ...

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write an object."""
        ...


class WorkerError(Exception):
    """A worker cannot do what it was started for."""


async def run(
    plan: Plan, servers: Sequence[str], certificates: CertificateSource | None, *, name: str = "loadtest"
) -> Measurements:
    """Run a plan at once and alone.

    Raises:
        SdkError: NATS cannot be reached, or the plan's bodies are none.
    """
    asker = NatsAsker(plan, servers, certificates, name=name)
    clock = LoopClock()
    try:
        await asker.start(CONNECT_SECONDS)
        driver = Driver(plan, asker, clock)
        measured = await driver.run(clock.now())
        measured.reconnects = asker.reconnects
        return measured
    finally:
        clock.close()
        await asker.close()


async def take_part(
    exchange: Exchange, worker: int, servers: Sequence[str], certificates: CertificateSource | None
) -> None:
    """Do a worker's share of a run, together with the others, and leave the result; what keeps it from that is left in its place.

    Raises:
        WorkerError: It could not.
        ExchangeError: The bucket cannot be read or written.
    """
    try:
        plan = _plan(await asyncio.to_thread(exchange.read, places.PLAN))
        measured = await _share(exchange, plan, worker, servers, certificates)
    except (SdkError, WorkerError) as error:
        await asyncio.to_thread(exchange.write, places.result(worker), {"error": str(error)})
        raise WorkerError(str(error)) from error
    await asyncio.to_thread(exchange.write, places.result(worker), measured.to_plain())


def _plan(plain: Mapping[str, Any] | None) -> Plan:
    if plain is None:
        raise WorkerError("there is no plan, or this worker may not read it")
    try:
        return Plan.from_plain(plain)
    except ValueError as error:
        raise WorkerError(
            f"{error}; the image is of another version than the command: deploy, then try again"
        ) from error


async def _share(
    exchange: Exchange, plan: Plan, worker: int, servers: Sequence[str], certificates: CertificateSource | None
) -> Measurements:
    asker = NatsAsker(plan, servers, certificates)
    clock = LoopClock()
    reporting: asyncio.Task[None] | None = None
    try:
        await asker.start(CONNECT_SECONDS)
        driver = Driver(plan, asker, clock, worker=worker)
        with _ended_by_signals(driver):
            await asyncio.to_thread(exchange.write, places.ready(worker), {"worker": worker})
            starts_at = await _start(exchange, driver)
            if (late := time.time() - starts_at) > _LATE_SECONDS:
                raise WorkerError(
                    f"the others began {late:.0f} s ago, by the clock here: it is wrong, or the word came late"
                )
            _log.info("begins", extra={"run": plan.run, "worker": worker, "in_seconds": starts_at - time.time()})
            reporting = asyncio.create_task(_report(exchange, driver, worker))
            measured = await driver.run(clock.now() + starts_at - time.time())
            measured.reconnects = asker.reconnects
            _log.info("ends", extra={"run": plan.run, "worker": worker})
            return measured
    finally:
        if reporting is not None:
            reporting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporting
        clock.close()
        await asker.close()


async def _start(exchange: Exchange, driver: Driver) -> float:
    """Wait for the word to begin, and return the moment (seconds since 1970) that it names."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not driver.measurements.was_stopped:
        told = await asyncio.to_thread(exchange.read, places.START)
        if told is not None:
            return float(told["at"])
        await asyncio.sleep(_LOOK_SECONDS)
    if driver.measurements.was_stopped:
        raise WorkerError("it was stopped before it began")
    raise WorkerError(f"nobody gave the word to begin within {START_SECONDS:.0f} s")


async def _report(exchange: Exchange, driver: Driver, worker: int) -> None:
    """Tell how far it is, and hear whether it is to stop."""
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        intervals = driver.measurements.intervals
        told = {
            "due": sum(interval.due for interval in intervals),
            "answered": sum(interval.answered for interval in intervals),
            "errors": sum(interval.errors for interval in intervals),
            "in_flight": driver.in_flight,
        }
        try:
            await asyncio.to_thread(exchange.write, places.progress(worker), told)
            if await asyncio.to_thread(exchange.read, places.STOP) is not None:
                driver.stop()
        except ExchangeError as error:  # the measurements matter more
            _log.warning("the progress could not be told", extra={"why": str(error)})


@contextlib.contextmanager
def _ended_by_signals(driver: Driver) -> Iterator[None]:
    """End the test, and keep what was measured, on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, driver.stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
