"""Handlers: what a service's functions get, and that they are what the contract says."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from sdk.contract import Contract
from sdk.deadline import remaining_seconds
from sdk.discovery import EndpointStatistics
from sdk.errors import ConfigurationError
from sdk.nats_client import NATSClient
from sdk.trace import Trace


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may want to know besides its request."""

    client: NATSClient
    subject: str
    headers: Mapping[str, str]
    trace: Trace

    @property
    def remaining_seconds(self) -> float:
        """The time that is left to answer."""
        return remaining_seconds() or 0.0


@dataclass(frozen=True, slots=True)
class Handler:
    """What answers a subject."""

    function: Callable[[Any, Context], Awaitable[Message]]
    request_type: type[Message]
    reply_type: type[Message]
    statistics: EndpointStatistics


@dataclass(frozen=True, slots=True)
class EventHandler:
    """What hears events."""

    function: Callable[[Any, Context], Awaitable[None]]
    message_type: type[Message]


def message_types(function: Callable[..., Any], subject: str, *, replies: bool) -> tuple[type[Message], type[Message]]:
    """Return the types of the messages of a handler, by its annotations."""
    hints = typing.get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    request, reply = hints.get(names[0]) if names else None, hints.get("return")
    for what, kind in (("first parameter", request), *((("result", reply),) if replies else ())):
        if not (isinstance(kind, type) and issubclass(kind, Message)):
            raise ConfigurationError(
                f"{subject}: the {what} of {function.__qualname__} is annotated with {kind!r}; it must be a protobuf message"
            )
    return typing.cast("type[Message]", request), typing.cast("type[Message]", reply)


def check_contract(
    contract: Contract,
    service: str,
    *,
    handlers: Mapping[str, Handler],
    events: Collection[str],
    consumers: Collection[str],
) -> None:
    """See that there is a handler for everything that the contract promises, with its types, and for nothing else.

    Raises:
        ConfigurationError: There is not; every difference is told.
    """
    faults = [
        f"{subject} is served by the contract and has no handler" for subject in contract.serves.keys() - handlers
    ]
    faults += [f"{subject} has a handler and is not in the contract" for subject in handlers.keys() - contract.serves]
    faults += [f"{subject} is heard and is not in the contract" for subject in set(events) - contract.subscribes.keys()]
    faults += [f"consumer {name} is not in the contract" for name in set(consumers) - contract.consumers.keys()]
    for subject in handlers.keys() & contract.serves:
        wanted, types = contract.serves[subject], handlers[subject].statistics.metadata
        faults += [
            f"{subject}: the handler's {role} is {types[role]}, the contract's is {name}"
            for role, name in (("request", wanted.request), ("reply", wanted.reply))
            if types[role] != name
        ]
    if faults:
        raise ConfigurationError(
            f"the handlers of {service} and its contract differ:\n  " + "\n  ".join(sorted(faults))
        )
