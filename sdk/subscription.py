"""A subscription that outlives connections: handlers run in tasks, in bounded number, in the order of arrival."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from sdk.connection import Connection
from sdk.errors import SdkError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that has arrived."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str
    connection: Connection
    arrived: float
    """On `time.monotonic`'s clock."""

    async def respond(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer it, by the connection that it came on: NATS lets nobody else answer.

        Raises:
            SdkError: The connection is lost, or the answer is too large.
        """
        if self.reply:
            await self.connection.publish(self.reply, data, headers=headers)


class Subscription:
    """Interest in a subject.

    Args:
        subject: May hold wildcards.
        queue: Of those in one queue group, one gets a message.
        handler: Gets each message. What it raises is logged.
        concurrency: Messages that are handled at a time; 1 keeps their order.
        max_waiting: Messages that wait for their turn.
        overflow: Gets the messages beyond; None counts and drops them.
    """

    def __init__(
        self,
        subject: str,
        queue: str,
        handler: Callable[[Delivery], Awaitable[None]],
        *,
        concurrency: int,
        max_waiting: int,
        overflow: Callable[[Delivery], Awaitable[None]] | None = None,
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.dropped = 0
        self._handler = handler
        self._concurrency = concurrency
        self._max_waiting = max_waiting
        self._overflow = overflow
        self._active: set[asyncio.Task[None]] = set()
        self._waiting: deque[Delivery] = deque()

    @property
    def unhandled(self) -> int:
        """Messages that have arrived and are not dealt with."""
        return len(self._active) + len(self._waiting)

    async def attach(self, connection: Connection) -> NatsSubscription:
        """Subscribe on a connection."""

        async def arrived(message: Msg) -> None:
            delivery = Delivery(
                message.subject, message.data, message.headers or {}, message.reply, connection, time.monotonic()
            )
            connection.handling += 1
            if len(self._active) < self._concurrency:
                self._start(delivery, self._handler)
            elif len(self._waiting) < self._max_waiting:
                self._waiting.append(delivery)
            elif self._overflow is not None:
                self._start(delivery, self._overflow)
            else:
                connection.handling -= 1
                self._drop(delivery)

        # Not nats-py's bounds, beyond which it drops what nobody hears of.
        return await connection.subscribe(
            self.subject, queue=self.queue, cb=arrived, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def abandon(self) -> int:
        """Cancel what is being handled and forget what waits; return how many messages that were."""
        tasks, number = list(self._active), self.unhandled
        for delivery in self._waiting:
            delivery.connection.handling -= 1
        self._waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return number

    def _start(self, delivery: Delivery, handler: Callable[[Delivery], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._run(delivery, handler))
        self._active.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        while self._waiting and len(self._active) < self._concurrency:
            self._start(self._waiting.popleft(), self._handler)

    async def _run(self, delivery: Delivery, handler: Callable[[Delivery], Awaitable[None]]) -> None:
        try:
            await handler(delivery)
        except (SdkError, nats.errors.Error) as error:
            _log.warning("a message was not handled", extra={"subject": delivery.subject, "why": str(error)})
        except Exception:  # noqa: BLE001  # one message must not end the subscription
            _log.exception("a handler failed", extra={"subject": delivery.subject})
        finally:
            delivery.connection.handling -= 1

    def _drop(self, delivery: Delivery) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            _log.error(
                "messages come faster than they are handled and are dropped",
                extra={"subject": delivery.subject, "dropped": self.dropped},
            )
