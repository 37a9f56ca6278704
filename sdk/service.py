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
import inspect
import logging
import signal
import sys
import time
import typing
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from sdk.deadline import remaining_seconds, set_deadline, timeout_of
from sdk.discovery import Discovery, EndpointStatistics
from sdk.error_wire import to_headers, to_message
from sdk.errors import (
    CallError,
    ConfigurationError,
    ErrorCode,
    InternalServiceError,
    InvalidRequestError,
    PayloadTooLargeError,
    ResourceExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from sdk.health import Health
from sdk.health_server import HealthServer
from sdk.logs import configure_logging
from sdk.nats_client import DEFAULT_TIMEOUT_SECONDS, QUEUE_GROUP, DrainReport, NATSClient
from sdk.settings import Settings
from sdk.streams import StoredMessage
from sdk.subscription import Delivery
from sdk.trace import Trace, current_trace, set_trace, trace_of

Req = TypeVar("Req", bound=Message)
Rep = TypeVar("Rep", bound=Message)

_log = logging.getLogger(__name__)
_TRANSIENT = frozenset(
    {ErrorCode.UNAVAILABLE, ErrorCode.CIRCUIT_OPEN, ErrorCode.RETRY_EXHAUSTED, ErrorCode.RESOURCE_EXHAUSTED}
)
_OUR_FAULTS = frozenset({ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may want to know besides its request."""

    client: NATSClient
    subject: str
    headers: Mapping[str, str]
    trace: Trace

    @property
    def remaining_seconds(self) -> float:
        """The time that is left to answer."""
        return remaining_seconds() or 0.0


@dataclass(frozen=True, slots=True)
class _Handler:
    function: Callable[[Any, Context], Awaitable[Message]]
    request_type: type[Message]
    reply_type: type[Message]
    statistics: EndpointStatistics


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
        self._handlers: dict[str, _Handler] = {}
        self._events: dict[str, tuple[Callable[[Any, Context], Awaitable[None]], type[Message]]] = {}
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
            request_type, reply_type = _message_types(function, subject, replies=True)
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
        self._handlers[subject] = _Handler(function, request_type, reply_type, EndpointStatistics(subject, types))

    def on_event(
        self, subject: str
    ) -> Callable[[Callable[[Req, Context], Awaitable[None]]], Callable[[Req, Context], Awaitable[None]]]:
        """Decorate what hears the events of a subject, one after the other, in every instance of the service."""

        def register(function: Callable[[Req, Context], Awaitable[None]]) -> Callable[[Req, Context], Awaitable[None]]:
            message_type, _ = _message_types(function, subject, replies=False)
            self.add_event_handler(subject, function, message_type)
            return function

        return register

    def add_event_handler(
        self, subject: str, function: Callable[[Any, Context], Awaitable[None]], message_type: type[Message]
    ) -> None:
        """Register what hears events, with a type that is known at run time only."""
        self._events[subject] = (function, message_type)

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
        self._check_contract(settings)
        self._stopping = asyncio.Event()
        client = self.client = NATSClient(settings)
        health = Health(
            service=settings.service,
            version=settings.version,
            nats=client.link,
            outage_tolerance_seconds=settings.nats_outage_tolerance_seconds,
        )
        async with HealthServer(health.paths(settings.health_path), port=settings.health_port) as server:
            self.health_port = server.port
            counting = asyncio.create_task(client.metrics.run())
            consuming: list[asyncio.Task[None]] = []
            try:
                if await self._start(client):
                    consuming = [asyncio.create_task(self._consume(client, name)) for name in self._consumers]
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
        for subject in self._events:
            await client.subscribe(subject, self._heard)
        for subject in self._handlers:
            await client.subscribe(
                subject,
                self._asked,
                queue=QUEUE_GROUP,
                concurrency=self._max_concurrent,
                max_waiting=self._max_waiting,
                overflow=self._refuse,
            )
        await Discovery(
            name=client.settings.service,
            instance=uuid.uuid4().hex,
            version=client.settings.version,
            description=self._description,
            endpoints={subject: handler.statistics for subject, handler in self._handlers.items()},
        ).subscribe(client)
        return True

    async def _asked(self, delivery: Delivery) -> None:
        """Answer a request, whatever becomes of it."""
        handler = self._handlers[delivery.subject]
        caller = trace_of(delivery.headers)
        trace = caller.child()
        set_trace(trace)
        error: CallError | None = None
        try:
            if self.client is not None and self.client.telemetry is not None:
                with self.client.telemetry.span(delivery.subject, caller, is_ours=False) as trace:
                    set_trace(trace)
                    data = await self._handled(handler, delivery, trace)
            else:
                data = await self._handled(handler, delivery, trace)
        except asyncio.CancelledError:
            await self._tell(delivery, ServiceUnavailableError("the service is stopping"), trace)
            raise
        except CallError as raised:
            error = _as_answer(raised)
            await self._tell(delivery, error, trace)
        else:
            await delivery.respond(data)
        seconds = time.monotonic() - delivery.arrived
        failed = error is not None and error.code in _OUR_FAULTS
        handler.statistics.count(seconds, f"{int(error.code)}:{error.message}" if error is not None else "")
        assert self.client is not None  # noqa: S101  # a message has arrived
        self.client.metrics.answered(seconds, failed=failed)

    async def _handled(self, handler: _Handler, delivery: Delivery, trace: Trace) -> bytes:
        """Return the reply of a handler; what goes wrong is a `CallError`."""
        timeout = self._timeout_seconds(delivery)
        deadline = delivery.arrived + timeout
        set_deadline(deadline)
        if time.monotonic() >= deadline:
            raise ServiceTimeoutError("the deadline had passed before it was this request's turn")
        request = handler.request_type()
        try:
            request.ParseFromString(delivery.data)
        except DecodeError:
            raise InvalidRequestError(f"this is no {request.DESCRIPTOR.full_name}") from None
        assert self.client is not None  # noqa: S101  # a message has arrived
        context = Context(self.client, delivery.subject, delivery.headers, trace)
        limit = asyncio.timeout(deadline - time.monotonic())
        try:
            async with limit:
                reply = await handler.function(request, context)
        except CallError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise ServiceTimeoutError(f"the service did not answer within {timeout:.3g} s") from error
            _log.exception("a handler failed", extra={"subject": delivery.subject})
            raise InternalServiceError("the service failed in a way that it did not foresee") from error
        if not isinstance(reply, handler.reply_type):
            _log.error(
                "a handler returned something else", extra={"subject": delivery.subject, "got": type(reply).__name__}
            )
            raise InternalServiceError("the service failed in a way that it did not foresee")
        data = reply.SerializeToString()
        if len(data) > delivery.connection.max_payload:
            raise PayloadTooLargeError(f"the reply has {len(data)} bytes, NATS takes {delivery.connection.max_payload}")
        return data

    async def _refuse(self, delivery: Delivery) -> None:
        """Say at once that there are too many requests: the caller can go elsewhere in the time it would wait."""
        waiting = f"{self._max_concurrent} requests are being handled and {self._max_waiting} wait"
        await self._tell(delivery, ResourceExhaustedError(waiting, retry_after_seconds=0.1), trace_of(delivery.headers))

    async def _tell(self, delivery: Delivery, error: CallError, trace: Trace) -> None:
        """Answer with an error."""
        assert self._settings is not None  # noqa: S101  # serve() has set it
        message = to_message(error, service=self._settings.service, endpoint=delivery.subject, trace_id=trace.trace_id)
        await delivery.respond(message.SerializeToString(), to_headers(message))

    async def _heard(self, delivery: Delivery) -> None:
        """Hand an event to its handler."""
        function, message_type = self._events[delivery.subject]
        set_trace(trace_of(delivery.headers).child())
        message = message_type()
        try:
            message.ParseFromString(delivery.data)
        except DecodeError:
            _log.warning("an event is not what it must be", extra={"subject": delivery.subject})
            return
        assert self.client is not None  # noqa: S101  # a message has arrived
        trace = current_trace() or trace_of(None)
        await function(message, Context(self.client, delivery.subject, delivery.headers, trace))

    async def _consume(self, client: NATSClient, name: str) -> None:
        """Deal with the messages of a consumer, one after the other."""
        function = self._consumers[name]
        async for message in client.consumer(name).messages():
            set_trace(trace_of(message.headers).child())
            try:
                await function(message)
                await message.acknowledge()
            except Exception:  # noqa: BLE001  # the message comes again
                _log.exception(
                    "a stored message was not dealt with", extra={"consumer": name, "subject": message.subject}
                )
                # Later each time, so that one that nobody can deal with costs little.
                await message.retry_later(min(60.0, 2.0**message.deliveries))

    def _timeout_seconds(self, delivery: Delivery) -> float:
        """Return how long an answer may take: what the caller gives, and no more than the contract."""
        assert self._settings is not None  # noqa: S101  # serve() has set it
        known = self._settings.contract.serves.get(delivery.subject)
        most = known.timeout_seconds if known else DEFAULT_TIMEOUT_SECONDS
        given = timeout_of(delivery.headers)
        return most if given is None else min(given, most)

    def _check_contract(self, settings: Settings) -> None:
        """See that there is a handler for everything that the contract promises, with its types, and for nothing else."""
        contract = settings.contract
        faults = [
            *(
                f"{subject} is served by the contract and has no handler"
                for subject in contract.serves.keys() - self._handlers
            ),
            *(
                f"{subject} has a handler and is not in the contract"
                for subject in self._handlers.keys() - contract.serves
            ),
            *(
                f"{subject} is heard and is not in the contract"
                for subject in self._events.keys() - contract.subscribes
            ),
            *(f"consumer {name} is not in the contract" for name in self._consumers.keys() - contract.consumers),
        ]
        for subject, handler in self._handlers.items():
            if (wanted := contract.serves.get(subject)) is not None:
                types = handler.statistics.metadata
                faults += [
                    f"{subject}: the handler's {role} is {types[role]}, the contract's is {name}"
                    for role, name in (("request", wanted.request), ("reply", wanted.reply))
                    if types[role] != name
                ]
        if faults:
            raise ConfigurationError(
                f"the handlers of {settings.service} and its contract differ:\n  " + "\n  ".join(sorted(faults))
            )


def _message_types(function: Callable[..., Any], subject: str, *, replies: bool) -> tuple[type[Message], type[Message]]:
    """Return the types of the messages of a handler, by its annotations."""
    hints = typing.get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    request, reply = hints.get(names[0]) if names else None, hints.get("return")
    for what, kind in (("first parameter", request), *((("result", reply),) if replies else ())):
        if not (isinstance(kind, type) and issubclass(kind, Message)):
            raise ConfigurationError(
                f"{subject}: the {what} of {function.__qualname__} is annotated with {kind!r}; it must be a protobuf message"
            )
    return typing.cast("type[Message]", request), typing.cast("type[Message]", reply)


def _as_answer(error: CallError) -> CallError:
    """Return what a caller is told: a handler's own error as it is, one of a service that it asked as the cause of ours."""
    if not error.endpoint:
        return error
    if error.code is ErrorCode.TIMEOUT:
        answer: CallError = ServiceTimeoutError("a service that this one asks did not answer in time")
    elif error.code in _TRANSIENT:
        answer = ServiceUnavailableError(
            "a service that this one asks is not available", retry_after_seconds=error.retry_after_seconds
        )
    else:
        answer = InternalServiceError("a service that this one asks refused what it was asked")
    answer.cause = error
    return answer


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
