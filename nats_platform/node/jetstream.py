"""JetStream, asked as the provisioner by this machine's own server, in plain JSON: the wire's words and no library's older ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.settings import PROVISIONER, Settings

ASK_SECONDS = 10
NOT_FOUND = 404
_UNAVAILABLE = 503
_NO_SUITABLE_PEERS = 10005  # as a leader says who has not heard yet of a node that is back
# A cluster that has just lost, or got back, a node takes some seconds until it answers, and takes, everything again.
ATTEMPTS = 8
PAUSE_SECONDS = 2.0
Answer = TypeVar("Answer")
Sleep = Callable[[float], Awaitable[None]]


class ApiError(RefusedError):
    """JetStream answered with an error."""

    def __init__(self, subject: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{subject}: {error.get('description')}")
        self.code = error.get("code")
        self.is_temporary = self.code == _UNAVAILABLE or error.get("err_code") == _NO_SUITABLE_PEERS


class UnansweredError(RefusedError):
    """JetStream did not answer, as while a leader is chosen; whether it did what was asked is not known."""


def is_temporary(error: RefusedError) -> bool:
    """Tell whether what was refused may be taken a moment later."""
    return isinstance(error, UnansweredError) or (isinstance(error, ApiError) and error.is_temporary)


async def patiently(work: Callable[[], Awaitable[Answer]], sleep: Sleep = asyncio.sleep) -> Answer:
    """Do something that may be done twice; again where the cluster cannot do it just now.

    Raises:
        RefusedError: It is refused, or the cluster still cannot do it.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await work()
        except RefusedError as error:
            if not is_temporary(error):
                raise
            await sleep(PAUSE_SECONDS)
    return await work()


@dataclass(frozen=True)
class JetStream:
    """JetStream of the account APP."""

    connection: Client

    async def ask(self, subject: str, body: Mapping[str, Any] | None = None, *, seconds: float = ASK_SECONDS) -> Any:
        """Ask `$JS.API.SUBJECT`.

        Raises:
            ApiError: The answer is an error.
            UnansweredError: Nobody answers.
        """
        data = b"" if body is None else json.dumps(body).encode()
        answer = read(subject, await self.send(f"$JS.API.{subject}", data, seconds=seconds))
        if answer is None:
            raise RefusedError(f"{subject}: the answer is empty")
        return answer

    async def send(self, subject: str, data: bytes, *, seconds: float = ASK_SECONDS) -> bytes:
        """Send a request; return the answer as it came.

        Raises:
            UnansweredError: Nobody answers.
        """
        try:
            answer = await self.connection.request(subject, data, timeout=seconds)
        except NoRespondersError as error:
            raise UnansweredError(f"{subject}: JetStream does not answer") from error
        except (NatsError, asyncio.TimeoutError) as error:
            raise UnansweredError(f"{subject}: no answer within {seconds:g} s: {error!r}") from error
        return bytes(answer.data)

    async def find(self, subject: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask for something that may not be there; None where it is not."""
        try:
            return await self.ask(subject, body)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def streams(self) -> list[dict[str, Any]]:
        """Return every stream: configuration, state, and how its replicas stand."""
        return await self._pages("STREAM.LIST", "streams")

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        """Return every consumer of a stream."""
        return await self._pages(f"CONSUMER.LIST.{stream}", "consumers")

    async def _pages(self, subject: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = await self.ask(subject, {"offset": len(found)})
            if missing := page.get("missing"):
                raise UnansweredError(f"nobody leads {', '.join(missing)}")
            found += page.get(key) or []
            if not page.get(key) or len(found) >= page["total"]:
                return found


def read(subject: str, data: bytes) -> Any:
    """Read an answer; None where it is empty.

    Raises:
        ApiError: It is an error.
    """
    if not data:
        return None
    answer = json.loads(data)
    if "error" in answer:
        raise ApiError(subject, answer["error"])
    return answer


@contextlib.asynccontextmanager
async def connected(settings: Settings, context: ssl.SSLContext) -> AsyncIterator[JetStream]:
    """Have JetStream until the block ends.

    Raises:
        RefusedError: The server cannot be reached, or is lost on the way.
    """
    try:
        connection = await nats.connect(
            f"tls://127.0.0.1:{settings.client_port}",
            name=f"agent of {settings.node}",
            tls=context,
            tls_hostname=settings.tls_name,
            inbox_prefix=f"_INBOX.{PROVISIONER}".encode(),
            allow_reconnect=False,
            connect_timeout=ASK_SECONDS,
            error_cb=_unheard,
        )
    except (NatsError, OSError, asyncio.TimeoutError) as error:
        raise RefusedError(f"the server on this machine lets nobody in: {error!r}") from error
    try:
        yield JetStream(connection)
    except NatsError as error:
        raise RefusedError(f"the connection to the server on this machine failed: {error!r}") from error
    finally:
        await connection.close()


async def _unheard(_: Exception) -> None:
    """Hear of what the one who asked is told as well."""
