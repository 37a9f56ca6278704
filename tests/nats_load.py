"""Load on a cluster of NATS: requests that are answered, and messages that JetStream has acknowledged and must never lose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from nats_platform.permissions import QUEUE_GROUP
from tests.nats_machines import NODES, Machines

SERVER, CLIENT, SUBJECT = "settings-nats", "auth-nats", "settings.get"
PUBLISHER, EVENTS, EVENT = "event-bus-nats", "EVENTS", "events.session.started"
REQUEST_SECONDS = 5
PAUSE_SECONDS = 0.005
PARALLEL = 4


@dataclass
class Load:
    """What was asked, answered, and acknowledged."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    """What was stored, by its sequence."""
    unacknowledged: int = 0
    """Publications that may be lost, and may be there."""
    moved: int = 0
    """How often a client went to another node when its own said that it leaves."""
    _progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, *, failure: str = "", stored: tuple[int, bytes] | None = None) -> None:
        """Note how a request or a publication ended."""
        async with self._progress:
            if failure:
                self.failed.append(failure)
            elif stored:
                self.acknowledged[stored[0]] = stored[1]
            else:
                self.answered += 1
            self._progress.notify_all()

    async def more(self, count: int) -> None:
        """Wait until so many more requests were answered and messages acknowledged."""
        answered, acknowledged = self.answered + count, len(self.acknowledged) + count
        async with asyncio.timeout(60), self._progress:
            await self._progress.wait_for(lambda: self.answered >= answered and len(self.acknowledged) >= acknowledged)


class Connection:
    """A connection that does what NATS expects of its clients: when its node says that it leaves, it goes to another one.

    It opens the new one first, and closes the old one when what is under way there has ended.
    """

    def __init__(
        self, cluster: Machines, name: str, load: Load, prepare: Callable[[Client], Awaitable[None]], at: str = ""
    ) -> None:
        self._cluster, self._name, self._load, self._prepare = cluster, name, load, prepare
        self._at = at
        """The node that it connects to first."""
        self._under_way: dict[Client, int] = {}
        self._moves: set[asyncio.Task[None]] = set()
        self.client: Client | None = None

    async def open(self) -> None:
        async def leaves() -> None:
            self._moves.add(asyncio.ensure_future(self._move()))

        nodes = sorted(NODES, key=lambda node: node != self._at)
        client = await self._cluster.connect(
            self._name, *nodes, dont_randomize=bool(self._at), lame_duck_mode_cb=leaves
        )
        self._at = ""
        await self._prepare(client)
        await client.flush()
        self._under_way[client] = 0
        self.client = client

    async def _move(self) -> None:
        old = self.client
        assert old is not None
        await self.open()
        self._load.moved += 1
        await self._end(old)

    async def _end(self, client: Client) -> None:
        while self._under_way[client]:  # noqa: ASYNC110 (nobody is in a hurry)
            await asyncio.sleep(0.01)
        await client.drain()

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[Client]:
        client = self.client
        assert client is not None
        self._under_way[client] += 1
        try:
            yield client
        finally:
            self._under_way[client] -= 1

    async def close(self) -> None:
        await asyncio.gather(*self._moves)
        assert self.client is not None
        await self.client.close()


@asynccontextmanager
async def under_load(
    cluster: Machines, *, at: str = "", request_seconds: float = REQUEST_SECONDS
) -> AsyncIterator[Load]:
    """Have requests and publications go on until the block ends; who asks and publishes does so at a node, where one is named."""
    load, end = Load(), asyncio.Event()
    async with contextlib.AsyncExitStack() as opened:

        async def opening(name: str, prepare: Callable[[Client], Awaitable[None]]) -> Connection:
            connection = Connection(cluster, name, load, prepare, at if prepare is _nothing else "")
            await connection.open()
            opened.push_async_callback(connection.close)
            return connection

        for _ in range(2):
            await opening(SERVER, _serve)
        requester, publisher = await opening(CLIENT, _nothing), await opening(PUBLISHER, _nothing)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(PARALLEL):
                tasks.create_task(_ask(requester, load, end, request_seconds))
            tasks.create_task(_publish(publisher, load, end))
            try:
                await load.more(20)
                yield load
            finally:
                end.set()


async def _serve(client: Client) -> None:
    async def answer(request: Msg) -> None:
        await request.respond(request.data)

    await client.subscribe(SUBJECT, QUEUE_GROUP, cb=answer)


async def _nothing(_: Client) -> None: ...


async def _ask(connection: Connection, load: Load, end: asyncio.Event, seconds: float) -> None:
    number = 0
    while not end.is_set():
        number += 1
        data = str(number).encode()
        async with connection.using() as client:
            try:
                answer = await client.request(SUBJECT, data, timeout=seconds)
                await load.note(failure="" if answer.data == data else f"{answer.data!r} for {data!r}")
            except NatsError as error:
                await load.note(failure=repr(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def _publish(connection: Connection, load: Load, end: asyncio.Event) -> None:
    number = 0
    while not end.is_set():
        number += 1
        data = f"event {number}".encode()
        async with connection.using() as client:
            try:
                answer = await client.jetstream(timeout=2).publish(EVENT, data, stream=EVENTS)
                await load.note(stored=(answer.seq, data))
            except (NatsError, TimeoutError):
                load.unacknowledged += 1
        await asyncio.sleep(PAUSE_SECONDS)


async def lost(cluster: Machines, load: Load) -> list[int]:
    """Return which acknowledged messages cannot be read back as they were, each by its sequence."""
    client = await cluster.connect("provisioner")
    try:
        read = client.jetstream()
        kept = {sequence: (await read.get_msg(EVENTS, sequence)).data for sequence in load.acknowledged}
        return [sequence for sequence, data in load.acknowledged.items() if kept[sequence] != data]
    finally:
        await client.close()
