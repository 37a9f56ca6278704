"""What can go wrong, as one tree of exceptions; the same class on both sides of the wire.

SdkError                          everything that this package raises
├── ConfigurationError            a variable, the contract or a handler is not as it must be
├── CertificateError              certificates cannot be read, or do not fit one another
└── CallError                     a call failed; it has code, service, endpoint, attempt, elapsed time and trace
    ├── ServiceTimeoutError       no answer in time
    ├── ServiceUnavailableError   nobody answers, or NATS is out of reach
    ├── CircuitOpenError          the circuit breaker is open, so nobody was asked
    ├── RetryExhaustedError       every attempt failed; `errors` has them all
    ├── ResourceExhaustedError    a quota or a queue is full, at the service
    │   └── BulkheadFullError     the same, here: too many calls are under way
    ├── InvalidRequestError       the request breaks rules; `violations` says which
    ├── UnauthenticatedError      the caller did not say who it is
    ├── PermissionDeniedError     the caller may not, by the service's word or by NATS's
    ├── NotFoundError             what the request names does not exist
    ├── AlreadyExistsError        what it would make exists
    ├── ConflictError             the state of things forbids it
    ├── PayloadTooLargeError      the message is larger than what may be sent
    ├── RequestCancelledError     the caller went away
    ├── UnimplementedError        the subject is known and not answered yet
    └── InternalServiceError      the service failed in a way that it did not foresee

A handler raises one of these, and its caller catches the same class:

    raise NotFoundError("no quest has the id q-17")

    try:
        reply = await client.request("quest.get", GetQuestRequest(quest_id="q-17"), GetQuestReply)
    except NotFoundError:
        ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ErrorCode(IntEnum):
    """Kinds of failure, with the numbers of `gaming.errors.v1.ErrorCode`."""

    INVALID_ARGUMENT = 1
    UNAUTHENTICATED = 2
    PERMISSION_DENIED = 3
    NOT_FOUND = 4
    ALREADY_EXISTS = 5
    CONFLICT = 6
    PAYLOAD_TOO_LARGE = 7
    RESOURCE_EXHAUSTED = 8
    CANCELLED = 9
    INTERNAL = 10
    UNIMPLEMENTED = 11
    UNAVAILABLE = 12
    CIRCUIT_OPEN = 13
    RETRY_EXHAUSTED = 14
    TIMEOUT = 15


class SdkError(Exception):
    """Everything that this package raises."""


class ConfigurationError(SdkError):
    """A variable, the contract or a handler is not as it must be."""


class CertificateError(SdkError):
    """Certificates cannot be read, or do not fit one another."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of a request that breaks a rule."""

    field: str
    """Its path, such as `position.region_id` or `labels[2]`."""
    description: str
    """What is wrong and what is allowed."""


