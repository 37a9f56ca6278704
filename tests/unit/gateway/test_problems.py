"""Problems: each failure of a call has its status, and tells nothing that is not the caller's."""

from __future__ import annotations

import json

import pytest

from gateway.problems import KINDS, Problem, of_call
from sdk import (
    BulkheadFullError,
    CallError,
    CircuitOpenError,
    ErrorCode,
    InternalServiceError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RequestCancelledError,
    ResourceExhaustedError,
    RetryExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)


def exhausted(*errors: CallError) -> RetryExhaustedError:
    return RetryExhaustedError("all failed", errors=errors)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (ServiceUnavailableError("no responders"), 503, b"1"),
        (ServiceUnavailableError("full", retry_after_seconds=2.2), 503, b"3"),
        (CircuitOpenError("open", retry_after_seconds=41.0), 503, b"41"),
        (RetryExhaustedError("all failed"), 503, b"1"),
        (exhausted(ServiceUnavailableError("away"), ServiceTimeoutError("late")), 504, None),
        (exhausted(ServiceTimeoutError("late"), ServiceUnavailableError("away", retry_after_seconds=7)), 503, b"7"),
        (exhausted(InternalServiceError("failed")), 502, None),
        (exhausted(ResourceExhaustedError("full", retry_after_seconds=9)), 429, b"9"),
        (exhausted(exhausted(ServiceTimeoutError("the service behind it was late"))), 504, None),
        (exhausted(NotFoundError("of what the service asked in its turn")), 503, b"1"),
        (ServiceTimeoutError("late"), 504, None),
        (BulkheadFullError("full", is_local=True), 429, b"1"),
        (PayloadTooLargeError("too large"), 413, None),
        (RequestCancelledError("gone"), 502, None),
        (PermissionDeniedError("the service says no"), 403, None),
        (PermissionDeniedError("NATS says no", was_delivered=False), 502, None),
    ],
)
def test_a_failure_has_its_status(error: CallError, status: int, retry_after: bytes | None) -> None:
    problem = of_call(error)
    assert (problem.status, dict(problem.all_headers()).get(b"retry-after")) == (status, retry_after)


def test_every_code_has_a_status() -> None:
    for code in ErrorCode:
        error = CallError("why")
        error.code = code  # type: ignore[misc]  # whichever class it belongs to
        assert of_call(error).status >= 400


def test_what_the_sdk_says_of_itself_stays_inside() -> None:
    assert of_call(BulkheadFullError("512 calls are under way", is_local=True)).detail == ""


def test_a_problem_is_json_whatever_is_in_it() -> None:
    told = json.loads(Problem("malformed", 'half a character: \ud800 "').body("r", "t"))
    assert told == {
        "type": "/docs#problem-malformed",
        "title": KINDS["malformed"].title,
        "status": 400,
        "detail": 'half a character: ? "',
        "requestId": "r",
        "traceId": "t",
    }
