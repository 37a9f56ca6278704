"""Errors on the wire: one protobuf message as the body, its code and text once more in the headers of the NATS service protocol."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from proto.generated.gaming.errors.v1 import error_pb2
from sdk.errors import (
    AlreadyExistsError,
    CallError,
    CircuitOpenError,
    ConflictError,
    ErrorCode,
    InternalServiceError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RequestCancelledError,
    ResourceExhaustedError,
    RetryExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
    UnauthenticatedError,
    UnimplementedError,
    Violation,
)

ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
MAX_MESSAGE_CHARACTERS = 1000
MAX_CAUSE_DEPTH = 8

_CLASSES: Mapping[ErrorCode, type[CallError]] = {
    kind.code: kind
    for kind in (
        AlreadyExistsError,
        CircuitOpenError,
        ConflictError,
        InternalServiceError,
        InvalidRequestError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RequestCancelledError,
        ResourceExhaustedError,
        RetryExhaustedError,
        ServiceTimeoutError,
        ServiceUnavailableError,
        UnauthenticatedError,
        UnimplementedError,
    )
}


def to_message(error: CallError, *, service: str = "", endpoint: str = "", trace_id: str = "") -> error_pb2.Error:
    """Return an error as it crosses the wire; what it does not know itself is taken from the arguments."""
    return _to_message(error, service, endpoint, trace_id, MAX_CAUSE_DEPTH)


def to_headers(message: error_pb2.Error) -> dict[str, str]:
    """Return the headers of a reply that carries an error."""
    # A header is one line; nats-py would turn the breaks of a longer text into blanks, but keeps other control characters.
    told = "".join(character if character.isprintable() else " " for character in message.message)
    return {ERROR_HEADER: told or "error", ERROR_CODE_HEADER: str(int(message.code))}


def is_error(headers: Mapping[str, str] | None) -> bool:
    """Tell whether a reply is an error."""
    return headers is not None and (ERROR_CODE_HEADER in headers or ERROR_HEADER in headers)


def from_reply(data: bytes, headers: Mapping[str, str], *, endpoint: str) -> CallError:
    """Return the error that a reply carries, as the exception that its caller is to see.

    A reply of another framework has the headers alone; its code is then an HTTP status, by custom, or anything.
    """
    message = error_pb2.Error()
    try:
        message.ParseFromString(data)
    except DecodeError:
        message.Clear()
    if message.code == error_pb2.ERROR_CODE_UNSPECIFIED:
        told = headers.get(ERROR_HEADER, "") or "the service answered with an error that does not say what it is"
        code = headers.get(ERROR_CODE_HEADER, "")
        return InternalServiceError(f"{told} (code {code})" if code else told, endpoint=endpoint)
    return from_message(message, endpoint=endpoint)


def from_message(message: error_pb2.Error, *, endpoint: str = "") -> CallError:
    """Return an error of the wire as an exception."""
    return _from_message(message, endpoint or message.endpoint, MAX_CAUSE_DEPTH)


def _to_message(error: CallError, service: str, endpoint: str, trace_id: str, depth: int) -> error_pb2.Error:
    message = error_pb2.Error(
        code=error_pb2.ErrorCode.ValueType(int(error.code)),
        message=error.message[:MAX_MESSAGE_CHARACTERS],
        service=error.service or service,
        endpoint=error.endpoint or endpoint,
        retryable=error.retryable,
        trace_id=error.trace_id or trace_id,
    )
    if error.retry_after_seconds is not None:
        message.retry_after_ms = _milliseconds(error.retry_after_seconds)
    if isinstance(error, InvalidRequestError) and error.violations:
        failure = error_pb2.ValidationFailure(
            violations=[
                error_pb2.FieldViolation(field=violation.field, description=violation.description)
                for violation in error.violations
            ]
        )
        message.details.add().Pack(failure)
    if error.cause is not None and depth > 0:
        message.cause.CopyFrom(_to_message(error.cause, "", "", "", depth - 1))
    return message


def _milliseconds(seconds: float) -> int:
    return int(min(max(seconds * 1000, 0), 2**32 - 1))


def _from_message(message: error_pb2.Error, endpoint: str, depth: int) -> CallError:
    try:
        kind = _CLASSES[ErrorCode(message.code)]
    except (KeyError, ValueError):  # a code of a newer version of the protocol
        kind = InternalServiceError
    told = message.message or f"the service answered {ErrorCode(kind.code).name}"
    error: CallError
    if kind is InvalidRequestError:
        error = InvalidRequestError(told, violations=_violations(message))
    elif kind is CircuitOpenError:
        error = CircuitOpenError(told, was_delivered=True, is_local=False)
    else:
        error = kind(told)
    error.service, error.endpoint, error.trace_id = message.service, endpoint, message.trace_id
    error.retryable = message.retryable
    error.retry_after_seconds = message.retry_after_ms / 1000 if message.retry_after_ms else None
    if message.HasField("cause") and depth > 0:
        error.cause = _from_message(message.cause, message.cause.endpoint, depth - 1)
    return error


def _violations(message: error_pb2.Error) -> list[Violation]:
    failure = error_pb2.ValidationFailure()
    found = []
    for detail in message.details:
        if detail.Is(error_pb2.ValidationFailure.DESCRIPTOR):
            try:
                detail.Unpack(failure)
            except DecodeError:
                continue
            found += [Violation(entry.field, entry.description) for entry in failure.violations]
    return found
