"""Durable events: what a stream keeps until its consumer has dealt with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from sdk.errors import SdkError
from sdk.jetstream_errors import translate

if TYPE_CHECKING:
    from sdk.nats_client import NATSClient

_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message of a stream, to be acknowledged."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    sequence: int
    deliveries: int
    """How often it has been delivered, this time included."""
    _message: Msg

    async def acknowledge(self) -> None:
        """Say that it is dealt with. Returns when the server knows, so that it does not come again.

        Raises:
            SdkError: The server did not hear it; the message will come again.
        """
        await _told(self._message.ack_sync(timeout=5.0))

    async def retry_later(self, delay_seconds: float = 0.0) -> None:
        """Say that it is to come again."""
        await _told(self._message.nak(delay_seconds or None))

    async def still_working(self) -> None:
        """Ask for more time."""
        await _told(self._message.in_progress())

    async def reject(self) -> None:
        """Say that nobody will ever be able to deal with it."""
        await _told(self._message.term())


class Consumer:
    """A durable pull consumer that the platform has made; `NATSClient.consumer` returns it.

    async for message in consumer.messages():
        await deal_with(message.data)
        await message.acknowledge()
    """

    def __init__(self, client: NATSClient, stream: str, name: str) -> None:
        self._client = client
        self.stream = stream
        self.name = name

    async def fetch(self, batch: int = 1, *, timeout_seconds: float = _POLL_SECONDS) -> list[StoredMessage]:
        """Return up to `batch` messages; an empty list where none comes in time.

        Raises:
            SdkError: The consumer cannot be asked.
        """
        connection = self._client.connection()
        try:
            pull = await connection.jetstream().pull_subscribe_bind(consumer=self.name, stream=self.stream)
            try:
                fetched = await pull.fetch(batch, timeout=timeout_seconds)
            finally:
                if not connection.lost.done():
                    await pull.unsubscribe()
        except nats.errors.TimeoutError:
            return []
        except nats.errors.Error as error:
            raise translate(error) from error
        return [_stored(message) for message in fetched]

    async def messages(self, batch: int = 8) -> AsyncIterator[StoredMessage]:
        """Give messages, over lost connections too, until the client drains; what was fetched and not given comes again at once."""
        draining = asyncio.ensure_future(self._client.draining.wait())
        try:
            while not draining.done():
                fetch = asyncio.ensure_future(self._fetch_in_time(batch))
                waited: set[asyncio.Future[Any]] = {fetch, draining}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if not fetch.done():
                    fetch.cancel()
                    return
                for message in fetch.result():
                    if draining.done():
                        await message.retry_later()
                    else:
                        yield message
        finally:
            draining.cancel()

    async def _fetch_in_time(self, batch: int) -> list[StoredMessage]:
        """Fetch, whatever happens: an error is reported, and is followed by a pause."""
        await self._client.wait_until_connected()
        try:
            return await self.fetch(batch)
        except SdkError as error:
            self._client.report(error, f"{self.stream}.{self.name}")
            await asyncio.sleep(1.0)
            return []


async def _told(telling: Awaitable[object]) -> None:
    try:
        await telling
    except nats.errors.Error as error:
        raise translate(error) from error


def _stored(message: Msg) -> StoredMessage:
    metadata = message.metadata
    return StoredMessage(
        message.subject, message.data, message.headers or {}, metadata.sequence.stream, metadata.num_delivered, message
    )
