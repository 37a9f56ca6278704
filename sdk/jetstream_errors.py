"""nats-py's errors as ours."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from sdk.errors import (
    CallError,
    ConflictError,
    InternalServiceError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    ResourceExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)

_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_OUT_OF_ROOM = frozenset({10023, 10047, 10077, 10122})  # of resources, storage, messages, bytes


def translate(error: nats.errors.Error) -> CallError:  # noqa: PLR0911  # a table
    """Return an error of nats-py as the one that our callers know."""
    match error:
        case nats.js.errors.APIError():
            return _translate_answer(error)
        case nats.errors.MaxPayloadError():
            return PayloadTooLargeError(
                "the message is larger than what NATS takes", was_delivered=False, is_local=True
            )
        case nats.errors.ConnectionClosedError() | nats.errors.ConnectionDrainingError():
            return ServiceUnavailableError("the connection to NATS is closed", was_delivered=False, is_local=True)
        case nats.errors.BadSubjectError() | nats.errors.BadHeaderError():
            return InvalidRequestError(str(error))
        case nats.errors.TimeoutError():
            return ServiceTimeoutError("JetStream did not answer in time")
        case nats.js.errors.NoStreamResponseError():
            return ServiceUnavailableError("no stream takes this subject, or it has no leader now", was_delivered=False)
        case _:
            return InternalServiceError(str(error))


def _translate_answer(error: nats.js.errors.APIError) -> CallError:
    told = error.description or str(error)
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return ConflictError(told)
    if error.err_code in _OUT_OF_ROOM:
        return ResourceExhaustedError(told)
    if isinstance(error, nats.js.errors.NotFoundError):
        return NotFoundError(told)
    if isinstance(error, nats.js.errors.ServiceUnavailableError):
        return ServiceUnavailableError(told)
    return InternalServiceError(told)
