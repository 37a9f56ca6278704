"""The ways between the nodes: each reaches the routes of another by a forwarder, so that a way can be cut and mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fleet.local.plane.places import HOST, Places

_WATER_BYTES = 4 * 1024 * 1024


class _End(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end."""

    def __init__(self, made: Callable[[_End], None] | None = None) -> None:
        self._made = made
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._held: list[bytes] = []
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream
        self.transport = transport
        transport.set_write_buffer_limits(_WATER_BYTES)
        if self._made:
            self._made(self)

    def join(self, other: _End) -> None:
        """Let what came until now, and what comes from now on, go out at the other end."""
        self.other = other
        for data in self._held:
            self.data_received(data)
        self._held.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self._held.append(data)
        else:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        if not self.gone.done():
            self.gone.set_result(None)
        self.follow()

    def follow(self) -> None:
        """Close the other end where this one is gone, once what this one said has gone out."""
        if self.gone.done() and self.other and self.other.transport:
            self.other.transport.close()

    def cut(self) -> None:
        """End the connection at once, as when the network is gone."""
        if self.transport:
            self.transport.abort()


@dataclass
class Forwarder:
    """Takes connections at one port and carries them to another, which may change.

    Args:
        port: Where it listens.
        target: Where connections go; nowhere while it is None: they are closed at once.
    """

    port: int
    target: int | None
    _server: asyncio.Server | None = None
    _ends: set[_End] = field(default_factory=set)
    _joining: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self._accept), HOST, self.port)

    def turn(self, target: int | None) -> None:
        """Carry connections elsewhere from now on; those that are open are cut."""
        self.target = target
        for end in tuple(self._ends):
            end.cut()

    async def end(self) -> None:
        """End it and its connections."""
        if self._server:
            self._server.close()
        self.turn(None)
        for task in self._joining:
            task.cancel()
        await asyncio.gather(*self._joining, return_exceptions=True)

    def _accept(self, end: _End) -> None:
        task = asyncio.create_task(self._join(end), name=f"forward {self.port}")
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, accepted: _End) -> None:
        dialled = await self._dial()
        if dialled is None:
            accepted.cut()
            return
        ends = {accepted, dialled}
        self._ends |= ends
        try:
            accepted.join(dialled)
            dialled.join(accepted)
            for end in ends:
                end.follow()
            # Both: what one end said last is still on its way to the other when the first is gone.
            await asyncio.wait([accepted.gone, dialled.gone])
        finally:
            for end in ends:
                end.cut()
            self._ends -= ends

    async def _dial(self) -> _End | None:
        """Return a connection to the target; None where it takes none, or where it is another by now."""
        target = self.target
        if target is None:
            return None
        try:
            _, dialled = await asyncio.get_running_loop().create_connection(_End, HOST, target)
        except OSError:
            return None
        if target == self.target:
            return dialled
        dialled.cut()
        return None


class Routes:
    """All ways between the nodes of a plane."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._forwarders = {
            pair: Forwarder(port, places.nodes[pair[1]].route) for pair, port in places.forwarders.items()
        }
        self.cut_off: set[str] = set()
        """The nodes that reach no other and that no other reaches."""

    async def start(self) -> None:
        """Begin to forward."""
        for forwarder in self._forwarders.values():
            await forwarder.start()

    def cut(self, nodes: Iterable[str]) -> None:
        """Cut nodes off from all others."""
        self.cut_off |= set(nodes)
        self._turn()

    def mend(self, nodes: Iterable[str]) -> None:
        """Let nodes reach the others again."""
        self.cut_off -= set(nodes)
        self._turn()

    async def end(self) -> None:
        """End all of them."""
        await asyncio.gather(*(forwarder.end() for forwarder in self._forwarders.values()))

    def _turn(self) -> None:
        for (here, there), forwarder in self._forwarders.items():
            is_cut = here != there and bool({here, there} & self.cut_off)
            target = None if is_cut else self._places.nodes[there].route
            if target != forwarder.target:
                forwarder.turn(target)
