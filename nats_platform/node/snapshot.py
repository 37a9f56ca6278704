"""A stream as one file, out of JetStream and into it: the protocol of snapshots, chunk by chunk, acknowledged on the way.

Source: NATS documentation, "JetStream wire API"; tried against 2.15. A chunk goes out and each further one when it is acknowledged;
an empty message ends it, with a status in its header where it ended too early.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from nats.aio.msg import Msg

from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.jetstream import JetStream, read

CHUNK_BYTES = 128 * 1024
CHUNK_SECONDS = 30
END_SECONDS = 300  # until the last chunk of a large stream is read and indexed


@dataclass
class Digest:
    """What went through: how much, and its checksum."""

    size_bytes: int = 0
    _sha256: Any = field(default_factory=hashlib.sha256, repr=False)

    def add(self, chunk: bytes) -> None:
        """Count a piece."""
        self.size_bytes += len(chunk)
        self._sha256.update(chunk)

    @property
    def sha256(self) -> str:
        """The checksum of all pieces so far."""
        return str(self._sha256.hexdigest())


async def take(jetstream: JetStream, stream: str, target: IO[bytes]) -> tuple[dict[str, Any], Digest]:
    """Write a snapshot of a stream with its consumers; return its configuration and state, and the digest of what was written.

    Raises:
        RefusedError: It ended before its end.
    """
    connection, chunks = jetstream.connection, asyncio.Queue[Msg]()
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox, cb=chunks.put)
    digest = Digest()
    try:
        asked = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES, "jsck": True}
        told: dict[str, Any] = await jetstream.ask(f"STREAM.SNAPSHOT.{stream}", asked, seconds=END_SECONDS)
        while chunk := await _next(chunks, stream):
            await _aside(functools.partial(target.write, chunk.data))
            digest.add(chunk.data)
            if chunk.reply:
                await connection.publish(chunk.reply)
    finally:
        await subscription.unsubscribe()
    return {key: told[key] for key in ("config", "state")}, digest


async def _next(chunks: asyncio.Queue[Msg], stream: str) -> Msg | None:
    """Return the next chunk; None after the last."""
    try:
        chunk = await asyncio.wait_for(chunks.get(), CHUNK_SECONDS)
    except asyncio.TimeoutError as error:
        raise RefusedError(f"the snapshot of {stream} stopped for {CHUNK_SECONDS} s") from error
    status = (chunk.headers or {}).get("Status", "")
    if not chunk.data and status not in {"", "204"}:
        raise RefusedError(f"the snapshot of {stream} broke off: {status} {(chunk.headers or {}).get('Description')}")
    return chunk if chunk.data else None


async def put_back(jetstream: JetStream, kept: Mapping[str, Any], source: IO[bytes], sha256: str) -> Mapping[str, Any]:
    """Make a stream of a snapshot; return what it is then. It appears only when all is there and has the checksum.

    Raises:
        RefusedError: It is refused.
    """
    name = kept["config"]["name"]
    asked = {"config": kept["config"], "state": kept["state"]}
    told = await jetstream.ask(f"STREAM.RESTORE.{name}", asked)
    where, digest = str(told["deliver_subject"]), Digest()
    while chunk := await _aside(functools.partial(source.read, CHUNK_BYTES)):
        digest.add(chunk)
        read(name, await jetstream.send(where, chunk, seconds=CHUNK_SECONDS))
    if digest.sha256 != sha256:
        raise RefusedError(f"the snapshot of {name} has the checksum {digest.sha256}, not {sha256}")
    restored = read(name, await jetstream.send(where, b"", seconds=END_SECONDS))
    if restored is None:
        raise RefusedError(f"JetStream does not say what became of {name}")
    return dict(restored)


async def _aside(work: functools.partial[Any]) -> Any:
    """Do something that may wait for a pipe, while the connection goes on answering the server."""
    return await asyncio.get_running_loop().run_in_executor(None, work)
