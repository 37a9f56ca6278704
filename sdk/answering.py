"""From a request's bytes to its answer's, whatever the handler does."""

from __future__ import annotations

import asyncio
import logging
import time

from google.protobuf.message import DecodeError

from sdk.deadline import set_deadline, timeout_of
from sdk.error_wire import to_headers, to_message
from sdk.errors import (
    CallError,
    ErrorCode,
    InternalServiceError,
    InvalidRequestError,
    PayloadTooLargeError,
    ResourceExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from sdk.handlers import Context, Handler
from sdk.nats_client import DEFAULT_TIMEOUT_SECONDS, NATSClient
from sdk.subscription import Delivery
from sdk.trace import Trace, set_trace, trace_of

_log = logging.getLogger(__name__)
_TRANSIENT = frozenset(
    {ErrorCode.UNAVAILABLE, ErrorCode.CIRCUIT_OPEN, ErrorCode.RETRY_EXHAUSTED, ErrorCode.RESOURCE_EXHAUSTED}
)
_OUR_FAULTS = frozenset({ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT})


class Answering:
    """Answers requests for one service."""

    def __init__(self, client: NATSClient) -> None:
        self._client = client

    async def answer(self, handler: Handler, delivery: Delivery) -> None:
        """Answer a request, whatever becomes of it."""
        caller = trace_of(delivery.headers)
        trace = caller.child()
        set_trace(trace)
        error: CallError | None = None
        try:
            if self._client.telemetry is not None:
                with self._client.telemetry.span(delivery.subject, caller, is_ours=False) as trace:
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
        self._client.metrics.answered(seconds, failed=failed)

    async def _handled(self, handler: Handler, delivery: Delivery, trace: Trace) -> bytes:
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
        context = Context(self._client, delivery.subject, delivery.headers, trace)
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

    async def refuse(self, delivery: Delivery) -> None:
        """Say at once that there are too many requests: the caller can go elsewhere in the time it would wait."""
        error = ResourceExhaustedError("the service handles as many requests as it can", retry_after_seconds=0.1)
        await self._tell(delivery, error, trace_of(delivery.headers))

    async def _tell(self, delivery: Delivery, error: CallError, trace: Trace) -> None:
        """Answer with an error."""
        message = to_message(
            error, service=self._client.settings.service, endpoint=delivery.subject, trace_id=trace.trace_id
        )
        await delivery.respond(message.SerializeToString(), to_headers(message))

    def _timeout_seconds(self, delivery: Delivery) -> float:
        """Return how long an answer may take: what the caller gives, and no more than the contract."""
        known = self._client.settings.contract.serves.get(delivery.subject)
        most = known.timeout_seconds if known else DEFAULT_TIMEOUT_SECONDS
        given = timeout_of(delivery.headers)
        return most if given is None else min(given, most)


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
