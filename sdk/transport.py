"""The bytes of one connection to NATS: as nats-py's own, but its end is known at once, and ending it never hangs.

nats-py waits for the other side's TLS goodbye while it closes, up to 30 seconds where a server is stopped and not dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.transport import TcpTransport

_GOODBYE_SECONDS = 1.0


class WatchedTransport(TcpTransport):
    """Tells of the connection's end, once, in words."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations
        self._on_lost = on_lost
        self._is_lost = False
        self._waiting_bytes = 0

    def __bool__(self) -> bool:
        """Be there before there is a connection, too: nats-py makes a transport of its own where it sees none."""
        return True

    async def read(self, buffer_size: int) -> bytes:
        """Read what has come."""
        try:
            data: bytes = await super().read(buffer_size)
        except OSError as error:
            self._lose(str(error) or type(error).__name__)
            raise
        if not data:
            self._lose("the server closed the connection")
        return data

    async def drain(self) -> None:
        """Wait until there is room for more; at once where nobody will read it."""
        if self._is_lost or self._io_writer is None:
            return
        try:
            self._waiting_bytes = self._io_writer.transport.get_write_buffer_size()
            await super().drain()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations
            self._waiting_bytes = 0
        except OSError as error:
            self._lose(str(error) or type(error).__name__)
            raise

    def unsent_bytes(self) -> int:
        """Return how much was written and has not left this process; once it is lost, as far as that is still known."""
        if self._io_writer is None:
            return 0
        # A transport that breaks forgets what it held; what somebody was waiting for is remembered.
        return max(self._io_writer.transport.get_write_buffer_size(), self._waiting_bytes)

    def abort(self) -> None:
        """End the connection without waiting for anybody."""
        self._is_lost = True
        if self._io_writer is not None:
            self._io_writer.transport.abort()

    def close(self) -> None:
        """End the connection, politely where somebody listens."""
        if self._is_lost:
            self.abort()
        elif self._io_writer is not None:
            super().close()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations

    async def wait_closed(self) -> None:
        """Wait for the end, but never for long."""
        if self._is_lost or self._io_writer is None:
            return
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await super().wait_closed()  # type: ignore[no-untyped-call]  # nats-py's, which has no annotations
        except (TimeoutError, OSError):
            self.abort()

    def _lose(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._on_lost(reason)
