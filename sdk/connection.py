"""One connection to one NATS server, from its handshake to its end; it is never mended, but replaced (`link`).

nats-py's client with what it lacks: an end that is known at once and fails the requests that wait, refusals of a subject told to
whoever asked, requests that cost less, and a way to know what was never sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import PING_PROTO, PONG_PROTO, Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.kv import KeyValue

from sdk.errors import CallError, PermissionDeniedError, ServiceTimeoutError, ServiceUnavailableError
from sdk.framing import check_subject, framed, header_lines
from sdk.transport import WatchedTransport

_FORBIDDEN = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)
# nats-py must not look at the time itself: it would close a connection to a stopped server politely, and wait for its goodbye.
_NEVER_SECONDS = 10**9
# What may wait here to be written. nats-py's own bound is above it, since its way to wait swallows cancellation.
_BUFFER_BYTES = 8 * 2**20
_KEEPALIVES = {PING_PROTO, PONG_PROTO}
_HIGH_WATER_BYTES = 2**20
_NO_BUFFER_BOUND = 2**40
# After a restart all come back at once, and some before those that they ask: that nobody answers then tells nothing of them, and must
# not open every breaker for a minute.
_SETTLING_SECONDS = 5.0
_STATUS_HEADER = "Status"
_NO_RESPONDERS = "503"
NOBODY_ANSWERS = "nobody answers this subject now"
"""What the error says that NATS gives where no service is there; all else that is unavailable is the connection's."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """NATS refused a subject."""

    kind: str
    """`publish` or `subscription`."""
    subject: str
    """In lower case, as nats-py tells it."""


