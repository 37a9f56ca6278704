"""What an answer is made with: the service's store, the services that it may ask, the events that it may tell, and the time."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from proto.generated.gaming.common.v1.types_pb2 import EntityReference
from proto.generated.gaming.infrastructure.v1.event_pb2 import Event, PublishEventReply, PublishEventRequest
from proto.generated.gaming.infrastructure.v1.settings_pb2 import GetSettingReply, GetSettingRequest
from reference_service.store import Store
from sdk import NATSClient, remaining_seconds
from sdk.errors import CallError, ConfigurationError, NotFoundError

M = TypeVar("M", bound=Message)

# What an answer can do without may take this share of the time that is left: the answer itself needs the rest.
_SHARE = 0.4
_MOST_SECONDS = 5.0
_REMEMBERED = timedelta(minutes=1)
PUBLISH = "event.publish"
GET_SETTING = "settings.get"


class Runtime:
    """A running service, as its answers see it."""

    def __init__(
        self,
        client: NATSClient,
        store: Store | None,
        *,
        variables: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.client = client
        self.service = client.settings.service
        self.contract = client.settings.contract
        self.variables = variables
        self._store = store
        self._clock = clock
        self._remembered: dict[str, tuple[Message, datetime]] = {}

    @property
    def store(self) -> Store:
        """What the service keeps.

        Raises:
            ConfigurationError: Its entry has no bucket.
        """
        if self._store is None:
            raise ConfigurationError(f"the catalog entry of {self.service} has no bucket below `nats.buckets`")
        return self._store

    def now(self) -> datetime:
        """Return the time."""
        return self._clock()

    def stamp(self) -> Timestamp:
        """Return the time, as messages have it."""
        stamp = Timestamp()
        stamp.FromDatetime(self.now())
        return stamp

    async def ask(self, subject: str, request: Message, reply_type: type[M]) -> M:
        """Ask a service without which there is no answer.

        Raises:
            CallError: It did not answer.
            ConfigurationError: The contract does not say that it may be asked.
        """
        if subject not in self.contract.calls:
            raise ConfigurationError(f"the contract of {self.service} does not call {subject}")
        return await self.client.request(subject, request, reply_type)

    async def hope(self, subject: str, request: Message, reply_type: type[M]) -> M | None:
        """Ask a service without which there is an answer too, only a poorer one."""
        if subject not in self.contract.calls:
            return None
        left = remaining_seconds()
        longest = _MOST_SECONDS if left is None else min(_MOST_SECONDS, left * _SHARE)
        timeout = min(longest, self.contract.calls[subject].timeout_seconds)
        try:
            return await self.client.request(subject, request, reply_type, timeout_seconds=timeout)
        except CallError:  # the client has logged it
            return None

    async def remembered(self, subject: str, request: Message, reply_type: type[M]) -> M | None:
        """Ask as `hope` does, once: until an event says that the answer is another one now (see `forget`), or a minute is over.

        Events of core NATS come once at most, so one may not come.
        """
        known, since = self._remembered.get(subject, (None, self.now()))
        if isinstance(known, reply_type) and self.now() - since < _REMEMBERED:
            return known
        reply = await self.hope(subject, request, reply_type)
        if reply is not None and self.is_told_of(subject):
            self._remembered[subject] = reply, self.now()
        return reply

    def is_told_of(self, subject: str) -> bool:
        """Tell whether the service hears events of what a subject is about: `events.performance.>` for `performance.mode.get`."""
        about = subject.partition(".")[0]
        return any(heard.startswith(f"events.{about}.") for heard in self.contract.subscribes)

    def forget(self, event_type: str) -> None:
        """Forget answers that an event has made old: `performance.mode.changed` those of `performance.…`."""
        about = event_type.partition(".")[0]
        self._remembered = {
            subject: known for subject, known in self._remembered.items() if subject.partition(".")[0] != about
        }

    async def setting(self, name: str, default: object) -> object:
        """Return the value of a setting; the default where there is none.

        Raises:
            CallError: Nobody can say now; who may do what must not be guessed.
        """
        if GET_SETTING not in self.contract.calls:
            return default
        try:
            reply = await self.client.request(GET_SETTING, GetSettingRequest(name=name), GetSettingReply)
        except NotFoundError:
            return default
        kind = reply.setting.value.WhichOneof("kind")
        return plain(getattr(reply.setting.value, kind)) if kind else default

    async def tell(self, event_type: str, entity: EntityReference | None = None, **payload: object) -> None:
        """Tell that something has happened; what has happened stays so where nobody can be told."""
        event = Event(
            event_id=uuid.uuid4().hex,
            type=event_type,
            source=self.service,
            occurred_at=self.stamp(),
            entity=entity,
            payload=struct(payload) if payload else None,
        )
        await self.hope(PUBLISH, PublishEventRequest(event=event), PublishEventReply)


def struct(values: Mapping[str, object]) -> Struct:
    """Return plain data as a message."""
    return json_format.ParseDict(dict(values), Struct())


def number(values: Struct, name: str) -> float:
    """Return a number of a message of plain data."""
    return values.fields[name].number_value


def plain(value: object) -> object:
    """Return the value of a `Value` or `Struct` as plain data."""
    if isinstance(value, Struct):
        return {name: plain(_value(part)) for name, part in value.fields.items()}
    if isinstance(value, Message):
        return [plain(_value(part)) for part in getattr(value, "values", ())]
    return value


def _value(part: Message) -> object:
    kind = part.WhichOneof("kind")
    return None if kind in {None, "null_value"} else getattr(part, kind or "")
