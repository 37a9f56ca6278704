"""Load while something is broken: requests that may be asked twice, and messages that JetStream acknowledges and must never lose.

The messages go into a stream of the drill's own, replicated as every stream of the catalog, so that no service hears them and nothing of
theirs is in the way; it is removed in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from google.protobuf import json_format
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from catalog.service import Service
from fleet.errors import WantingError
from fleet.load_test.bodies import Effect, bodies_of, effect_of
from fleet.wire import Wire
from proto.messages import message_class

STREAM = "DRILL"
SUBJECT = "bench.drill"
_ASKER, _MAKER = "loadtest", "provisioner"
_STREAM_BYTES = 8 * 2**20
_REPLICAS = 3
_ACKNOWLEDGED_SECONDS = 2.0
_MOST_REQUEST_SECONDS = 2.0
_PAUSE_SECONDS = 0.02
_STEADY = 20
_STEADY_SECONDS = 60.0
_READ_SECONDS = 60.0
_READ_TRIES = 5
_MOVE_AFTER = 3


@dataclass
class Timeline:
    """When something succeeded, so that the longest time without can be told."""

    count: int = 0
    longest_gap_seconds: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def note(self) -> None:
        """Note a success."""
        self.count += 1
        self.longest_gap_seconds = self.gap_seconds()
        self._last = time.monotonic()

    def gap_seconds(self) -> float:
        """Return the longest time without one, that until now included."""
        return max(self.longest_gap_seconds, time.monotonic() - self._last)

    def begin(self) -> None:
        """Forget what was before."""
        self.count, self.longest_gap_seconds, self._last = 0, 0.0, time.monotonic()


@dataclass(frozen=True, slots=True)
class Question:
    """A request that only reads."""

    subject: str
    body: bytes
    seconds: float
    """How long its answer may take."""


class Load:
    """Requests and publications that go on until they are ended.

    Args:
        wire: The way to NATS.
        questions: What is asked.
    """

    def __init__(self, wire: Wire, questions: Sequence[Question]) -> None:
        self._wire = wire
        self._questions = questions
        self._end = asyncio.Event()
        self._progress = asyncio.Condition()
        self.answers: dict[str, Timeline] = {one.subject: Timeline() for one in questions}
        self.failures: dict[str, Counter[str]] = {one.subject: Counter() for one in questions}
        self.stored = Timeline()
        self.acknowledged: dict[int, bytes] = {}
        """What JetStream has acknowledged, by its sequence."""
        self.unacknowledged = 0
        """Publications that may be lost, and may be there."""

    def begin(self) -> None:
        """Count gaps and failures from now on; what was acknowledged stays so."""
        for subject, timeline in self.answers.items():
            timeline.begin()
            self.failures[subject].clear()
        self.stored.begin()
        self.unacknowledged = 0

    async def more(self, count: int = _STEADY, seconds: float = _STEADY_SECONDS) -> bool:
        """Wait until so many more messages were acknowledged and each subject was answered again; tell whether that came."""
        stored = self.stored.count + count
        answered = {subject: timeline.count + 2 for subject, timeline in self.answers.items()}

        def there() -> bool:
            return self.stored.count >= stored and all(
                self.answers[one].count >= each for one, each in answered.items()
            )

        try:
            async with asyncio.timeout(seconds), self._progress:
                await self._progress.wait_for(there)
        except TimeoutError:
            return False
        return True

    async def lost(self) -> list[int]:
        """Return which acknowledged messages cannot be read back as they were, each by its sequence."""
        maker = await self._wire.connect(_MAKER, allow_reconnect=True, max_reconnect_attempts=-1)
        try:
            kept = await asyncio.gather(*(_kept(maker, sequence) for sequence in self.acknowledged))
        finally:
            await maker.close()
        return [one for (one, data), found in zip(self.acknowledged.items(), kept, strict=True) if found != data]

    async def run(self, began: asyncio.Event) -> None:
        """Ask and publish until ended.

        Raises:
            WantingError: It did not even begin.
        """
        asker = _Caller(self._wire)
        publisher = _Caller(self._wire)
        try:
            async with asyncio.TaskGroup() as tasks:
                for question in self._questions:
                    tasks.create_task(self._ask(asker, question))
                tasks.create_task(self._publish(publisher))
                if not await self.more():
                    raise WantingError("the load got no answers or no acknowledgements before anything was broken")
                began.set()
                await self._end.wait()
        finally:
            await asker.close()
            await publisher.close()

    def end(self) -> None:
        """Ask and publish no more."""
        self._end.set()

    async def _ask(self, caller: _Caller, question: Question) -> None:
        while not self._end.is_set():
            try:
                await caller.request(question)
            except (NatsError, OSError, TimeoutError) as error:
                self.failures[question.subject][type(error).__name__] += 1
            else:
                await self._note(self.answers[question.subject])
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _publish(self, caller: _Caller) -> None:
        number = 0
        while not self._end.is_set():
            number += 1
            data = f"message {number}".encode()
            try:
                client = await caller.client()
                answer = await client.jetstream(timeout=_ACKNOWLEDGED_SECONDS).publish(SUBJECT, data, stream=STREAM)
            except (NatsError, OSError, TimeoutError):
                self.unacknowledged += 1
                await caller.failed()
            else:
                caller.worked()
                self.acknowledged[answer.seq] = data
                await self._note(self.stored)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _note(self, timeline: Timeline) -> None:
        async with self._progress:
            timeline.note()
            self._progress.notify_all()


class _Caller:
    """A connection that is opened anew, to another node, where it fails again and again: the node may be cut off from the others."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._client: Client | None = None
        self._failures = 0
        self._opening = asyncio.Lock()

    async def client(self) -> Client:
        async with self._opening:
            if self._client is None or self._client.is_closed:
                self._client = await self._wire.connect(_ASKER, allow_reconnect=True, max_reconnect_attempts=2)
            return self._client

    async def request(self, question: Question) -> Msg:
        """Ask something; an error that the service itself answers is an answer.

        Raises:
            NatsError: Nobody answered.
        """
        client = await self.client()
        try:
            answer = await client.request(question.subject, question.body, timeout=question.seconds)
        except (NatsError, TimeoutError):
            await self.failed()
            raise
        self.worked()
        return answer

    def worked(self) -> None:
        self._failures = 0

    async def failed(self) -> None:
        self._failures += 1
        if self._failures >= _MOVE_AFTER:
            self._failures = 0
            await self.close()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), 5)