class CallError(SdkError):
    """A call failed.

    Whoever raises one in a handler gives the message alone; the client that made the call fills in the rest.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        service: str = "",
        endpoint: str = "",
        retryable: bool | None = None,
        retry_after_seconds: float | None = None,
        was_delivered: bool = True,
        is_local: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.service = service
        """The service that failed, where it said so."""
        self.endpoint = endpoint
        """The subject that was asked; empty where a handler raised the error itself."""
        self.retryable = self.default_retryable if retryable is None else retryable
        """Whether the same request may succeed later; whether repeating it is safe is another matter."""
        self.retry_after_seconds = retry_after_seconds
        self.was_delivered = was_delivered
        """False where it is certain that no service has seen the request, so that repeating it is safe."""
        self.is_local = is_local
        """True where the failure says nothing about the service: it was never asked, or the way to NATS broke."""
        self.attempt = 0
        """Number of the attempt that failed, from 1 on."""
        self.elapsed_seconds = 0.0
        """Since the call began, all attempts together."""
        self.trace_id = ""
        self.cause: CallError | None = None
        """The error of the service that the service asked."""

    def __str__(self) -> str:
        parts = [f"{self.endpoint}: {self.message}" if self.endpoint else self.message]
        if self.attempt:
            parts.append(f"(attempt {self.attempt}, {self.elapsed_seconds:.3f} s)")
        return " ".join(parts)

    @property
    def context(self) -> dict[str, object]:
        """What a log says of it, by the names of the fields of a log record."""
        context: dict[str, object] = {
            "error": type(self).__name__,
            "code": self.code.name,
            "message": self.message,
            "service": self.service,
            "endpoint": self.endpoint,
            "attempt": self.attempt,
            "elapsed_ms": round(self.elapsed_seconds * 1000, 1),
            "trace_id": self.trace_id,
            "retryable": self.retryable,
        }
        if self.retry_after_seconds is not None:
            context["retry_after_ms"] = round(self.retry_after_seconds * 1000)
        if self.cause is not None:
            context["cause"] = str(self.cause)
        return context


class ServiceTimeoutError(CallError):
    """There was no answer in time; whether the service did what it was asked is unknown."""

    code = ErrorCode.TIMEOUT
    default_retryable = True


class ServiceUnavailableError(CallError):
    """Nobody answers the subject, the service cannot work now, or NATS is out of reach."""

    code = ErrorCode.UNAVAILABLE
    default_retryable = True


class CircuitOpenError(CallError):
    """The circuit breaker is open, so nobody was asked. Trying again before `retry_after_seconds` is in vain."""

    code = ErrorCode.CIRCUIT_OPEN

    def __init__(
        self,
        message: str,
        *,
        service: str = "",
        endpoint: str = "",
        retry_after_seconds: float | None = None,
        last_error: BaseException | None = None,
        was_delivered: bool = False,
        is_local: bool = True,
    ) -> None:
        super().__init__(
            message,
            service=service,
            endpoint=endpoint,
            retryable=False,
            retry_after_seconds=retry_after_seconds,
            was_delivered=was_delivered,
            is_local=is_local,
        )
        self.last_error = last_error
        """The failure that opened it."""


class RetryExhaustedError(CallError):
    """Every attempt failed."""

    code = ErrorCode.RETRY_EXHAUSTED

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[CallError] = (),
        service: str = "",
        endpoint: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        last = errors[-1] if errors else None
        super().__init__(
            message,
            service=service or (last.service if last else ""),
            endpoint=endpoint,
            retry_after_seconds=last.retry_after_seconds
            if last and retry_after_seconds is None
            else retry_after_seconds,
            was_delivered=any(error.was_delivered for error in errors) if errors else True,
        )
        self.errors = tuple(errors)
        """What each attempt failed with, in order."""
        self.cause = last
        if errors:
            self.__cause__ = ExceptionGroup("every attempt failed", list(errors))


class ResourceExhaustedError(CallError):
    """A quota or a queue is full."""

    code = ErrorCode.RESOURCE_EXHAUSTED
    default_retryable = True


class BulkheadFullError(ResourceExhaustedError):
    """Too many calls of this process are under way already, so nobody was asked."""


class InvalidRequestError(CallError):
    """The request breaks rules of its message."""

    code = ErrorCode.INVALID_ARGUMENT

    def __init__(
        self, message: str = "", *, violations: Sequence[Violation] = (), service: str = "", endpoint: str = ""
    ) -> None:
        told = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        super().__init__(message or told or "the request is not valid", service=service, endpoint=endpoint)
        self.violations = tuple(violations)


class UnauthenticatedError(CallError):
    """The caller did not say who it is, or not in a way that holds."""

    code = ErrorCode.UNAUTHENTICATED


class PermissionDeniedError(CallError):
    """The caller may not do this: the service said so, or NATS refused the subject."""

    code = ErrorCode.PERMISSION_DENIED


class NotFoundError(CallError):
    """What the request names does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExistsError(CallError):
    """What the request would make exists already."""

    code = ErrorCode.ALREADY_EXISTS


class ConflictError(CallError):
    """The state of things forbids it, such as a revision that is no longer the newest."""

    code = ErrorCode.CONFLICT


class PayloadTooLargeError(CallError):
    """The message is larger than what NATS or the service takes."""

    code = ErrorCode.PAYLOAD_TOO_LARGE


class RequestCancelledError(CallError):
    """The caller went away before there was an answer."""

    code = ErrorCode.CANCELLED


class UnimplementedError(CallError):
    """The service knows the subject and does not answer it yet."""

    code = ErrorCode.UNIMPLEMENTED


class InternalServiceError(CallError):
    """The service failed in a way that it did not foresee."""

    code = ErrorCode.INTERNAL
