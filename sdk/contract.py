"""What the catalog says of a service: the subjects that it answers, asks, publishes and listens to, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from proto.messages import UnknownMessageError, message_class
from sdk.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A subject that is asked and answered."""

    subject: str
    request: str
    reply: str
    timeout_seconds: float
    idempotent: bool

    def request_type(self) -> type[Message]:
        """Return the class of its request."""
        return _message_class(self.request, self.subject)

    def reply_type(self) -> type[Message]:
        """Return the class of its reply."""
        return _message_class(self.reply, self.subject)


@dataclass(frozen=True, slots=True)
class Event:
    """A subject that events are published on."""

    subject: str
    message: str

    def message_type(self) -> type[Message]:
        """Return the class of its message."""
        return _message_class(self.message, self.subject)


@dataclass(frozen=True, slots=True)
class Contract:
    """The whole of it."""

    serves: Mapping[str, Endpoint] = field(default_factory=dict)
    calls: Mapping[str, Endpoint] = field(default_factory=dict)
    publishes: Mapping[str, Event] = field(default_factory=dict)
    subscribes: Mapping[str, Event] = field(default_factory=dict)
    streams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    consumers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    buckets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Read the value of `SERVICE_CONTRACT`.

        Raises:
            ConfigurationError: It is no contract.
        """
        try:
            plain = json.loads(text)
            return cls(
                serves={subject: _endpoint(subject, entry) for subject, entry in plain.get("serves", {}).items()},
                calls={subject: _endpoint(subject, entry) for subject, entry in plain.get("calls", {}).items()},
                publishes={s: Event(s, str(entry["message"])) for s, entry in plain.get("publishes", {}).items()},
                subscribes={s: Event(s, str(entry["message"])) for s, entry in plain.get("subscribes", {}).items()},
                streams=dict(plain.get("streams", {})),
                consumers=dict(plain.get("consumers", {})),
                buckets=dict(plain.get("buckets", {})),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"SERVICE_CONTRACT is not the JSON of a contract ({type(error).__name__}: {error}); "
                '`fleet catalog show` prints one; the least is {"serves": {}, "calls": {}}'
            ) from error


def _endpoint(subject: str, plain: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        subject, str(plain["request"]), str(plain["reply"]), float(plain["timeout_seconds"]), bool(plain["idempotent"])
    )


def _message_class(name: str, subject: str) -> type[Message]:
    try:
        return message_class(name)
    except UnknownMessageError as error:
        raise ConfigurationError(f"SERVICE_CONTRACT: {subject}: {error}") from error