def questions_of(services: Sequence[Service]) -> list[Question]:
    """Return something to ask each service that only reads, as a load test would ask it."""
    found = []
    for service in services:
        reads = [route.subject for route in service.routes if route.method == "GET" and route.subject]
        harmless = [name for name in reads if effect_of(service.nats.serves[name].request) is Effect.NOTHING]
        # Of what reads, what names a thing goes through cache and bucket.
        harmless.sort(key=lambda name: ".list" in name)
        for name in harmless[:1]:
            subject = service.nats.serves[name]
            body = json_format.ParseDict(bodies_of(subject.request)[0], message_class(subject.request)())
            seconds = min(subject.timeout_seconds, _MOST_REQUEST_SECONDS)
            found.append(Question(name, body.SerializeToString(), seconds))
    return found


@contextlib.asynccontextmanager
async def under_load(wire: Wire, questions: Sequence[Question]) -> AsyncIterator[Load]:
    """Have requests and publications go on until the block ends, into a stream that then is gone."""
    maker = await wire.connect(_MAKER)
    try:
        await _remove(maker)
        config = StreamConfig(
            name=STREAM,
            subjects=[SUBJECT],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=_REPLICAS,
            max_bytes=_STREAM_BYTES,
        )
        await maker.jetstream(timeout=10).add_stream(config)
    finally:
        await maker.close()
    load, began = Load(wire, questions), asyncio.Event()
    running = asyncio.create_task(load.run(began))
    try:
        waiting = asyncio.create_task(began.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()
        yield load
    finally:
        load.end()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(running, return_exceptions=True)
        await asyncio.shield(_remove_stream(wire))


async def _remove_stream(wire: Wire) -> None:
    maker = await wire.connect(_MAKER)
    try:
        await _remove(maker)
    finally:
        await maker.close()


async def _remove(maker: Client) -> None:
    with contextlib.suppress(NotFoundError):
        await maker.jetstream(timeout=10).delete_stream(STREAM)


async def _kept(maker: Client, sequence: int) -> bytes | None:
    """Return what the stream has at a sequence; asked more than once, since a leader may just be elected."""
    for number in range(_READ_TRIES):
        try:
            return (await maker.jetstream(timeout=_READ_SECONDS / _READ_TRIES).get_msg(STREAM, sequence)).data
        except NotFoundError:
            return None
        except (NatsError, TimeoutError):
            await asyncio.sleep(number)
    return None