class Connection(Client):
    """One connection to one server.

    Args:
        name: Of the client, as the server's monitoring shows it.
        inbox_prefix: Subjects below it are this client's alone.
        on_refusal: Called when NATS refuses a subject.
        on_error: Called with every error that belongs to no call.
        on_lame_duck: Called when the server is about to end.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox_prefix: str,
        on_refusal: Callable[[Refusal], object] = lambda _: None,
        on_error: Callable[[Exception], object] = lambda _: None,
        on_lame_duck: Callable[[Connection], object] = lambda _: None,
    ) -> None:
        super().__init__()
        self._name = name
        self._prefix = inbox_prefix
        self._on_refusal = on_refusal
        self._on_error = on_error
        self._on_lame_duck = on_lame_duck
        self._wire = WatchedTransport(self._lose)
        self._transport = self._wire  # connect() takes the transport that is there
        self._waiting: dict[bytes, tuple[asyncio.Future[Msg | CallError], str]] = {}
        self._inbox = ""
        self._inbox_sid = 0
        self._next_token = 0
        self._refusals: dict[Refusal, float] = {}
        self._last_error: Exception | None = None
        self._is_open = False
        self._opened = 0.0
        self._unsent_at_loss = 0
        self.server = ""
        self.tls: ssl.SSLContext | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done with the reason as soon as the connection is of no use any more."""
        self.stores: dict[str, KeyValue] = {}
        """Key-value buckets by name, as nats-py binds them to a connection."""
        self.handling = 0
        """Messages of this connection that handlers are at work on; their replies must leave by it."""

    async def open(self, server: str, tls: ssl.SSLContext | None, timeout_seconds: float) -> None:
        """Connect to a server.

        Raises:
            ServiceUnavailableError: It cannot be reached, or does not want us.
        """
        self.server, self.tls = server, tls
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.connect(
                    [server],
                    name=self._name,
                    tls=tls,
                    tls_hostname=urlsplit(server).hostname if tls else None,
                    error_cb=self._error,
                    closed_cb=self._closed,
                    lame_duck_mode_cb=self._lame_duck,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=timeout_seconds,  # type: ignore[arg-type]  # annotated as int, and any number serves
                    ping_interval=_NEVER_SECONDS,
                    inbox_prefix=self._prefix,
                    pending_size=_NO_BUFFER_BOUND,
                )
                self._inbox = f"{self.new_inbox()}."
                inbox = await self.subscribe(f"{self._inbox}*")
                self._inbox_sid = inbox._id  # noqa: SLF001  # nats-py tells it on messages only
                await self.flush()
                self._is_open = True
                self._opened = time.monotonic()
        except (TimeoutError, OSError, nats.errors.Error) as error:
            self.abort("it could not be opened")
            raise self._unreachable(error, timeout_seconds) from error
        except BaseException:
            self.abort("it could not be opened")
            raise
        if Refusal("subscription", f"{self._inbox}*".lower()) in self._refusals:
            self.abort("its inbox is refused")
            raise ServiceUnavailableError(
                f"{server} refuses the inbox {self._prefix}.>", is_local=True, was_delivered=False
            )

    @property
    def is_usable(self) -> bool:
        """Whether a call may be made on it."""
        return not self.lost.done() and self.is_connected

    @property
    def waiting_requests(self) -> int:
        """Requests that wait for an answer."""
        return len(self._waiting)

    @property
    def unsent_bytes(self) -> int:
        """What was published and has not left this process; once the connection is lost, what had not by then."""
        if self.lost.done():
            return self._unsent_at_loss
        # A connection may end with a keepalive in its hands: that is nobody's message.
        return sum(len(piece) for piece in self._pending if piece not in _KEEPALIVES) + self._wire.unsent_bytes()

    async def round_trip(self, timeout_seconds: float) -> float:
        """Return how long the server takes to answer a ping, in seconds.

        Raises:
            TimeoutError: It did not answer in time.
            ServiceUnavailableError: The connection is lost.
        """
        if self.lost.done():
            raise self._gone(was_delivered=False)
        started = time.perf_counter()
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout_seconds):
            try:
                await self._send_ping(answered)
            except OSError as error:
                self.abort(str(error) or type(error).__name__)
                raise self._gone(was_delivered=False) from error
            ends: set[asyncio.Future[Any]] = {answered, self.lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise self._gone(was_delivered=False)
        return time.perf_counter() - started

    def abort(self, reason: str) -> None:
        """End it at once; what waits for an answer fails."""
        self._lose(reason)
        self._wire.abort()

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send a message; wait where the server takes them slower than they come.

        Raises:
            ServiceUnavailableError: The connection is lost, or the server takes nothing any more.
        """
        if self.lost.done():
            raise self._gone(was_delivered=False)
        check_subject(subject)
        lines = header_lines(headers)
        if len(payload) + len(lines) > self._max_payload:
            raise nats.errors.MaxPayloadError
        await self._send(framed(subject, reply, lines, payload))

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,  # noqa: ASYNC109  # nats-py's signature, through which its JetStream code calls us
        old_style: bool = False,  # noqa: ARG002, FBT001, FBT002  # the same
        headers: dict[str, str] | None = None,
    ) -> Msg:
        """Send a message and return its answer.

        Raises:
            ServiceTimeoutError: There was none in time.
            ServiceUnavailableError: Nobody answers the subject, or the connection was lost.
            PermissionDeniedError: NATS refused the subject.
        """
        return await self.ask(subject, payload, timeout, header_lines(headers))

    async def ask(self, subject: str, payload: bytes, timeout_seconds: float, lines: str) -> Msg:
        """Send a request with headers as `header_lines` makes them; else as `request`."""
        if self.lost.done():
            raise self._gone(was_delivered=False)
        check_subject(subject)
        self._next_token += 1
        token = str(self._next_token)
        command = framed(subject, self._inbox + token, lines, payload)
        if len(payload) + len(lines) > self._max_payload:
            raise nats.errors.MaxPayloadError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Msg | CallError] = loop.create_future()
        self._waiting[token.encode()] = (answer, subject)
        timer = loop.call_later(timeout_seconds, self._expire, answer, timeout_seconds)
        try:
            await self._send(command)
            result = await answer
        finally:
            timer.cancel()
            self._waiting.pop(token.encode(), None)
        if isinstance(result, CallError):
            raise result
        if result.headers and not result.data and result.headers.get(_STATUS_HEADER) == _NO_RESPONDERS:
            is_settling = time.monotonic() < self._opened + _SETTLING_SECONDS
            raise ServiceUnavailableError(NOBODY_ANSWERS, was_delivered=False, is_local=is_settling)
        return result

    async def _send(self, command: bytes) -> None:
        """Send a message that `framed` made."""
        if self._pending_data_size > _HIGH_WATER_BYTES:
            await self._wait_for_room()
        try:
            await self._send_command(command)
            if self._flush_queue is not None and self._flush_queue.empty():
                await self._flush_pending()
        except OSError as error:
            self.abort(str(error) or type(error).__name__)
            raise self._gone(was_delivered=True) from error

    def was_refused(self, kind: str, subject: str, since: float) -> bool:
        """Tell whether NATS refused a subject after a moment of `time.monotonic`."""
        return self._refusals.get(Refusal(kind, subject.lower()), -1.0) >= since

    async def finish(self, timeout_seconds: float) -> None:
        """Take nothing new, let what is under way end, and close.

        What has not ended in time is left to the caller: `handling`, `waiting_requests` and `unsent_bytes` tell of it, and the
        connection is closed all the same.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.stop_receiving()
                while self.is_usable and (self.handling or self._waiting):  # noqa: ASYNC110  # an event would cost every message
                    await asyncio.sleep(0.01)
                if self.is_usable:
                    await self.round_trip(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, ServiceUnavailableError):
            pass  # what is left undone is told by the numbers

    async def stop_receiving(self) -> None:
        """Give up every subscription but the inbox; what has been delivered already still reaches its handler."""
        subscriptions = [each for each in self._subs.values() if not each.subject.startswith(f"{self._prefix}.")]
        await asyncio.gather(*(self._stop(subscription) for subscription in subscriptions))

    async def shut(self) -> None:
        """Close it."""
        self._lose("closed")
        with contextlib.suppress(OSError, nats.errors.Error):
            await self.close()

    @staticmethod
    async def _stop(subscription: Subscription) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations

    async def _wait_for_room(self) -> None:
        """Wait until most of what waits was written; nats-py's own way to wait would swallow a cancellation."""
        await asyncio.sleep(0)
        pause = 0.0005
        while self._pending_data_size > _HIGH_WATER_BYTES and not self.lost.done():
            if self._pending_data_size > _BUFFER_BYTES:
                raise ServiceUnavailableError(
                    f"NATS takes nothing any more: {self._pending_data_size} bytes wait to be sent",
                    was_delivered=False,
                    is_local=True,
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
        if self.lost.done():
            raise self._gone(was_delivered=False)

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Send a ping after everything that waits to be sent.

        nats-py writes it past the queue, so its pong may come before the server has read what was asked before: `drain` would then
        drop messages that were on their way, and a refusal would not be known yet.
        """
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(b"PING\r\n")
        await self._flush_pending()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """Give an answer to whoever waits for it; nats-py would send it through a queue and a task first."""
        if sid != self._inbox_sid:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        entry = self._waiting.get(subject[len(self._inbox) :])
        if entry is not None and not entry[0].done():
            parsed = await self._process_headers(headers) if headers else None
            entry[0].set_result(Msg(self, subject.decode(), "", data, parsed))

    @staticmethod
    def _expire(answer: asyncio.Future[Msg | CallError], seconds: float) -> None:
        if not answer.done():
            answer.set_result(ServiceTimeoutError(f"no answer within {seconds:.3g} s"))

    async def _error(self, error: Exception) -> None:
        self._last_error = error
        found = _FORBIDDEN.search(str(error))
        if found is None:
            if self._is_open and not self.lost.done():  # else it is told by whoever sees it fail
                self._on_error(error)
            return
        refusal = Refusal(found[1].lower(), found[2].lower())
        self._refusals[refusal] = time.monotonic()
        if len(self._refusals) > 1000:  # noqa: PLR2004  # subjects may be made of data
            self._refusals.pop(next(iter(self._refusals)))
        for answer, subject in list(self._waiting.values()):
            if refusal.kind == "publish" and subject.lower() == refusal.subject and not answer.done():
                told = (
                    "NATS does not let this service publish to this subject: it is not in the catalog entry's `calls`"
                )
                answer.set_result(PermissionDeniedError(told, was_delivered=False))
        self._on_refusal(refusal)

    async def _closed(self) -> None:
        self._lose(str(self.last_error) if self.last_error else "closed")

    async def _lame_duck(self) -> None:
        self._on_lame_duck(self)

    def _lose(self, reason: str) -> None:
        if self.lost.done():
            return
        self._unsent_at_loss = self.unsent_bytes
        self.lost.set_result(reason)
        for answer, _ in self._waiting.values():
            if not answer.done():
                answer.set_result(self._gone(was_delivered=True))

    def _gone(self, *, was_delivered: bool) -> ServiceUnavailableError:
        reason = self.lost.result() if self.lost.done() else "closed"
        return ServiceUnavailableError(
            f"the connection to NATS ({self.server}) is lost: {reason}", was_delivered=was_delivered, is_local=True
        )

    def _unreachable(self, error: Exception, timeout_seconds: float) -> ServiceUnavailableError:
        """Say why a server cannot be used, as far as one can know."""
        first = self._last_error if isinstance(error, nats.errors.NoServersError) and self._last_error else error
        if isinstance(first, ssl.SSLCertVerificationError):
            why = f"its certificate is not to be trusted: {first.verify_message}"
        elif isinstance(first, ssl.SSLError) and "ALERT" in (first.reason or ""):
            why = f"it does not accept our client certificate: {first.reason}"
        elif isinstance(first, TimeoutError):
            why = f"it did not answer within {timeout_seconds:g} s"
        elif isinstance(first, (ConnectionResetError, nats.errors.UnexpectedEOF)) or "empty response" in str(first):
            why = "it hung up after the handshake, as it does on a client certificate that it does not accept; its log has the reason"
        elif "authorization violation" in str(first).lower():
            why = "it knows no user by our certificate's name"
        else:
            why = str(first) or type(first).__name__
        return ServiceUnavailableError(f"{self.server}: {why}", was_delivered=False, is_local=True)
