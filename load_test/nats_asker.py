"""Ask over NATS, by the connection that the SDK's client stands on.

Without the client's retries, breaker and bulkhead: a load test counts what they would heal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from load_test.driver import Failure
from load_test.measurements import (
    BAD_REPLY,
    DISCONNECTED,
    NO_RESPONDERS,
    NOT_PERMITTED,
    NOT_SENT,
    SERVICE_ERROR,
    TIMEOUT,
)
from load_test.plan import Plan, Target
from proto.messages import UnknownMessageError, message_class
from sdk.certificates import CertificateSource
from sdk.connection import NOBODY_ANSWERS, Connection
from sdk.deadline import TIMEOUT_HEADER
from sdk.error_wire import from_reply, is_error
from sdk.errors import (
    CallError,
    ConfigurationError,
    PermissionDeniedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from sdk.framing import header_lines
from sdk.link import Link, LinkSettings

NAME = "loadtest"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A target as it is sent."""

    subject: str
    payloads: tuple[bytes, ...]
    lines: str
    timeout_seconds: float
    reply: type[Message]
    accepts: frozenset[str]


class NatsAsker:
    """Asks the targets of a plan.

    Args:
        plan: What is asked.
        servers: Addresses of the nodes.
        certificates: What the worker proves itself with; None for servers without TLS, as in a test.
        name: Of the client, and of its inbox.

    Raises:
        ConfigurationError: A body is none of its message.
    """

    def __init__(
        self, plan: Plan, servers: Sequence[str], certificates: CertificateSource | None, *, name: str = NAME
    ) -> None:
        self._targets = [_prepared(target) for target in plan.targets]
        settings = LinkSettings(name=name, inbox_prefix=f"_INBOX.{name}", servers=tuple(servers))
        self._links = [
            Link(settings, certificates, prepare=_nothing, on_refusal=lambda _: None, on_reconnect=self._reconnected)
            for _ in range(plan.connections)
        ]
        self._certificates = certificates
        self._next = 0
        self.reconnects = 0

    async def start(self, timeout_seconds: float) -> None:
        """Connect.

        Raises:
            SdkError: There is no certificate, or no server could be used in time.
        """
        if self._certificates is not None:  # a link would wait for one that is not there
            await asyncio.to_thread(self._certificates.fetch)
        await asyncio.gather(*(link.start(timeout_seconds) for link in self._links))

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(link.close() for link in self._links))

    async def ask(self, target: int, turn: int) -> Failure | None:
        """Ask once."""
        asked = self._targets[target]
        self._next += 1
        link = self._links[self._next % len(self._links)]
        try:
            connection = link.usable()
        except ServiceUnavailableError as error:
            return Failure(DISCONNECTED, str(error))
        payload = asked.payloads[turn % len(asked.payloads)]
        try:
            answer = await connection.ask(asked.subject, payload, asked.timeout_seconds, asked.lines)
        except nats.errors.MaxPayloadError:
            return Failure(NOT_SENT, f"{len(payload)} bytes are more than the servers take")
        except CallError as error:
            return Failure(_kind(error, connection), error.message)
        if is_error(answer.headers):
            told = from_reply(answer.data, answer.headers or {}, endpoint=asked.subject)
            return None if told.code.name in asked.accepts else Failure(SERVICE_ERROR + told.code.name, told.message)
        try:
            asked.reply.FromString(answer.data)
        except DecodeError:
            return Failure(BAD_REPLY, f"{len(answer.data)} bytes that are no {asked.reply.DESCRIPTOR.full_name}")
        return None

    def _reconnected(self) -> None:
        self.reconnects += 1


def _kind(error: CallError, connection: Connection) -> str:
    match error:
        case ServiceTimeoutError():
            return TIMEOUT
        case PermissionDeniedError():
            return NOT_PERMITTED
        case ServiceUnavailableError(message=str(told)) if told == NOBODY_ANSWERS:
            return NO_RESPONDERS
    # It is whole, and takes nothing more.
    return DISCONNECTED if connection.lost.done() else NOT_SENT


def _prepared(target: Target) -> _Prepared:
    try:
        request, reply = message_class(target.request), message_class(target.reply)
        payloads = tuple(json_format.ParseDict(dict(body), request()).SerializeToString() for body in target.bodies)
    except (UnknownMessageError, json_format.ParseError) as error:
        raise ConfigurationError(f"{target.subject}: {error}") from error
    return _Prepared(
        target.subject,
        payloads,
        header_lines({TIMEOUT_HEADER: str(int(target.timeout_seconds * 1000))}),
        target.timeout_seconds,
        reply,
        frozenset(target.accepts),
    )


async def _nothing(_: Connection) -> None:
    """Subscribe to nothing: a worker hears its answers alone."""
