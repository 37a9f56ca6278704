"""What a service may do on NATS: subjects that it answers, asks, tells and hears, and what JetStream keeps for it.

Everything else is refused by the servers: permissions, streams and buckets are derived from this.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from catalog.model import Model

SubjectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$", max_length=128)]
EventSubject = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*\.(>|[a-z][a-z0-9_-]*)$", max_length=128)
]
MessageName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[A-Z][A-Za-z0-9]*$", max_length=128)
]
StreamName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$", max_length=32)]
StoreName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=32)]
StoredMib = Annotated[int, Field(ge=1, le=1_048_576)]


class Subject(Model):
    """A request that a service answers."""

    request: MessageName
    """Full name of the protobuf message that is sent, such as `gaming.game.v1.GetStateRequest`."""
    reply: MessageName
    """Full name of the protobuf message that comes back."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Time after which a caller gives up."""
    idempotent: bool = False
    """Whether asking twice does no harm; only then is a failed call tried again."""


class Event(Model):
    """Something that a service tells whoever listens."""

    message: MessageName
    """Full name of the protobuf message that is sent."""


class Stream(Model):
    """What JetStream keeps of a service's events, on every node."""

    subjects: Annotated[list[EventSubject], Field(min_length=1)]
    """Subjects that are kept; the service publishes them itself."""
    max_mib: StoredMib
    """Room on each node, in MiB; it is set aside at once."""
    max_age_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    """How long a message is kept; as long as there is room where the key is missing."""
    max_message_kib: Annotated[int, Field(ge=1, le=8192)] | None = None
    """The largest message, in KiB; the servers' own limit where the key is missing."""
    retention: Literal["limits", "interest", "workqueue"] = "limits"
    """Whether a message is kept up to the limits, until every consumer has it, or until one has done it."""
    discard: Literal["old", "new"] = "old"
    """What gives way when the room is used up: the oldest messages, or the new one, which is refused."""
    duplicate_window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120
    """Time in which a message with an identifier that was seen before is dropped."""


class Consumer(Model):
    """A place in a stream that JetStream remembers for a service; its tasks share it."""

    stream: StreamName
    """The stream that is read."""
    filter_subjects: list[EventSubject] = []
    """Subjects of the stream that are wanted; all of them where the list is empty."""
    ack_wait_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """Time after which a message that nobody has acknowledged is given out again."""
    max_deliver: Annotated[int, Field(ge=1, le=100)] = 5
    """How often a message is given out at most."""
    max_ack_pending: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many messages may be given out and not acknowledged."""


class Bucket(Model):
    """Keys and values that JetStream keeps for a service, on every node; no other service sees them."""

    max_mib: StoredMib
    """Room on each node, in MiB; it is set aside at once."""
    history: Annotated[int, Field(ge=1, le=64)] = 1
    """How many values of a key are kept."""
    ttl_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long a value is kept; for ever where the key is missing."""


class NatsContract(Model):
    """What a service may do on NATS; everything else is refused."""

    serves: dict[SubjectName, Subject] = {}
    """Subjects that the service answers."""
    calls: list[SubjectName] = []
    """Subjects of other services that it asks."""
    publishes: dict[EventSubject, Event] = {}
    """Subjects of events that it tells; `>` at the end stands for all that begin so."""
    subscribes: list[EventSubject] = []
    """Subjects of other services' events that it hears while it runs."""
    streams: dict[StreamName, Stream] = {}
    """Streams that keep its events."""
    consumers: dict[StoreName, Consumer] = {}
    """Its places in streams, its own or others'."""
    buckets: dict[StoreName, Bucket] = {}
    """Its key-value buckets."""
