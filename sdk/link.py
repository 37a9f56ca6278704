"""The way to NATS: one usable connection at a time, replaced before it ends where that can be known, and after where it cannot.

A connection is replaced by opening the next one, subscribing there, switching over, and only then letting the old one finish what it
has begun. So new certificates, a server in lame-duck mode and a wish to move lose no request.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass

from sdk.certificates import Certificates, CertificateSource
from sdk.connection import Connection, Refusal
from sdk.errors import CertificateError, SdkError, ServiceUnavailableError

_log = logging.getLogger(__name__)
_ATTEMPTS_A_FETCH = 5
_LATE_DAYS = 5.0
_jitter = random.Random()  # noqa: S311  # spreads clients over time; nobody gains by guessing it


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a link behaves."""

    name: str
    inbox_prefix: str
    servers: Sequence[str]
    connect_timeout_seconds: float = 5.0
    ping_interval_seconds: float = 5.0
    ping_timeout_seconds: float = 3.0
    pings_missed: int = 2
    reconnect_max_seconds: float = 2.0
    retire_seconds: float = 60.0
    """How long a replaced connection may take to finish what it has begun; more than the longest timeout of a call."""


class Link:
    """Keeps a connection.

    Args:
        settings: How.
        certificates: Where certificates come from; None for a server without TLS, as in a test.
        prepare: Subscribes on a new connection, before it is used.
        on_refusal: Called when NATS refuses a subject.
        on_reconnect: Called when a connection was replaced after a loss.
    """

    def __init__(
        self,
        settings: LinkSettings,
        certificates: CertificateSource | None,
        *,
        prepare: Callable[[Connection], Coroutine[None, None, None]],
        on_refusal: Callable[[Refusal], object],
        on_reconnect: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._source = certificates
        self._prepare = prepare
        self._on_refusal = on_refusal
        self._on_reconnect = on_reconnect
        self._tls: ssl.SSLContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[Connection] = set()
        self._accounted: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._replacing = asyncio.Lock()
        self._is_closing = False
        self.current: Connection | None = None
        self.certificates: Certificates | None = None
        self.round_trip_seconds: float | None = None
        self.lost_bytes = 0
        """What was published and lost with a connection that broke."""
        self._unreachable_since: float | None = time.monotonic()

    @property
    def unreachable_seconds(self) -> float:
        """How long NATS has been out of reach without a break; 0 where it is within reach."""
        return 0.0 if self._unreachable_since is None else time.monotonic() - self._unreachable_since

    @property
    def was_connected(self) -> bool:
        """Whether NATS has been within reach at all."""
        return self.current is not None

    async def check(self) -> float:
        """Return how long NATS takes to answer, in seconds.

        Raises:
            ServiceUnavailableError: It is out of reach.
            TimeoutError: It does not answer.
        """
        try:
            return await self.usable().round_trip(self._settings.ping_timeout_seconds)
        except TimeoutError:
            raise TimeoutError(f"no pong within {self._settings.ping_timeout_seconds:g} s") from None

    def usable(self) -> Connection:
        """Return the connection.

        Raises:
            ServiceUnavailableError: There is none now.
        """
        connection = self.current
        if connection is None or connection.lost.done():
            raise ServiceUnavailableError(
                f"NATS is out of reach for {self.unreachable_seconds:.1f} s", was_delivered=False, is_local=True
            )
        return connection

    async def start(self, timeout_seconds: float | None = None) -> None:
        """Connect, and keep a connection from then on.

        Args:
            timeout_seconds: For how long to try; without an end where None.

        Raises:
            ServiceUnavailableError: No server could be used in time; the last one's answer is told.
            CertificateError: The certificates cannot be read or used, to the end of that time.
        """
        last: SdkError | None = None
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            async with asyncio.timeout(timeout_seconds):
                async for error in self._attempts():
                    last = error
                    # nats-py, and Python 3.11's `wait_for`, may swallow the one cancellation by which a timeout ends what it holds.
                    if time.monotonic() >= deadline:
                        raise TimeoutError  # noqa: TRY301  # the same end by another way
        except TimeoutError:
            raise last or ServiceUnavailableError(
                f"no server answered within {timeout_seconds} s: {', '.join(self._settings.servers)}",
                was_delivered=False,
                is_local=True,
            ) from None
        self._begin(self._keep())
        self._begin(self._watch())
        if self._source is not None:
            self._begin(self._renew(self._source))

    async def replace(self, reason: str, *, avoid: str = "") -> None:
        """Move to another connection without losing anything.

        Raises:
            ServiceUnavailableError: No other could be opened; the present one stays.
        """
        async with self._replacing:
            if self._is_closing:
                return
            old = self.current
            connection = await self._open(self._in_order(avoid))
            self._take(connection)
            _log.info("moved to another connection to NATS", extra={"reason": reason, "server": connection.server})
        if old is not None:
            self._begin(self._retire(old))

    async def stop(self, timeout_seconds: float) -> int:
        """Let all that is under way end, in bounded time; return the number of requests that still wait. `close` comes next."""
        self._is_closing = True
        connections = [*self._retired, *([self.current] if self.current else [])]
        await asyncio.gather(*(connection.finish(timeout_seconds) for connection in connections))
        for connection in connections:
            self._account(connection)
        return sum(connection.waiting_requests for connection in connections)

    def _account(self, connection: Connection) -> None:
        """Note what a connection, of no use any more, did not send."""
        if connection not in self._accounted:
            self._accounted.add(connection)
            self.lost_bytes += connection.unsent_bytes

    async def close(self) -> None:
        """End everything."""
        self._is_closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in (*self._retired, *([self.current] if self.current else [])):
            await connection.shut()

    async def _attempts(self) -> AsyncIterator[SdkError]:
        """Try until there is a connection; give the error of every attempt that failed."""
        number = 0
        while not self._is_closing:
            try:
                async with self._replacing:
                    if self.current is not None and not self.current.lost.done():
                        return  # somebody else replaced it
                    # Perhaps nobody lets us in because ours are too old.
                    if self._source is not None and (self._tls is None or number % _ATTEMPTS_A_FETCH == 0):
                        self._accept(await asyncio.to_thread(self._source.fetch))
                    self._take(await self._open(self._in_order("")))
            except SdkError as error:
                _log.warning("no connection to NATS", extra={"why": str(error), "attempt": number + 1})
                yield error
            else:
                return
            await asyncio.sleep(self._pause_seconds(number))
            number += 1

    def _pause_seconds(self, attempt: int) -> float:
        return _jitter.uniform(0.5, 1.0) * min(self._settings.reconnect_max_seconds, 0.1 * 2.0 ** min(attempt, 10))

    async def _open(self, servers: Sequence[str]) -> Connection:
        """Return a prepared connection to the first server that can be used."""
        errors = []
        for server in servers:
            connection = Connection(
                name=self._settings.name,
                inbox_prefix=self._settings.inbox_prefix,
                on_refusal=self._on_refusal,
                on_error=lambda error: _log.warning("NATS client", extra={"why": str(error) or type(error).__name__}),
                on_lame_duck=self._leave,
            )
            try:
                await connection.open(server, self._tls, self._settings.connect_timeout_seconds)
                await self._prepare(connection)
            except ServiceUnavailableError as error:
                errors.append(error)
                connection.abort("it could not be prepared")
            except BaseException:
                connection.abort("it could not be prepared")
                raise
            else:
                return connection
        raise ServiceUnavailableError(
            "no NATS server can be used: " + "; ".join(error.message for error in errors),
            was_delivered=False,
            is_local=True,
        )

    def _in_order(self, avoid: str) -> list[str]:
        servers = list(self._settings.servers)
        _jitter.shuffle(servers)
        return sorted(servers, key=lambda server: server == avoid)

    def _take(self, connection: Connection) -> None:
        self.current = connection
        self._unreachable_since = None

    def _accept(self, certificates: Certificates) -> None:
        """Use certificates for every connection from now on."""
        if self.certificates is None or certificates.fingerprint != self.certificates.fingerprint:
            self._tls = certificates.context()
            self.certificates = certificates

    async def _keep(self) -> None:
        """Replace the connection whenever it was lost."""
        while not self._is_closing:
            connection = self.current
            assert connection is not None  # noqa: S101  # start() returned
            reason = await asyncio.shield(connection.lost)
            if self.current is not connection:
                continue
            self._unreachable_since = time.monotonic()
            self._account(connection)
            _log.warning(
                "lost the connection to NATS",
                extra={"server": connection.server, "why": reason, "unsent_bytes": connection.unsent_bytes},
            )
            connection.abort(reason)
            # All clients of a server that died would come to the next one in the same moment.
            await asyncio.sleep(_jitter.uniform(0, 0.1))
            async for _ in self._attempts():
                pass
            self._on_reconnect()
            _log.info("connected to NATS again", extra={"server": self.current.server if self.current else ""})

    async def _watch(self) -> None:
        """Ask the server for an answer now and then: one that was stopped keeps its connections open."""
        missed = 0
        while not self._is_closing:
            await asyncio.sleep(self._settings.ping_interval_seconds)
            connection = self.current
            if connection is None or connection.lost.done():
                continue
            try:
                self.round_trip_seconds = await connection.round_trip(self._settings.ping_timeout_seconds)
                missed = 0
            except ServiceUnavailableError:
                continue
            except TimeoutError:
                missed += 1
                if missed >= self._settings.pings_missed:
                    missed = 0
                    connection.abort(f"the server did not answer {self._settings.pings_missed} pings")

    async def _renew(self, source: CertificateSource) -> None:
        """Move to a new connection when there are new certificates."""
        while not self._is_closing:
            await asyncio.sleep(source.poll_seconds * _jitter.uniform(0.8, 1.2))
            try:
                self._accept(await asyncio.to_thread(source.fetch))
                self._warn_of_the_end()
                if self.current is not None and self.current.tls is not self._tls:
                    await self.replace("there are new certificates")
            except (CertificateError, ServiceUnavailableError) as error:
                _log.warning("new certificates are not in use yet", extra={"why": str(error)})

    def _warn_of_the_end(self) -> None:
        """Tell of a certificate that ends soon: a third of its life is left when the next one is due."""
        days = self.certificates.remaining_days() if self.certificates else None
        if days is not None and days < _LATE_DAYS:
            _log.error("the certificate ends soon, and there is no new one", extra={"days": round(days, 1)})

    def _leave(self, connection: Connection) -> None:
        """Move away from a server that is about to end."""
        if connection is self.current and not self._is_closing:
            self._begin(self._move(connection.server))

    async def _move(self, server: str) -> None:
        # The server gives its clients time, so that they do not all come to the next one in the same moment.
        await asyncio.sleep(_jitter.uniform(0, 1.0))
        try:
            await self.replace("the server is about to end", avoid=server)
        except ServiceUnavailableError as error:
            _log.warning("the server is about to end, and no other can be used", extra={"why": str(error)})

    async def _retire(self, connection: Connection) -> None:
        self._retired.add(connection)
        try:
            await connection.finish(self._settings.retire_seconds)
        finally:
            self._account(connection)
            self._retired.discard(connection)
            await connection.shut()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
