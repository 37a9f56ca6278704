"""The client that a service talks to all others by.

    settings = Settings.from_environment()
    async with NATSClient(settings) as client:
        reply = await client.request("quest.get", GetQuestRequest(quest_id="q-17"), GetQuestReply)
        await client.publish("weather.changed", WeatherChanged(region_id="north"))

Every call has a deadline, is tried again where that is safe, and stands behind a circuit breaker and a bulkhead; nothing has to be
switched on. Timeout and idempotence come from the contract, where the subject is in its `calls`. What goes wrong is one of
`sdk.errors`, is logged with its context, and never waits for NATS: while it is out of reach, calls fail at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import nats.errors
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg
from nats.js.kv import KeyValue

from sdk.breaker_registry import BreakerRegistry
from sdk.buckets import Bucket
from sdk.connection import Connection, Refusal
from sdk.deadline import TIMEOUT_HEADER, current_deadline
from sdk.error_wire import from_reply, is_error
from sdk.errors import (
    CallError,
    ConfigurationError,
    InternalServiceError,
    PermissionDeniedError,
    SdkError,
    ServiceTimeoutError,
)
from sdk.framing import header_lines
from sdk.jetstream_errors import translate
from sdk.link import Link, LinkSettings
from sdk.logs import ErrorLog, log_transition
from sdk.metrics import Metrics
from sdk.pipeline import Call, Pipeline, classify
from sdk.retry import RetryBudget, RetryPolicy
from sdk.settings import Settings
from sdk.streams import Consumer
from sdk.subscription import Delivery, Subscription
from sdk.trace import TRACE_HEADER, Trace, current_trace, new_trace

if TYPE_CHECKING:
    from sdk.open_telemetry import OpenTelemetry

R = TypeVar("R", bound=Message)
T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS = 2.0
QUEUE_GROUP = "q"
_log = logging.getLogger(__name__)


def _configured_telemetry() -> OpenTelemetry | None:
    if not any(name.startswith("OTEL_EXPORTER_") for name in os.environ):
        return None
    from sdk.open_telemetry import OpenTelemetry  # noqa: PLC0415  # most processes have none

    return OpenTelemetry()


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a shutdown left undone; all zero where it lost nothing."""

    abandoned_messages: int
    """Messages that were being handled, or waited for it."""
    abandoned_requests: int
    """Requests of ours that waited for an answer."""
    unsent_bytes: int
    """What was published and never left, breaks of the connection before the shutdown included."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost."""
        return not (self.abandoned_messages or self.abandoned_requests or self.unsent_bytes)


