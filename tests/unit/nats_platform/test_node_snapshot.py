"""A snapshot that does not come to its end, on either way, is none."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nats_platform.node import restore, snapshot
from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.jetstream import ApiError, JetStream

KEPT = {"config": {"name": "ORDERS"}, "state": {"messages": 2}}
END = SimpleNamespace(data=b"", headers=None, reply="")


class Server:
    """A connection to a server that sends these chunks of a snapshot, and takes what is restored as it is told to."""

    def __init__(self, *chunks: Any, takes: str = "{}") -> None:
        self.chunks = chunks
        self.takes = takes
        self.acknowledged: list[str] = []
        self.fed: list[bytes] = []

    def new_inbox(self) -> str:
        return "_INBOX.one"

    async def subscribe(self, _: str, *, cb: Callable[[Any], Awaitable[None]]) -> Any:
        for chunk in self.chunks:
            await cb(chunk)

        async def unsubscribe() -> None: ...

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(self, subject: str) -> None:
        self.acknowledged.append(subject)

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Any:  # noqa: ASYNC109 - as nats-py has it
        del timeout
        if subject == "where":
            self.fed.append(data)
            return SimpleNamespace(data=self.takes.encode() if not data or "error" in self.takes else b"")
        return SimpleNamespace(data=json.dumps({**KEPT, "deliver_subject": "where"}).encode())


def chunk(data: bytes, reply: str = "", **headers: str) -> Any:
    return SimpleNamespace(data=data, headers=headers, reply=reply)


def jetstream(server: Server) -> JetStream:
    connection: Any = server
    return JetStream(connection)


async def test_every_chunk_is_written_and_acknowledged_where_that_is_asked_for() -> None:
    server, target = Server(chunk(b"one", "ack.1"), chunk(b"two"), END), io.BytesIO()

    kept, digest = await snapshot.take(jetstream(server), "ORDERS", target)

    assert target.getvalue() == b"onetwo"
    assert (kept, digest.size_bytes, digest.sha256) == (KEPT, 6, hashlib.sha256(b"onetwo").hexdigest())
    assert server.acknowledged == ["ack.1"]


async def test_a_snapshot_that_the_server_breaks_off_is_refused() -> None:
    server = Server(chunk(b"one"), chunk(b"", Status="408", Description="No Flow Response"))

    with pytest.raises(RefusedError, match="ORDERS broke off: 408 No Flow Response"):
        await snapshot.take(jetstream(server), "ORDERS", io.BytesIO())


async def test_a_snapshot_that_stops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_SECONDS", 0.01)

    with pytest.raises(RefusedError, match="ORDERS stopped"):
        await snapshot.take(jetstream(Server(chunk(b"one"))), "ORDERS", io.BytesIO())


async def test_what_changed_since_it_was_looked_at_is_not_completed() -> None:
    server = Server()

    with pytest.raises(RefusedError, match="has the checksum"):
        await snapshot.put_back(jetstream(server), KEPT, io.BytesIO(b"onetwo"), "0" * 64)

    assert server.fed == [b"onetwo"]  # and no end, with which it would have appeared


async def test_a_restore_ends_with_what_the_server_says_of_it() -> None:
    sha256 = hashlib.sha256(b"onetwo").hexdigest()
    server = Server(takes='{"state": {"messages": 2}}')

    assert await snapshot.put_back(jetstream(server), KEPT, io.BytesIO(b"onetwo"), sha256) == {"state": {"messages": 2}}
    assert server.fed == [b"onetwo", b""]
    for takes, said in (('{"error": {"code": 500, "description": "no room"}}', "no room"), ("", "does not say")):
        with pytest.raises((ApiError, RefusedError), match=said):
            await snapshot.put_back(jetstream(Server(takes=takes)), KEPT, io.BytesIO(b"onetwo"), sha256)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A bucket that is a folder: an object is there when all of it has come."""
    aws = tmp_path / "aws"
    aws.write_text(f"#!/bin/bash\ncat > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/object\n")
    aws.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Bucket("bucket", Aws("eu-west-1"))


def test_an_object_appears_when_all_of_it_was_written(bucket: Bucket, tmp_path: Path) -> None:
    with bucket.writing("key") as stream:
        stream.write(b"whole")

    assert (tmp_path / "object").read_bytes() == b"whole"


def test_an_object_of_which_the_rest_does_not_come_never_appears(bucket: Bucket, tmp_path: Path) -> None:
    def write_half() -> None:
        with bucket.writing("key") as stream:
            stream.write(b"half")
            raise RefusedError("it broke off")

    with pytest.raises(RefusedError, match="broke off"):
        write_half()

    assert not (tmp_path / "object").exists()


STATE = {"messages": 2, "bytes": 80, "first_seq": 3, "last_seq": 4, "consumer_count": 1}


async def compared(before: dict[str, int], now: dict[str, int]) -> None:
    async def request(_: str, __: bytes, *, timeout: float) -> Any:  # noqa: ASYNC109 - as nats-py has it
        del timeout
        return SimpleNamespace(data=json.dumps({"state": now}).encode())

    connection: Any = SimpleNamespace(request=request)
    kept = {"config": {"name": "ORDERS"}, "state": before}
    await restore._compare(JetStream(connection), kept)  # noqa: SLF001 - no server gives back another stream


@pytest.mark.parametrize("key", STATE)
async def test_a_stream_that_is_not_what_was_backed_up_fails_its_restore(key: str) -> None:
    await compared(STATE, {**STATE})
    with pytest.raises(RefusedError, match=f"ORDERS is not what was backed up: {key} 9, not {STATE[key]}"):
        await compared(STATE, {**STATE, key: 9})


async def test_an_empty_stream_may_begin_elsewhere() -> None:
    empty = {**STATE, "messages": 0}

    await compared(empty, {**empty, "first_seq": 5})
