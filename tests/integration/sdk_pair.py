"""A caller and a service on real NATS nodes, as most tests of the SDK want them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from proto.generated.gaming.game.v1.quest_pb2 import (
    AcceptQuestReply,
    AcceptQuestRequest,
    GetQuestReply,
    GetQuestRequest,
    Quest,
)
from sdk import Context, NATSClient, Service, Settings
from sdk.link import LinkSettings
from tests.nats_world import ACCEPT, GET, World

WAIT_SECONDS = 20


async def until(question: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was.
    """
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not question():  # noqa: ASYNC110  # what it asks about gives no sign
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it never came that {what}") from None


def quick_link(settings: Settings, **changes: Any) -> LinkSettings:
    """Return a link that finds a silent server out in a fraction of a second."""
    quick = LinkSettings(
        settings.service,
        settings.inbox_prefix,
        settings.servers,
        connect_timeout_seconds=1.0,
        ping_interval_seconds=0.1,
        ping_timeout_seconds=0.2,
        reconnect_max_seconds=0.2,
    )
    return replace(quick, **changes)


@dataclass
class Pair:
    """A client that asks, and a service that answers as `answer` says."""

    client: NATSClient
    service: Service
    running: asyncio.Task[Any]
    asked: list[str] = field(default_factory=list)
    answer: Callable[[str], Awaitable[None]] | None = None
    """Awaited before each answer, with the identifier that is asked for."""

    async def get(self, quest_id: str = "q-1", **options: Any) -> GetQuestReply:
        """Ask, idempotently."""
        return await self.client.request(GET, GetQuestRequest(quest_id=quest_id), GetQuestReply, **options)

    async def accept(self, quest_id: str = "q-1", **options: Any) -> AcceptQuestReply:
        """Ask, not idempotently."""
        return await self.client.request(ACCEPT, AcceptQuestRequest(quest_id=quest_id), AcceptQuestReply, **options)


@asynccontextmanager
async def pair(
    world: World, *, options: dict[str, Any] | None = None, client_options: dict[str, Any] | None = None
) -> AsyncIterator[Pair]:
    """Have a caller and a service until the block ends."""
    service = Service(world.settings("quest-nats"), **options or {})
    settings = world.settings("caller-nats")
    client = NATSClient(settings, **{"link": quick_link(settings)} | (client_options or {}))
    made: Pair

    @service.handle(GET)
    async def get(request: GetQuestRequest, _: Context) -> GetQuestReply:
        made.asked.append(request.quest_id)
        if made.answer is not None:
            await made.answer(request.quest_id)
        return GetQuestReply(quest=Quest(quest_id=request.quest_id))

    @service.handle(ACCEPT)
    async def accept(request: AcceptQuestRequest, _: Context) -> AcceptQuestReply:
        made.asked.append(request.quest_id)
        if made.answer is not None:
            await made.answer(request.quest_id)
        return AcceptQuestReply(giver_line=request.quest_id)

    made = Pair(client, service, asyncio.create_task(service.serve()))
    try:
        await client.connect(10)
        await until(lambda: service.is_serving, "the service served")
        yield made
    finally:
        service.stop()
        await client.drain(1)
        await made.running
