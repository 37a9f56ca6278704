"""Events as they come, for those who listen by Server-Sent Events.

Each event is heard once by this process and written once as text, however many listen. Core NATS keeps nothing, so what the gateway can
give again to a caller that comes back with `Last-Event-ID` is what it remembers itself: the last few hundred events. Their identifiers are
the publisher's where the message has an `event_id`, and then any replica of the gateway knows them; a caller whose last event is
remembered nowhere is told that it may have missed some, by an event `gap`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError, Message

from gateway.exchange import Exchange
from gateway.mapping import UnwritableError, reply_json
from sdk import Delivery, Event, NATSClient

_log = logging.getLogger(__name__)
_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_RETRY_MILLISECONDS = 2000
_ID_FIELD = "event_id"
_TAKEN_BYTES = 64 * 2**10
_MOST_BYTES = 4 * 2**20
"""That are remembered, and as much again may wait for a caller: events are small, and need not be."""
CHECK_SECONDS = 30.0
"""After which it is looked again whether a caller may still hear events: its token may have been taken back."""
END_OF_STREAM = "the stream ends here; connect again to hear on"


class Listener:
    """One caller's queue.

    Args:
        waiting: Events that may wait for it.
    """

    def __init__(self, waiting: int) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._waiting = waiting
        self._has_news = asyncio.Event()
        self.ended = ""
        """Why there is nothing more to come, once it is so: the name of the last event."""

    def put(self, frame: bytes) -> None:
        """Add an event; one that is too much ends the stream, since a hole in it would pass unseen."""
        if self.ended:
            return
        if len(self._frames) >= self._waiting or self._bytes + len(frame) > 2 * _MOST_BYTES:
            self._frames.clear()
            self.end("slow")
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        self._has_news.set()

    def end(self, reason: str) -> None:
        """Let nothing more come."""
        self.ended = self.ended or reason
        self._has_news.set()

    async def take(self, seconds: float) -> bytes:
        """Return events that wait, as many as are sent at a time, and wait for the first.

        Nothing is returned where none came in that time, or no more will.
        """
        if not self._frames and not self.ended:
            try:
                async with asyncio.timeout(seconds):
                    await self._has_news.wait()
            except TimeoutError:
                return b""
        self._has_news.clear()
        taken, size = [], 0
        while self._frames and size < _TAKEN_BYTES:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken)


class Feed:
    """The events of one subject.

    Args:
        event: Subject and message.
        remembered: Events that are kept for callers who come back.
        waiting: Events that may wait for one caller.
    """

    def __init__(self, event: Event, *, remembered: int = 512, waiting: int = 256) -> None:
        self._event = event
        self._type = event.message_type()
        self._remembered = remembered
        self._waiting = waiting
        self._instance = uuid.uuid4().hex[:8]
        self._number = 0
        self._last: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._listeners: set[Listener] = set()
        self.is_heard = False
        """Whether NATS gives us the events."""

    async def start(self, client: NATSClient) -> None:
        """Hear the events from now on.

        Raises:
            CallError: NATS does not let us.
        """
        await client.subscribe(self._event.subject, self.hear)
        client.add_reconnect_listener(self.interrupt)
        self.is_heard = True

    def join(self, last_event_id: str = "") -> Listener:
        """Return the queue of a caller; `leave` must follow."""
        listener = Listener(self._waiting + self._remembered)
        listener.put(f"retry: {_RETRY_MILLISECONDS}\n\n".encode())
        if last_event_id:
            known = list(self._last)
            if last_event_id in self._last:
                for missed in known[known.index(last_event_id) + 1 :]:
                    listener.put(self._last[missed])
            else:
                listener.put(_GAP)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a caller."""
        self._listeners.discard(listener)

    def end(self) -> None:
        """End the streams of all callers."""
        for listener in self._listeners:
            listener.end("end")

    def interrupt(self) -> None:
        """Tell everyone that events may have been missed, and give none again across the hole: NATS was away, and keeps nothing."""
        self._last.clear()
        self._bytes = 0
        for listener in self._listeners:
            listener.put(_GAP)

    async def hear(self, delivery: Delivery) -> None:
        """Give an event to all callers who listen."""
        message = self._type()
        try:
            message.ParseFromString(delivery.data)
            text = reply_json(message)
        except (DecodeError, UnwritableError):
            _log.warning("an event is not what it must be", extra={"subject": delivery.subject})
            return
        identifier = self._identifier(message)
        if identifier in self._last:
            return  # told twice
        frame = b"id: %b\ndata: %b\n\n" % (identifier.encode(), text)
        self._last[identifier] = frame
        self._bytes += len(frame)
        while len(self._last) > self._remembered or self._bytes > _MOST_BYTES:
            self._bytes -= len(self._last.popitem(last=False)[1])
        for listener in self._listeners:
            listener.put(frame)

    def _identifier(self, message: Message) -> str:
        given = getattr(message, _ID_FIELD, "")
        if isinstance(given, str) and _ID.fullmatch(given):
            return given
        self._number += 1
        return f"{self._instance}-{self._number}"


def named(name: str, text: str) -> bytes:
    """Return an event of the gateway's own."""
    return f"event: {name}\ndata: {text}\n\n".encode()


_GAP = named("gap", "events may have been missed: they were not heard here, or are no longer known")


async def stream(
    exchange: Exchange,
    listener: Listener,
    headers: list[tuple[bytes, bytes]],
    *,
    heartbeat_seconds: float,
    seconds: float,
    still_may: Callable[[], Awaitable[bool]],
    clock: Callable[[], float],
) -> None:
    """Send a caller its events until it goes, the events end, its time is over, or it may hear them no longer."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"), *headers]
    checked = clock()
    ends = checked + seconds
    await exchange.answer(200, headers)
    watching = asyncio.create_task(_watch(exchange, listener))
    try:
        while listener.ended != "gone":
            left = ends - clock()
            if clock() - checked >= CHECK_SECONDS:
                checked = clock()
                left = left if await still_may() else 0
            if left <= 0:
                listener.end("end")
            frames = await listener.take(min(heartbeat_seconds, left))
            if listener.ended and not frames:
                break
            await exchange.write(frames or b": heartbeat\n\n", more=True)
        if listener.ended != "gone":
            told = "this caller is too slow; " * (listener.ended == "slow") + END_OF_STREAM
            await exchange.write(named(listener.ended, told), more=False)
    finally:
        watching.cancel()


async def _watch(exchange: Exchange, listener: Listener) -> None:
    await exchange.gone()
    listener.end("gone")
