"""What a caller is told when a request is not answered as asked: `application/problem+json`, by RFC 9457.

Nothing internal leaves by here. What a service says of a request that it refuses was written for the caller and passes; what it says
of its own failures stays in the log, by the request's identifier.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sdk import CallError, ErrorCode, InvalidRequestError, PermissionDeniedError, UnauthenticatedError, Violation

CONTENT_TYPE = "application/problem+json"
_LEAST_RETRY_SECONDS = 1


class Kind(NamedTuple):
    """A kind of problem; its `type` is the reference `/docs#problem-NAME`."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read."),
    "unauthenticated": Kind(401, "Who is calling is not known."),
    "forbidden": Kind(403, "The caller may not do this."),
    "unknown-route": Kind(404, "There is no such route."),
    "not-found": Kind(404, "What the request names does not exist."),
    "method-not-allowed": Kind(405, "The route does not take this method."),
    "not-acceptable": Kind(406, "The answer has no form that the request accepts."),
    "too-slow": Kind(408, "The request did not arrive in time."),
    "conflict": Kind(409, "The state of things forbids it."),
    "already-exists": Kind(409, "What the request would make exists already."),
    "too-large": Kind(413, "The request is too large."),
    "uri-too-long": Kind(414, "The address is too long."),
    "unsupported-media-type": Kind(415, "The body has a form that is not understood."),
    "invalid": Kind(422, "The request breaks a rule of its message."),
    "too-many-requests": Kind(429, "There are too many requests."),
    "headers-too-large": Kind(431, "The headers are too large."),
    "internal": Kind(500, "The gateway failed."),
    "unimplemented": Kind(501, "The service does not do this yet."),
    "bad-gateway": Kind(502, "The service failed."),
    "unavailable": Kind(503, "The service is not available now."),
    "timeout": Kind(504, "The service did not answer in time."),
}

_OF_CODE: Mapping[ErrorCode, str] = {
    ErrorCode.INVALID_ARGUMENT: "invalid",
    ErrorCode.UNAUTHENTICATED: "unauthenticated",
    ErrorCode.PERMISSION_DENIED: "forbidden",
    ErrorCode.NOT_FOUND: "not-found",
    ErrorCode.ALREADY_EXISTS: "already-exists",
    ErrorCode.CONFLICT: "conflict",
    ErrorCode.PAYLOAD_TOO_LARGE: "too-large",
    ErrorCode.RESOURCE_EXHAUSTED: "too-many-requests",
    ErrorCode.CANCELLED: "bad-gateway",  # the service says that its caller went, and it did not
    ErrorCode.INTERNAL: "bad-gateway",
    ErrorCode.UNIMPLEMENTED: "unimplemented",
    ErrorCode.UNAVAILABLE: "unavailable",
    ErrorCode.CIRCUIT_OPEN: "unavailable",
    ErrorCode.RETRY_EXHAUSTED: "unavailable",
    ErrorCode.TIMEOUT: "timeout",
}
_FIRST_SERVER_ERROR = 500


@dataclass
class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """A request was not answered as asked."""

    kind: str
    """One of `KINDS`."""
    detail: str = ""
    """What to know of this very case: what was got, and what is allowed."""
    violations: Sequence[Violation] = ()
    """Fields of the request that are at fault, by their paths in JSON."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    retry_after_seconds: float | None = None
    closes: bool = False
    """Whether the connection is of no use afterwards, since the rest of the request is not read."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status

    def body(self, request_id: str, trace_id: str) -> bytes:
        """Return it as JSON."""
        told: dict[str, object] = {
            "type": f"/docs#problem-{self.kind}",
            "title": KINDS[self.kind].title,
            "status": self.status,
        }
        if self.detail:
            told["detail"] = self.detail
        if self.violations:
            told["errors"] = [{"field": each.field, "description": each.description} for each in self.violations]
        told |= {"requestId": request_id, "traceId": trace_id}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that belong to it, besides those that every response has."""
        headers = [(b"content-type", CONTENT_TYPE.encode()), *self.headers]
        if self.retry_after_seconds is not None:
            seconds = max(_LEAST_RETRY_SECONDS, math.ceil(self.retry_after_seconds))
            headers.append((b"retry-after", str(seconds).encode()))
        return headers


def unauthenticated(detail: str, error: str = "") -> Problem:
    """Return the answer to a caller who did not say who it is, or not in a way that holds."""
    challenge = 'Bearer realm="gaming-system"' + (f', error="{error}"' if error else "")
    return Problem("unauthenticated", detail, headers=[(b"www-authenticate", challenge.encode())])


def of_call(error: CallError, field_path: Callable[[str], str] = str) -> Problem:
    """Return what a caller is told of a call that failed.

    Args:
        error: What became of the call.
        field_path: Says how a field that the service complains about is called in JSON.
    """
    error = _decisive(error)
    kind = _OF_CODE[error.code]
    if isinstance(error, PermissionDeniedError) and not error.was_delivered:
        kind = "bad-gateway"  # NATS refuses the gateway itself: no fault of the caller's
    if isinstance(error, UnauthenticatedError):
        return unauthenticated(error.message)
    status = KINDS[kind].status
    retry_after = error.retry_after_seconds
    if retry_after is None and kind in {"unavailable", "too-many-requests"}:
        retry_after = _LEAST_RETRY_SECONDS
    if status >= _FIRST_SERVER_ERROR:
        return Problem(kind, retry_after_seconds=retry_after)
    violations = error.violations if isinstance(error, InvalidRequestError) else ()
    # A list of fields says it all once already.
    detail = "" if violations else _for_the_caller(error)
    told = [Violation(field_path(each.field), each.description) for each in violations]
    return Problem(kind, detail, told, retry_after_seconds=retry_after)


def _decisive(error: CallError) -> CallError:
    """Return what to tell of: of attempts that failed the last one, where it is a failure of the service and no refusal of the request."""
    while error.code is ErrorCode.RETRY_EXHAUSTED and error.cause is not None:
        status = KINDS[_OF_CODE[error.cause.code]].status
        if status < _FIRST_SERVER_ERROR and error.cause.code is not ErrorCode.RESOURCE_EXHAUSTED:
            break
        error = error.cause
    return error


def _for_the_caller(error: CallError) -> str:
    """Return a message that a service wrote; one of our own SDK's tells of the inside."""
    return error.message if error.service or not error.is_local else ""
