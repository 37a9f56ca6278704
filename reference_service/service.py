"""Put a service together: for each subject of its contract the way in which it is answered."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from proto.generated.gaming.infrastructure.v1.event_pb2 import Event
from proto.messages import message_class
from reference_service.records import subject_of
from reference_service.runtime import Runtime
from reference_service.store import Store
from reference_service.validation import validate
from reference_service.verbs import Answer, by_name
from sdk import Context, NATSClient, Service, Settings, StoredMessage
from sdk.errors import CallError, UnimplementedError

if TYPE_CHECKING:
    from reference_service.revised_cache import RevisedCache

WORLD = Path(__file__).with_name("world.json")
_TICK_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Special:
    """What the modules in `answers` have for one service."""

    answers: Mapping[type[Message], Answer] = field(default_factory=dict)
    unchecked: frozenset[type[Message]] = frozenset()
    """Requests whose answer validates them itself, after something that comes first."""
    consumers: Mapping[str, Callable[[Runtime, Event], Awaitable[None]]] = field(default_factory=dict)
    ticks: tuple[Callable[[Runtime], Awaitable[None]], ...] = ()
    """What is done again and again."""


class ReferenceService:
    """A service that answers its contract."""

    def __init__(self, settings: Settings, *, variables: Mapping[str, str]) -> None:
        self.service = Service(settings, description="The reference runtime.")
        self._settings = settings
        self._variables = variables
        self._special = _special(settings)
        self._runtime: Runtime | None = None
        self._cache: RevisedCache | None = None
        self._ticking: list[asyncio.Task[None]] = []
        for subject, endpoint in settings.contract.serves.items():
            request, reply = endpoint.request_type(), endpoint.reply_type()
            self.service.add_handler(subject, self._handler(request, reply), request, reply)
        for subject, event in settings.contract.subscribes.items():
            self.service.add_event_handler(subject, self._hear, event.message_type())
        for name, handle in self._special.consumers.items():
            if name in settings.contract.consumers:
                self.service.on_stored(name)(self._consume(handle))
        self.service.on_start(self._start)

    def unanswered(self) -> list[str]:
        """Return the subjects that nothing here knows an answer to; who asks one is told so."""
        return [
            subject
            for subject, endpoint in self._settings.contract.serves.items()
            if self._answer(endpoint.request_type(), endpoint.reply_type()) is None
        ]

    @property
    def runtime(self) -> Runtime:
        """What answers are made with, once the service runs."""
        assert self._runtime is not None  # noqa: S101  # the first request comes after the start
        return self._runtime

    async def close(self) -> None:
        """Let go of what the service held, once it has ended; the end of a process does the same."""
        for task in self._ticking:
            task.cancel()
        await asyncio.gather(*self._ticking, return_exceptions=True)
        if self._cache is not None:
            await self._cache.close()

    async def _start(self, client: NATSClient) -> None:
        bucket = next(iter(self._settings.contract.buckets), None)
        if self._variables.get("CACHE_ENDPOINT"):
            # redis-py is a third of what a start imports, and most services have no cache.
            from reference_service.revised_cache import RevisedCache  # noqa: PLC0415

            self._cache = RevisedCache.from_environment(self._settings.service, self._variables)
        store = Store(client.bucket(bucket), self._cache) if bucket is not None else None
        self._runtime = Runtime(client, store, variables=self._variables)
        await self._furnish()
        if unanswered := self.unanswered():
            _log.warning("nothing here knows an answer to some subjects", extra={"subjects": unanswered})
        self._ticking = [asyncio.create_task(self._repeat(tick)) for tick in self._special.ticks]

    async def _furnish(self) -> None:
        """Put the things of the reference world where nothing is yet; both replicas may, since only what is new is added."""
        furniture = json.loads(WORLD.read_text("utf-8"))
        for subject, endpoint in self._settings.contract.serves.items():
            about = subject_of(endpoint.reply_type().DESCRIPTOR)
            if subject not in furniture or about is None or about.message_type is None:
                continue
            kind = message_class(about.message_type.full_name)
            for plain in furniture[subject]:
                await self.runtime.store.add(json_format.ParseDict(plain, kind()))

    def _handler(
        self, request_type: type[Message], reply_type: type[Message]
    ) -> Callable[[Any, Context], Awaitable[Message]]:
        answer = self._answer(request_type, reply_type)
        checks = request_type not in self._special.unchecked

        async def handle(request: Message, _: Context) -> Message:
            if answer is None:
                raise UnimplementedError(
                    f"the reference runtime knows no answer to {request_type.DESCRIPTOR.full_name}: the service's own image does"
                )
            if checks:
                validate(request)
            return await answer(self.runtime, request)

        return handle

    async def _hear(self, event: Message, _: Context) -> None:
        if isinstance(event, Event):
            self.runtime.forget(event.type)

    def _answer(self, request_type: type[Message], reply_type: type[Message]) -> Answer | None:
        return self._special.answers.get(request_type) or by_name(request_type, reply_type)

    def _consume(
        self, handle: Callable[[Runtime, Event], Awaitable[None]]
    ) -> Callable[[StoredMessage], Awaitable[None]]:
        async def consume(message: StoredMessage) -> None:
            event = _event(message.data, message.subject)
            if event is not None:
                await handle(self.runtime, event)

        return consume

    async def _repeat(self, tick: Callable[[Runtime], Awaitable[None]]) -> None:
        while not self.runtime.client.draining.is_set():
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await tick(self.runtime)
            except CallError:
                continue  # the client has logged it; the next time comes soon
            except Exception:  # noqa: BLE001  # one failure must not end what goes on as long as the service
                _log.exception("what is done again and again failed")


def _event(data: bytes, subject: str) -> Event | None:
    """Return an event; nothing where it is none, since it will be none the next time too."""
    try:
        return Event.FromString(data)
    except DecodeError:
        _log.warning("an event is not what it must be", extra={"subject": subject})
        return None


def _special(settings: Settings) -> Special:
    """Load the modules for the files that the contract's requests stand in, and no others: each costs memory."""
    modules = [
        module
        for stem in sorted({_stem(endpoint.request_type()) for endpoint in settings.contract.serves.values()})
        if (module := _module(stem)) is not None
    ]
    return Special(
        answers={kind: answer for module in modules for kind, answer in module.ANSWERS.items()},
        unchecked=frozenset(kind for module in modules for kind in getattr(module, "UNCHECKED", ())),
        consumers={name: each for module in modules for name, each in getattr(module, "CONSUMERS", {}).items()},
        ticks=tuple(module.TICK for module in modules if hasattr(module, "TICK")),
    )


def _stem(kind: type[Message]) -> str:
    return Path(kind.DESCRIPTOR.file.name).stem


def _module(stem: str) -> ModuleType | None:
    name = f"reference_service.answers.{stem}"
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None
