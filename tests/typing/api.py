"""The public surface of `sdk` as its users write it. Never run: `make check` reads its types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest, Quest
from sdk import (
    AsyncCircuitBreaker,
    Bucket,
    Cache,
    CallError,
    CircuitOpenError,
    CircuitState,
    Context,
    Delivery,
    DrainReport,
    Entry,
    ErrorCode,
    InvalidRequestError,
    NATSClient,
    RetryExhaustedError,
    Service,
    Settings,
    StoredMessage,
    Subscription,
    Violation,
    deadline_in,
)

service = Service(description="Knows the quests.")


@service.handle("quest.get")
async def get_quest(request: GetQuestRequest, context: Context) -> GetQuestReply:
    """Answer."""
    assert_type(context.client, NATSClient)
    assert_type(context.remaining_seconds, float)
    return GetQuestReply(quest=Quest(quest_id=request.quest_id))


@service.on_event("quest.changed")
async def changed(event: Quest, context: Context) -> None:
    """Hear."""


@service.on_stored("quest-worker")
async def work(message: StoredMessage) -> None:
    """Deal with."""
    assert_type(message.data, bytes)


@service.on_start
async def begin(client: NATSClient) -> None:
    """Begin."""


async def call(client: NATSClient) -> None:
    """Ask, tell, listen."""
    reply = await client.request("quest.get", GetQuestRequest(quest_id="q-1"), GetQuestReply)
    assert_type(reply, GetQuestReply)
    assert_type(await client.publish_durable("quest.stored", Quest()), int)
    with deadline_in(2.0):
        await client.request("quest.get", GetQuestRequest(), GetQuestReply, timeout_seconds=1.0, idempotent=True)

    async def handler(delivery: Delivery) -> None:
        await delivery.respond(delivery.data)

    assert_type(await client.subscribe("quest.changed", handler, concurrency=4), Subscription)
    bucket = client.bucket("quests")
    assert_type(bucket, Bucket)
    assert_type(await bucket.get("q-1"), Entry)
    assert_type(await bucket.put("q-1", b"", revision=3), int)
    assert_type(await client.drain(), DrainReport)


async def fail(client: NATSClient) -> None:
    """Tell errors apart."""
    try:
        await client.request("quest.get", GetQuestRequest(), GetQuestReply)
    except InvalidRequestError as error:
        assert_type(error.violations, tuple[Violation, ...])
    except RetryExhaustedError as error:
        errors: Sequence[CallError] = error.errors
        assert_type(errors, Sequence[CallError])
    except CircuitOpenError as error:
        assert_type(error.retry_after_seconds, float | None)
    except CallError as error:
        assert_type(error.code, ErrorCode)


async def protect(breaker: AsyncCircuitBreaker) -> None:
    """Guard something that is not ours."""

    async def fetch(place: str, days: int = 1) -> bytes:
        return place.encode() * days

    assert_type(await breaker.call(fetch, "north", days=2), bytes)
    assert_type(await breaker(fetch)("north"), bytes)
    with breaker.guard():
        await fetch("north")
    assert_type(breaker.state, CircuitState)


async def keep(settings: Settings) -> None:
    """Keep something for a while."""
    cache = Cache.from_environment(settings.service)
    await cache.set("q-1", b"", ttl_seconds=60)
    assert_type(await cache.get("q-1"), bytes | None)


# The wrong ways are errors, and `warn_unused_ignores` says so where they are not.
service.handle("quest.get")(changed)  # type: ignore[type-var]
AsyncCircuitBreaker(5)  # type: ignore[arg-type]