class NATSClient:
    """A service's client.

    Args:
        settings: Who it is and where NATS is.
        policy: How failed calls are tried again, where that is safe.
        max_concurrent: Calls of one subject at a time; more wait, within their deadline.
        breakers: Circuit breakers; made anew where not given.
        metrics: Counts calls and errors.
        link: How the connection behaves; derived from the settings where not given.
        telemetry: Gets spans; OpenTelemetry's where the process has it configured.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        policy: RetryPolicy | None = None,
        max_concurrent: int = 512,
        breakers: BreakerRegistry | None = None,
        metrics: Metrics | None = None,
        link: LinkSettings | None = None,
        telemetry: OpenTelemetry | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry = telemetry or _configured_telemetry()
        self.metrics = metrics or Metrics(service=settings.service, environment=settings.environment)
        self.breakers = breakers or BreakerRegistry(classify=classify)
        self.breakers.add_listener(self.metrics.circuit_changed)
        self.breakers.add_listener(log_transition)
        self._error_log = ErrorLog()
        self._link = Link(
            link or LinkSettings(settings.service, settings.inbox_prefix, settings.servers),
            settings.certificates,
            prepare=self._subscribe_all,
            on_refusal=self._refused,
            on_reconnect=self._reconnected,
        )
        self._pipeline = Pipeline(
            breakers=self.breakers,
            policy=policy or RetryPolicy(),
            budget=RetryBudget(),
            max_concurrent=max_concurrent,
            on_error=self._call_failed,
            check=self._link.usable,
        )
        self._instance = uuid.uuid4().hex
        self._subscriptions: list[Subscription] = []
        self._reconnect_listeners: list[Callable[[], object]] = [self.metrics.reconnected]
        self.draining = asyncio.Event()
        """Set as soon as `drain` begins."""

    async def connect(self, timeout_seconds: float | None = 30.0) -> None:
        """Connect, and stay connected from then on.

        Args:
            timeout_seconds: For how long to try; without an end where None.

        Raises:
            ServiceUnavailableError: No server could be used in time; the last one's reason is told.
            CertificateError: The certificates cannot be read or used.
        """
        await self._link.start(timeout_seconds)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.drain()

    @property
    def is_connected(self) -> bool:
        """Whether NATS is within reach, as far as is known now."""
        return self._link.current is not None and self._link.current.is_usable

    @property
    def link(self) -> Link:
        """The way to NATS, for health checks and for moving by hand."""
        return self._link

    def connection(self) -> Connection:
        """Return the connection of this moment; it may be another one soon.

        Raises:
            ServiceUnavailableError: There is none.
        """
        return self._link.usable()

    async def wait_until_connected(self) -> None:
        """Return as soon as NATS is within reach."""
        while not self.is_connected:  # noqa: ASYNC110  # rare, and a connection's end is no single event
            await asyncio.sleep(0.05)

    async def request(
        self,
        subject: str,
        message: Message,
        reply_type: type[R],
        *,
        timeout_seconds: float | None = None,
        idempotent: bool | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | None = None,
    ) -> R:
        """Ask a service and return its answer.

        Args:
            subject: What is asked.
            message: The request.
            reply_type: Class of the reply.
            timeout_seconds: For all attempts together; the contract's where not given. An earlier deadline of the request that is
                being handled holds.
            idempotent: Whether asking twice does no harm; the contract's where not given.
            headers: More headers.
            endpoint: What the circuit breaker takes for one dependency; give it where the subject is made of data.

        Raises:
            CallError: It failed; the class says how.
        """
        answer = await self.request_raw(
            subject,
            message.SerializeToString(),
            timeout_seconds=timeout_seconds,
            idempotent=idempotent,
            headers=headers,
            endpoint=endpoint,
        )
        reply = reply_type()
        try:
            reply.ParseFromString(answer.data)
        except DecodeError as error:
            failure = InternalServiceError(
                f"the reply is no {reply_type.DESCRIPTOR.full_name}: {error}", endpoint=endpoint or subject
            )
            self._call_failed(failure)
            raise failure from error
        return reply

    async def request_raw(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout_seconds: float | None = None,
        idempotent: bool | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | None = None,
    ) -> Msg:
        """Ask a service and return its answer as it came; else as `request`."""
        known = self.settings.contract.calls.get(subject)
        if timeout_seconds is None:
            timeout_seconds = known.timeout_seconds if known else DEFAULT_TIMEOUT_SECONDS
        if idempotent is None:
            idempotent = known.idempotent if known else False
        if self.telemetry is not None:
            with self.telemetry.span(subject, current_trace(), is_ours=True) as trace:
                return await self._ask(subject, payload, timeout_seconds, idempotent, headers, endpoint, trace)
        outer = current_trace()
        trace = outer.child() if outer else new_trace()
        return await self._ask(subject, payload, timeout_seconds, idempotent, headers, endpoint, trace)

    async def _ask(
        self,
        subject: str,
        payload: bytes,
        timeout_seconds: float,
        idempotent: bool,  # noqa: FBT001  # the hot path: names cost
        headers: Mapping[str, str] | None,
        endpoint: str | None,
        trace: Trace,
    ) -> Msg:
        """Ask as a part of a trace."""
        lines = f"{header_lines(headers)}{TRACE_HEADER}: {trace.header}\r\n{TIMEOUT_HEADER}: "

        async def attempt(remaining: float) -> Msg:
            try:
                answer = await self._link.usable().ask(
                    subject, payload, remaining, f"{lines}{int(remaining * 1000)}\r\n"
                )
            except nats.errors.Error as error:
                raise translate(error) from error
            if answer.headers and is_error(answer.headers):
                raise from_reply(answer.data, answer.headers, endpoint=subject)
            return answer

        call = self._call(endpoint or subject, timeout_seconds, idempotent=idempotent, trace_id=trace.trace_id)
        return await self._pipeline.run(call, attempt)

    async def publish(self, subject: str, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        """Send an event to whoever listens now.

        Whether NATS lets us is known only later, and is then logged; `publish_durable` knows at once.

        Raises:
            CallError: It could not be sent.
        """
        trace = current_trace() or new_trace()
        try:
            try:
                await self._link.usable().publish(
                    subject, message.SerializeToString(), headers={**(headers or {}), TRACE_HEADER: trace.header}
                )
            except nats.errors.Error as error:
                raise translate(error) from error
        except CallError as failure:
            failure.endpoint, failure.trace_id = subject, trace.trace_id
            self._call_failed(failure)
            raise

    async def publish_durable(
        self,
        subject: str,
        message: Message,
        *,
        message_id: str | None = None,
        timeout_seconds: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Send an event to the stream that keeps its subject; return its sequence number once the stream has it.

        Args:
            subject: Of a stream.
            message: The event.
            message_id: By which the stream knows a repetition; made up where not given, which makes our own retries harmless.
            timeout_seconds: For all attempts together.
            headers: More headers.

        Raises:
            CallError: The stream does not have it, as far as is known.
        """
        payload = message.SerializeToString()
        trace = current_trace() or new_trace()
        sent = {**(headers or {}), TRACE_HEADER: trace.header, "Nats-Msg-Id": message_id or uuid.uuid4().hex}

        async def attempt(connection: Connection, remaining: float) -> int:
            return (await connection.jetstream(timeout=remaining).publish(subject, payload, headers=sent)).seq

        return await self.carry_out(subject, attempt, idempotent=True, timeout_seconds=timeout_seconds)

    async def subscribe(
        self,
        subject: str,
        handler: Callable[[Delivery], Awaitable[None]],
        *,
        queue: str | None = None,
        concurrency: int = 1,
        max_waiting: int = 65_536,
        overflow: Callable[[Delivery], Awaitable[None]] | None = None,
    ) -> Subscription:
        """Hear every message of a subject, over lost and replaced connections too.

        Args:
            subject: May hold wildcards.
            handler: Gets each message.
            queue: Members of a queue group share the messages among them. Without one, this process gets them all.
            concurrency: Messages that are handled at a time; 1 keeps their order.
            max_waiting: Messages that wait; those beyond are counted and dropped, or go to `overflow`.
            overflow: Gets those beyond.

        Raises:
            PermissionDeniedError: NATS does not let us.
            ServiceUnavailableError: NATS is out of reach.
        """
        # In a group of its own, this process gets a message once while it moves from one connection to the next.
        group = f"{self.settings.service}-{self._instance}" if queue is None else queue
        subscription = Subscription(
            subject, group, handler, concurrency=concurrency, max_waiting=max_waiting, overflow=overflow
        )
        connection = self._link.usable()
        started = time.monotonic()
        attached = await subscription.attach(connection)
        with contextlib.suppress(TimeoutError):  # then its loss is found out soon, and the next connection has it all
            await connection.round_trip(5.0)
        if connection.was_refused("subscription", subject, started):
            await attached.unsubscribe()
            failure = PermissionDeniedError(
                f"NATS does not let this service subscribe to {subject}"
                + (f" in the queue group {queue}" if queue else "")
                + ": it is not in the catalog entry's `serves` or `subscribes`",
                endpoint=subject,
                is_local=True,
            )
            self._call_failed(failure)
            raise failure
        self._subscriptions.append(subscription)
        return subscription

    def bucket(self, name: str) -> Bucket:
        """Return a key-value bucket of this service.

        Raises:
            ConfigurationError: The contract has none of this name.
        """
        self._known("bucket", name, self.settings.contract.buckets)
        return Bucket(self, name)

    def consumer(self, name: str) -> Consumer:
        """Return a durable consumer of this service.

        Raises:
            ConfigurationError: The contract has none of this name.
        """
        self._known("consumer", name, self.settings.contract.consumers)
        return Consumer(self, str(self.settings.contract.consumers[name]["stream"]), name)

    async def carry_out(
        self,
        endpoint: str,
        attempt: Callable[[Connection, float], Awaitable[T]],
        *,
        idempotent: bool,
        timeout_seconds: float = 5.0,
    ) -> T:
        """Do something else with NATS by the same ways as a request.

        Args:
            endpoint: What the circuit breaker takes for one dependency.
            attempt: Makes one attempt on a connection, with the seconds that are left.
            idempotent: Whether doing it twice does no harm.
            timeout_seconds: For all attempts together.

        Raises:
            CallError: It failed; the class says how.
        """

        async def bounded(remaining: float) -> T:
            try:
                async with asyncio.timeout(remaining):
                    return await attempt(self._link.usable(), remaining)
            except TimeoutError:
                raise ServiceTimeoutError(f"no answer within {remaining:.3g} s") from None
            except nats.errors.Error as error:
                raise translate(error) from error

        trace = current_trace() or new_trace()
        call = self._call(endpoint, timeout_seconds, idempotent=idempotent, trace_id=trace.trace_id)
        return await self._pipeline.run(call, bounded)

    async def run_on_bucket(
        self, name: str, attempt: Callable[[KeyValue], Awaitable[T]], *, idempotent: bool, timeout_seconds: float = 5.0
    ) -> T:
        """Do something with nats-py's own object of a bucket; else as `carry_out`."""

        async def bound(connection: Connection, remaining: float) -> T:
            store = connection.stores.get(name)
            if store is None:
                store = connection.stores[name] = await connection.jetstream(timeout=remaining).key_value(name)
            return await attempt(store)

        return await self.carry_out(f"$KV.{name}", bound, idempotent=idempotent, timeout_seconds=timeout_seconds)

    def report(self, error: SdkError, endpoint: str) -> None:
        """Log an error that no caller sees."""
        if isinstance(error, CallError):
            error.endpoint = error.endpoint or endpoint
            self._call_failed(error)
        else:
            _log.warning("failed", extra={"endpoint": endpoint, "why": str(error)})

    async def drain(self, timeout_seconds: float = 25.0) -> DrainReport:
        """Stop listening, let handlers and requests end, send what is to be sent, and close.

        Args:
            timeout_seconds: How long all that may take; ECS kills a task 30 s after it told it to stop.
        """
        self.draining.set()
        requests = await self._link.stop(timeout_seconds)
        messages = sum([await subscription.abandon() for subscription in self._subscriptions])
        unsent = self._link.lost_bytes
        await self._link.close()
        self._error_log.flush()
        report = DrainReport(messages, requests, unsent)
        if not report.is_clean:
            _log.error(
                "the shutdown lost something",
                extra={"abandoned_messages": messages, "abandoned_requests": requests, "unsent_bytes": unsent},
            )
        return report

    def _call(self, endpoint: str, timeout_seconds: float, *, idempotent: bool, trace_id: str) -> Call:
        started = time.monotonic()
        deadline, outer = started + timeout_seconds, current_deadline()
        if outer is not None and outer < deadline:
            deadline = outer
        return Call(endpoint, deadline, started, idempotent, trace_id=trace_id)

    def _call_failed(self, error: CallError) -> None:
        self.metrics.call_failed(error)
        self._error_log(error)

    def _refused(self, refusal: Refusal) -> None:
        _log.error(
            "NATS refuses a subject; the catalog entry of this service does not have it",
            extra={"kind": refusal.kind, "subject": refusal.subject},
        )

    def _known(self, what: str, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise ConfigurationError(
                f"the contract of {self.settings.service} has no {what} {name}; it has: {', '.join(sorted(known)) or 'none'}"
            )

    def add_reconnect_listener(self, listener: Callable[[], object]) -> None:
        """Call something whenever NATS was lost and is found again: what was published meanwhile was not heard here."""
        self._reconnect_listeners.append(listener)

    def _reconnected(self) -> None:
        for listener in self._reconnect_listeners:
            listener()

    async def _subscribe_all(self, connection: Connection) -> None:
        """Subscribe on a new connection what is subscribed on the old one."""
        for subscription in self._subscriptions:
            await subscription.attach(connection)
        await connection.flush()
