"""`event.*`: events of all services, each handed on once."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, timedelta

from google.protobuf.message import DecodeError

from proto.generated.gaming.infrastructure.v1.event_pb2 import (
    Event,
    ListEventsReply,
    ListEventsRequest,
    PublishEventReply,
    PublishEventRequest,
)
from reference_service.event_log import Stored, append, read
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from sdk.errors import ConfigurationError

_SUBJECTS = "events."
_BATCH, _MOST_BATCHES = 250, 4
# An event is stored after it has happened; the clocks of services may differ by that much.
_CLOCKS_DIFFER = timedelta(minutes=5)


async def publish(runtime: Runtime, request: PublishEventRequest) -> PublishEventReply:
    """Hand an event on, and keep it."""
    event = request.event
    sequence, duplicate = await append(
        runtime.client, f"{_SUBJECTS}{event.type}", event.SerializeToString(), event.event_id
    )
    return PublishEventReply(sequence=sequence, duplicate=duplicate)


async def list_(runtime: Runtime, request: ListEventsRequest) -> ListEventsReply:
    """Return a page of what has happened; a page may be short of entries, or empty, and have a next one."""
    stream = next(iter(runtime.contract.streams), None)
    if stream is None:
        raise ConfigurationError(f"the catalog entry of {runtime.service} has no stream below `nats.streams`")
    size = request.page_size or 50
    wanted = _first(request)
    found: list[Event] = []
    for _ in range(_MOST_BATCHES):
        batch = await read(runtime.client, stream, {**wanted, "batch": _BATCH})
        for stored in batch:
            if (event := _event(stored)) is not None and _fits(event, request):
                found.append(event)
            if len(found) == size:
                return ListEventsReply(events=found, next_page_token=_token(stored.sequence))
        if len(batch) < _BATCH:
            return ListEventsReply(events=found)
        wanted = {"next_by_subj": wanted["next_by_subj"], "seq": batch[-1].sequence + 1}
    return ListEventsReply(events=found, next_page_token=_token(batch[-1].sequence))


def _first(request: ListEventsRequest) -> dict[str, object]:
    """Return where a page begins, by JetStream's terms."""
    # Whole words of the prefix are the stream's business, the rest is ours.
    words = request.type_prefix.split(".")[:-1]
    wanted: dict[str, object] = {"next_by_subj": f"{_SUBJECTS}{''.join(f'{word}.' for word in words)}>"}
    if request.page_token:
        return wanted | {"seq": _sequence(request.page_token) + 1}
    if request.HasField("since"):
        start = request.since.ToDatetime(UTC) - _CLOCKS_DIFFER
        return wanted | {"start_time": start.isoformat()}
    return wanted | {"seq": 1}


def _event(stored: Stored) -> Event | None:
    try:
        return Event.FromString(stored.data)
    except DecodeError:
        return None


def _fits(event: Event, request: ListEventsRequest) -> bool:
    return (
        event.type.startswith(request.type_prefix)
        and request.source in {"", event.source}
        and not (request.HasField("since") and event.occurred_at.ToNanoseconds() < request.since.ToNanoseconds())
    )


def _token(sequence: int) -> str:
    return base64.urlsafe_b64encode(str(sequence).encode()).decode()


def _sequence(token: str) -> int:
    try:
        return max(0, int(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)))
    except (binascii.Error, UnicodeError, ValueError):
        raise refuse("page_token", "is none that a page gave; leave it out to begin anew") from None


ANSWERS = {PublishEventRequest: publish, ListEventsRequest: list_}
