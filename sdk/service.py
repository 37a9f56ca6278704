"""A service is its handlers; all else is here.

    from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
    from sdk import Context, NotFoundError, Service

    service = Service()

    @service.handle("quest.get")
    async def get_quest(request: GetQuestRequest, context: Context) -> GetQuestReply:
        quest = QUESTS.get(request.quest_id)
        if quest is None:
            raise NotFoundError(f"no quest has the id {request.quest_id}")
        return GetQuestReply(quest=quest)

    if __name__ == "__main__":
        service.run()

It reads what the container is told (`sdk.settings`), serves health on port 8080, connects by mutual TLS, answers its subjects in the
queue group, speaks the NATS service protocol, writes metrics and logs, and on SIGTERM becomes unready, ends what it has begun and
closes. Within a handler, `context.client.request` carries deadline and trace on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from sdk.answering import Answering
from sdk.discovery import Discovery, EndpointStatistics
from sdk.errors import ConfigurationError, SdkError
from sdk.handlers import Context, EventHandler, Handler, check_contract, message_types
from sdk.health import Health
from sdk.health_server import HealthServer
from sdk.logs import configure_logging
from sdk.nats_client import QUEUE_GROUP, DrainReport, NATSClient
from sdk.settings import Settings
from sdk.streams import StoredMessage
from sdk.subscription import Delivery
from sdk.trace import set_trace, trace_of

Req = TypeVar("Req", bound=Message)
Rep = TypeVar("Rep", bound=Message)

_log = logging.getLogger(__name__)


class Service:
    """A service.

    Args:
        settings: Who it is; read from the environment when it starts where not given.
        description: For the service protocol.
        max_concurrent: Requests of a subject that are handled at a time.
        max_waiting: Requests of a subject that wait for it; those beyond are answered at once that there are too many.
        drain_seconds: How long a shutdown may take.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        description: str = "",
        max_concurrent: int = 256,
        max_waiting: int = 4096,
        drain_seconds: float = 25.0,
    ) -> None:
        self._settings = settings
        self._description = description
        self._max_concurrent = max_concurrent
        self._max_waiting = max_waiting
        self._drain_seconds = drain_seconds
        self._handlers: dict[str, Handler] = {}
        self._events: dict[str, EventHandler] = {}
        self._consumers: dict[str, Callable[[StoredMessage], Awaitable[None]]] = {}
        self._starters: list[Callable[[NATSClient], Awaitable[None]]] = []
        self._stopping: asyncio.Event | None = None
        self.client: NATSClient | None = None
        """There once it runs."""
        self.health_port = 0
        """Where health is served, once it runs."""
        self.is_serving = False
        """Whether it answers requests."""

    def handle(
        self, subject: str
    ) -> Callable[[Callable[[Req, Context], Awaitable[Rep]]], Callable[[Req, Context], Awaitable[Rep]]]:
        """Decorate the handler of a subject; the types of its annotations are the types of the messages."""

        def register(function: Callable[[Req, Context], Awaitable[Rep]]) -> Callable[[Req, Context], Awaitable[Rep]]:
            request_type, reply_type = message_types(function, subject, replies=True)
            self.add_handler(subject, function, request_type, reply_type)
            return function

        return register

    def add_handler(
        self,
        subject: str,
        function: Callable[[Any, Context], Awaitable[Message]],
        request_type: type[Message],
        reply_type: type[Message],
    ) -> None:
        """Register a handler whose types are known at run time only.

        Raises:
            ConfigurationError: The subject has one already.
        """
        if subject in self._handlers:
            raise ConfigurationError(f"{subject} has a handler already")
        types = {"request": request_type.DESCRIPTOR.full_name, "reply": reply_type.DESCRIPTOR.full_name}
        self._handlers[subject] = Handler(function, request_type, reply_type, EndpointStatistics(subject, types))

    def on_event(
        self, subject: str
    ) -> Callable[[Callable[[Req, Context], Awaitable[None]]], Callable[[Req, Context], Awaitable[None]]]:
        """Decorate what hears the events of a subject, one after the other, in every instance of the service."""

        def register(function: Callable[[Req, Context], Awaitable[None]]) -> Callable[[Req, Context], Awaitable[None]]:
            message_type, _ = message_types(function, subject, replies=False)
            self.add_event_handler(subject, function, message_type)
            return function

        return register

    def add_event_handler(
        self, subject: str, function: Callable[[Any, Context], Awaitable[None]], message_type: type[Message]
    ) -> None:
        """Register what hears events, with a type that is known at run time only."""
        self._events[subject] = EventHandler(function, message_type)

    def on_stored(
        self, consumer: str
    ) -> Callable[[Callable[[StoredMessage], Awaitable[None]]], Callable[[StoredMessage], Awaitable[None]]]:
        """Decorate what deals with the messages of a durable consumer; one that it fails on comes again, later."""

        def register(
            function: Callable[[StoredMessage], Awaitable[None]],
        ) -> Callable[[StoredMessage], Awaitable[None]]:
            self._consumers[consumer] = function
            return function

        return register

    def on_start(self, function: Callable[[NATSClient], Awaitable[None]]) -> Callable[[NATSClient], Awaitable[None]]:
        """Decorate what is to be done once NATS is reached, before the first request."""
        self._starters.append(function)
        return function

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; ends the process, with 2 where it is not told what it must be told."""
        try:
            settings = self._settings or Settings.from_environment()
        except ConfigurationError as error:
            sys.stderr.write(f"error: {error}\n")
            sys.exit(2)
        self._settings = settings
        configure_logging(service=settings.service, environment=settings.environment)
        try:
            _run(self._serve_until_signalled())
        except ConfigurationError as error:
            _log.critical("the service cannot start", extra={"why": str(error)})
            sys.exit(2)

    async def serve(self) -> DrainReport:
        """Run until `stop`; return what the shutdown left undone.

        Raises:
            ConfigurationError: The handlers are not what the contract says.
        """
        settings = self._settings = self._settings or Settings.from_environment()
        check_contract(
            settings.contract,
            settings.service,
            handlers=self._handlers,
            events=self._events,
            consumers=self._consumers,
        )
        self._stopping = asyncio.Event()
        client = self.client = NATSClient(settings)
        health = Health(
            service=settings.service,
            version=settings.version,
            nats=client.link,
            outage_tolerance_seconds=settings.nats_outage_tolerance_seconds,
        )
        paths = health.paths(settings.health_path)
        async with HealthServer(paths, host=settings.health_host, port=settings.health_port) as server:
            self.health_port = server.port
            counting = asyncio.create_task(client.metrics.run())
            consuming: list[asyncio.Task[None]] = []
            try:
                if await self._start(client):
                    consuming = [asyncio.create_task(_consume(client, *each)) for each in self._consumers.items()]
                    self.is_serving = True
                    _log.info("serving", extra={"subjects": sorted(self._handlers)})
                    await self._stopping.wait()
            finally:
                health.is_draining = True
                self.is_serving = False
                report = await self._drain(client, consuming)
                counting.cancel()
                client.metrics.flush()
        return report

    async def _drain(self, client: NATSClient, consuming: Collection[asyncio.Task[None]]) -> DrainReport:
        """End what has been begun: first what is stored, since nothing is lost of it, then requests and events."""
        deadline = time.monotonic() + self._drain_seconds
        client.draining.set()
        if consuming:
            _, late = await asyncio.wait(consuming, timeout=self._drain_seconds / 2)
            for task in late:
                task.cancel()
            await asyncio.gather(*consuming, return_exceptions=True)
        return await client.drain(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """Tell it to end."""
        if self._stopping is not None:
            self._stopping.set()

    async def _serve_until_signalled(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        report = await self.serve()
        _log.info("stopped", extra={"lost_nothing": report.is_clean})

    async def _start(self, client: NATSClient) -> bool:
        """Connect and subscribe; False where it was told to stop before."""
        assert self._stopping is not None  # noqa: S101  # serve() has set it
        connecting = asyncio.create_task(client.connect(None))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                return False
            await connecting
        finally:
            connecting.cancel()
            stopped.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting
        for starter in self._starters:
            await starter(client)
        for subject, event in self._events.items():
            await client.subscribe(subject, functools.partial(_hear, client, event))
        answering = Answering(client)
        for subject, handler in self._handlers.items():
            await client.subscribe(
                subject,
                functools.partial(answering.answer, handler),
                queue=QUEUE_GROUP,
                concurrency=self._max_concurrent,
                max_waiting=self._max_waiting,
                overflow=answering.refuse,
            )
        await Discovery(
            name=client.settings.service,
            instance=uuid.uuid4().hex,
            version=client.settings.version,
            description=self._description,
            endpoints={subject: handler.statistics for subject, handler in self._handlers.items()},
        ).subscribe(client)
        return True


async def _hear(client: NATSClient, event: EventHandler, delivery: Delivery) -> None:
    """Hand an event to its handler."""
    trace = trace_of(delivery.headers).child()
    set_trace(trace)
    message = event.message_type()
    try:
        message.ParseFromString(delivery.data)
    except DecodeError:
        _log.warning("an event is not what it must be", extra={"subject": delivery.subject})
        return
    await event.function(message, Context(client, delivery.subject, delivery.headers, trace))


async def _consume(client: NATSClient, name: str, function: Callable[[StoredMessage], Awaitable[None]]) -> None:
    """Deal with the messages of a consumer, one after the other."""
    async for message in client.consumer(name).messages():
        set_trace(trace_of(message.headers).child())
        try:
            await function(message)
            await message.acknowledge()
        except Exception:  # noqa: BLE001  # the message comes again
            _log.exception("a stored message was not dealt with", extra={"consumer": name, "subject": message.subject})
            # Later each time, so that one that nobody can deal with costs little; where that is not heard, as soon as its time is over.
            with contextlib.suppress(SdkError):
                await message.retry_later(min(60.0, 2.0**message.deliveries))


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
