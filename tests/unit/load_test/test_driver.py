"""How a plan is driven, with time that passes only when everybody waits: what is found is exact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from load_test.driver import Driver, Failure
from load_test.measurements import DISCONNECTED, NOT_SENT, TIMEOUT, Measurements, merged
from load_test.plan import Plan, Stage, Target
from tests.virtual_time import VirtualClock, run

SUBJECT = "quest.get"
TARGET = Target("quest-system-nats", SUBJECT, "gaming.game.v1.GetQuestRequest", "", 2.0, 1.0, ({},))
PLAN = Plan(
    run="r",
    environment="test",
    catalog_digest="",
    seed=1,
    workers=1,
    stages=(Stage("rate", 100, 100, 10),),
    targets=(TARGET,),
    max_in_flight=1000,
)


class Responder:
    """Answers after some time, which a function of the present time says."""

    def __init__(self, seconds: Callable[[float], float], failure: Failure | None = None) -> None:
        self._seconds = seconds
        self._failure = failure
        self.asked: list[tuple[float, int, int]] = []
        self.at_once = 0
        self._under_way = 0

    async def ask(self, target: int, turn: int) -> Failure | None:
        now = asyncio.get_running_loop().time()
        self.asked.append((now, target, turn))
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        await asyncio.sleep(self._seconds(now))
        self._under_way -= 1
        return self._failure


def drive(
    plan: Plan, responder: Responder, worker: int = 0, cpu_seconds: Callable[[], float] = lambda: 0.0
) -> Measurements:
    async def driving() -> Measurements:
        driver = Driver(plan, responder, VirtualClock(), worker=worker, cpu_seconds=cpu_seconds)
        return await driver.run(0.0)

    return run(driving())


def stalls(now: float) -> float:
    """Answer in a millisecond, but stand still for the whole second from 5 to 6."""
    return (6 - now) + 0.001 if 5 <= now < 6 else 0.001


def test_a_second_of_standing_still_is_in_the_percentiles_as_long_as_callers_would_have_waited() -> None:
    latency = drive(PLAN, Responder(stalls)).subjects[SUBJECT].latency

    # A tenth of all requests were due while it stood, and waited evenly from a second down to nothing.
    assert 995_000 <= latency.percentile(100) <= 1_002_000
    assert 890_000 <= latency.percentile(99) <= 915_000
    assert 490_000 <= latency.percentile(95) <= 515_000
    assert latency.percentile(89) <= 2_000


def test_callers_that_wait_for_their_answer_hide_the_same_second() -> None:
    """That is what they are not for, and why the rate is the default."""
    plan = replace(PLAN, stages=(Stage("callers", 1, 1, 10),))

    latency = drive(plan, Responder(stalls)).subjects[SUBJECT].latency

    assert latency.percentile(99) <= 2_000


def test_a_responder_that_stands_still_does_not_slow_the_schedule() -> None:
    responder = Responder(stalls)

    measured = drive(PLAN, responder)

    assert measured.subjects[SUBJECT].due == 1000
    assert [round(now, 6) for now, _, _ in responder.asked] == [number / 100 for number in range(1000)]


def test_what_cannot_be_sent_because_too_much_waits_is_an_error_and_never_left_out() -> None:
    measured = drive(replace(PLAN, max_in_flight=20), Responder(stalls))

    subject = measured.subjects[SUBJECT]
    # Those due from 5.20 to 6.00; what waits is answered a millisecond after that.
    assert subject.errors == {NOT_SENT: 81}
    assert subject.answered == 919
    assert subject.due == 1000


def test_a_timeout_counts_with_the_time_that_was_waited() -> None:
    failure = Failure(TIMEOUT, "no answer within 2 s")

    subject = drive(PLAN, Responder(lambda _: 2.0, failure)).subjects[SUBJECT]

    assert subject.errors == {TIMEOUT: 1000}
    assert subject.latency.percentile(0) >= 2_000_000


def test_an_error_that_comes_at_once_makes_no_percentile_better() -> None:
    subject = drive(PLAN, Responder(lambda _: 0.0, Failure("service: INTERNAL", "it broke"))).subjects[SUBJECT]

    assert subject.failed == 1000
    assert subject.latency.number == 0


def test_what_only_warms_up_is_not_counted() -> None:
    plan = replace(PLAN, stages=(Stage("rate", 0, 100, 2, measured=False), Stage("rate", 100, 100, 1)))

    measured = drive(plan, Responder(lambda _: 0.001))

    assert measured.subjects[SUBJECT].due == 100
    assert [interval.due for interval in measured.intervals] == [25, 75, 100]


def test_time_is_told_by_when_requests_were_due_and_when_answers_came() -> None:
    measured = drive(PLAN, Responder(stalls))

    assert [interval.due for interval in measured.intervals[:10]] == [100] * 10
    assert [interval.answered for interval in measured.intervals[4:7]] == [100, 0, 200]
    assert measured.intervals[5].latency.percentile(100) >= 990_000
    assert measured.intervals[6].latency.percentile(100) <= 2_000


def test_a_worker_that_cannot_keep_up_says_so() -> None:
    class Slow(VirtualClock):
        """A machine that takes 30 ms to wake."""

        async def sleep_until(self, moment: float) -> None:
            await super().sleep_until(moment + 0.03)

    async def driving() -> Measurements:
        return await Driver(PLAN, Responder(lambda _: 0.001), Slow(), cpu_seconds=lambda: 0.0).run(0.0)

    measured = run(driving())

    assert measured.subjects[SUBJECT].due == 1000
    assert measured.lag.percentile(99) >= 29_000
    assert measured.subjects[SUBJECT].latency.percentile(99) >= 30_000


def test_the_share_of_a_processor_is_noted() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    def cpu_seconds() -> float:
        loops[:] = [asyncio.get_running_loop()]
        return loops[0].time() * 0.8

    measured = drive(PLAN, Responder(lambda _: 0.001), cpu_seconds=cpu_seconds)

    assert round(measured.busiest, 3) == 0.8


def test_callers_ask_again_when_they_have_their_answer() -> None:
    responder = Responder(lambda _: 0.125)
    plan = replace(PLAN, stages=(Stage("callers", 5, 5, 10),))

    measured = drive(plan, responder)

    assert 400 <= measured.subjects[SUBJECT].answered <= 405
    assert responder.at_once == 5


def test_a_caller_that_nobody_hears_does_nothing_else_meanwhile() -> None:
    plan = replace(PLAN, stages=(Stage("callers", 1, 1, 10),))

    measured = drive(plan, Responder(lambda _: 0.0, Failure(DISCONNECTED, "NATS is out of reach")))

    assert measured.subjects[SUBJECT].failed <= 101


def test_three_workers_measure_what_one_does() -> None:
    responders = [Responder(stalls) for _ in range(3)]
    plan = replace(PLAN, workers=3, targets=(replace(TARGET, subject="a.b"), replace(TARGET, subject="a.c")))

    together = merged(drive(plan, responder, worker) for worker, responder in enumerate(responders))

    alone = Responder(stalls)
    one = drive(replace(plan, workers=1), alone)
    assert together.subjects == one.subjects
    assert sorted((round(now, 6), target) for each in responders for now, target, _ in each.asked) == [
        (round(now, 6), target) for now, target, _ in alone.asked
    ]


def test_the_mix_is_as_the_weights_say_and_the_same_for_the_same_seed() -> None:
    plan = replace(
        PLAN, targets=(replace(TARGET, subject="a.b", weight=3.0), replace(TARGET, subject="a.c", weight=1.0))
    )

    orders = []
    for seed in (7, 7, 8):
        responder = Responder(lambda _: 0.001)
        drive(replace(plan, seed=seed), responder)
        orders.append([target for _, target, _ in responder.asked])

    assert orders[0] == orders[1] != orders[2]
    assert 240 <= sum(orders[0]) <= 260


def test_one_that_is_stopped_keeps_what_it_has() -> None:
    async def driving() -> Measurements:
        driver = Driver(PLAN, Responder(lambda _: 0.001), VirtualClock(), cpu_seconds=lambda: 0.0)
        asyncio.get_running_loop().call_later(2.0, driver.stop)
        return await driver.run(0.0)

    measured = run(driving())

    assert measured.was_stopped
    assert 200 <= measured.subjects[SUBJECT].answered <= 202
