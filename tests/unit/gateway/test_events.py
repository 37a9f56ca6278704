"""Queues of events: bounded, without a hole that passes unseen."""

from __future__ import annotations

import asyncio

from gateway.events import CHECK_SECONDS, Feed, Listener, stream
from proto.generated.gaming.infrastructure.v1.event_pb2 import Event as EventMessage
from proto.generated.gaming.infrastructure.v1.time_pb2 import GetTimeReply
from sdk import Event


class Delivered:
    """A message as the SDK hands it on; nothing of its connection is asked for."""

    subject = "events.x"

    def __init__(self, data: bytes) -> None:
        self.data = data


def feed(message: str = "gaming.infrastructure.v1.Event", remembered: int = 3, waiting: int = 2) -> Feed:
    return Feed(Event("events.>", message), remembered=remembered, waiting=waiting)


async def tell(made: Feed, *identifiers: str) -> None:
    for identifier in identifiers:
        await made.hear(Delivered(EventMessage(event_id=identifier).SerializeToString()))  # type: ignore[arg-type]


def identifiers(frames: bytes) -> list[str]:
    return [line[4:].decode() for line in frames.split(b"\n") if line.startswith(b"id: ")]


async def test_a_caller_that_takes_events_too_slowly_is_ended_and_told_so() -> None:
    listener = Listener(2)
    for frame in (b"1", b"2", b"3", b"4"):
        listener.put(frame)
    assert await listener.take(0) == b""
    assert listener.ended == "slow"


async def test_what_waits_is_taken_together() -> None:
    listener = Listener(2)
    listener.put(b"1")
    listener.put(b"2")
    assert await listener.take(0) == b"12"
    assert await listener.take(0) == b""


async def test_what_waits_is_still_taken_after_the_end() -> None:
    listener = Listener(2)
    listener.put(b"1")
    listener.end("end")
    listener.put(b"2")
    assert [await listener.take(0), await listener.take(0)] == [b"1", b""]


async def test_an_event_that_cannot_be_read_or_written_is_passed_over() -> None:
    made = feed()
    listener = made.join()
    beyond = EventMessage(event_id="far")
    beyond.occurred_at.seconds = 10**15
    for data in (b"\xff", beyond.SerializeToString()):
        await made.hear(Delivered(data))  # type: ignore[arg-type]
    await tell(made, "good")
    assert identifiers(await listener.take(0)) == ["good"]


async def test_so_many_events_are_remembered() -> None:
    made = feed()
    await tell(made, "a", "b", "c", "d")
    assert identifiers(await made.join("b").take(0)) == ["c", "d"]
    gap = await made.join("a").take(0)
    assert b"event: gap" in gap
    assert identifiers(gap) == []


async def test_what_is_remembered_is_bounded_by_its_size_too() -> None:
    made = feed(remembered=1000)
    for number in range(20):
        await made.hear(Delivered(EventMessage(event_id=f"e-{number}", type="t" * 2**19).SerializeToString()))  # type: ignore[arg-type]
    listener, known = made.join("e-13"), list[str]()
    while frames := await listener.take(0):
        known += identifiers(frames)
    assert known == [f"e-{number}" for number in range(14, 20)]
    assert b"event: gap" in await made.join("e-0").take(0)


async def test_what_waits_for_a_caller_is_bounded_by_its_size_too() -> None:
    listener = Listener(1000)
    for _ in range(9):
        listener.put(b"a" * 2**20)
    assert (await listener.take(0), listener.ended) == (b"", "slow")


async def test_much_that_waits_is_taken_bit_by_bit() -> None:
    listener = Listener(1000)
    for _ in range(9):
        listener.put(b"a" * 20_000)
    assert [len(await listener.take(0)) for _ in range(4)] == [80_000, 80_000, 20_000, 0]


async def test_a_hole_is_told_to_all_who_listen_and_to_all_who_come_back() -> None:
    made = feed(waiting=10)
    listener = made.join()
    await tell(made, "a")
    made.interrupt()
    await tell(made, "b")
    heard = await listener.take(0)
    assert heard.index(b"id: a") < heard.index(b"event: gap") < heard.index(b"id: b")
    assert b"event: gap" in await made.join("a").take(0)
    assert identifiers(await made.join("b").take(0)) == []


async def test_an_event_that_is_told_twice_is_heard_once() -> None:
    made = feed()
    listener = made.join()
    await tell(made, "a", "a")
    assert identifiers(await listener.take(0)) == ["a"]


async def test_an_identifier_that_would_break_the_form_is_replaced() -> None:
    made = feed()
    listener = made.join()
    await tell(made, "a\ndata: forged", "")
    first, second = identifiers(await listener.take(0))
    assert first.rpartition("-")[2] == "1"
    assert second.rpartition("-")[2] == "2"


class Exchanged:
    """A caller that takes everything, each time after a while."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self.taken: list[bytes] = []
        self._clock, self._seconds = clock, seconds

    async def answer(self, status: int, headers: object) -> None: ...

    async def write(self, data: bytes, *, more: bool) -> None:  # noqa: ARG002  # as the other one
        self.taken.append(data)
        self._clock[0] += self._seconds

    async def gone(self) -> None:
        await asyncio.Event().wait()


async def heard_while(answers: list[bool], seconds: float) -> list[bytes]:
    """Return what a caller hears that may listen as long as the answers say so."""
    clock = [1000.0]
    exchange = Exchanged(clock, seconds)

    async def still_may() -> bool:
        return answers.pop(0)

    await stream(
        exchange,  # type: ignore[arg-type]  # all that is asked of it
        Listener(2),
        [],
        heartbeat_seconds=0.001,
        seconds=4 * CHECK_SECONDS,
        still_may=still_may,
        clock=lambda: clock[0],
    )
    return exchange.taken


async def test_a_stream_ends_when_its_caller_may_hear_it_no_longer() -> None:
    heard = await heard_while([True, False], CHECK_SECONDS / 2)
    assert [b"event: end" in each for each in heard] == [False] * 4 + [True]


async def test_a_stream_ends_when_its_time_is_over() -> None:
    heard = await heard_while([True] * 4, CHECK_SECONDS)
    assert [b"event: end" in each for each in heard] == [False] * 4 + [True]


async def test_what_is_no_event_is_passed_over() -> None:
    made = feed()
    listener = made.join()
    await made.hear(Delivered(b"\xff"))  # type: ignore[arg-type]
    assert identifiers(await listener.take(0)) == []


async def test_events_without_an_identifier_get_one() -> None:
    made = feed("gaming.infrastructure.v1.GetTimeReply")
    listener = made.join()
    for _ in range(2):
        await made.hear(Delivered(GetTimeReply().SerializeToString()))  # type: ignore[arg-type]
    assert len(set(identifiers(await listener.take(0)))) == 2
