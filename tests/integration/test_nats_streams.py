"""Changes of what JetStream keeps, on a real server: what is changed, what is left as it is, and what is told of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from nats_platform.node.jetstream import JetStream
from nats_platform.node.streams import Changes, bring_about
from tests.nats_machines import DEADLINE_SECONDS, waited_for
from tests.ports import free_ports

pytestmark = pytest.mark.integration

SERVER = str(Path(sys.executable).with_name("nats-server"))
STREAM = {
    "subjects": ["orders.>"], "max_bytes": 1_000_000, "max_age_seconds": None, "max_message_bytes": None, "retention": "limits",
    "discard": "old", "duplicate_window_seconds": 120,
}  # fmt: skip
CONSUMER = {
    "stream": "ORDERS", "filter_subjects": ["orders.paid"], "ack_wait_seconds": 30, "max_deliver": 5, "max_ack_pending": 100,
}  # fmt: skip
CARTS = {"max_bytes": 1_000_000, "history": 5, "ttl_seconds": None}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all of them, which lets anybody in."""
    folder, (port,) = tmp_path_factory.mktemp("streams"), free_ports(1)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [SERVER, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder], stdout=log, stderr=log
        )
    try:
        waited_for(lambda: b"Server is ready" in (folder / "log").read_bytes(), "the server was ready")
        yield f"nats://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait(DEADLINE_SECONDS)


@pytest.fixture
async def jetstream(address: str) -> AsyncIterator[JetStream]:
    """JetStream with an order that was made and one that was paid."""
    connection = await nats.connect(address)
    try:
        yield JetStream(connection)
        for stream in await JetStream(connection).streams():
            await connection.jetstream().delete_stream(stream["config"]["name"])
    finally:
        await connection.close()


async def bring(jetstream: JetStream, *, dry_run: bool = False, allow: tuple[str, ...] = (), **asked: Any) -> Changes:
    """Bring the server to one stream, one consumer and one bucket, or to others."""
    whole = {"streams": {"ORDERS": STREAM}, "consumers": {"billing": CONSUMER}, "buckets": {"carts": CARTS}}
    plain = {**whole, **asked, "allow_data_loss": list(allow)}
    return await bring_about(jetstream, plain, replicas=1, dry_run=dry_run)


async def hold(jetstream: JetStream, *subjects: str) -> None:
    for subject in subjects:
        await jetstream.connection.jetstream().publish(subject, b"held")


async def config(jetstream: JetStream, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await jetstream.ask(f"STREAM.INFO.{name}"))["config"]
    return found


async def test_a_subject_that_messages_are_kept_of_stays_until_the_loss_is_allowed(jetstream: JetStream) -> None:
    await bring(jetstream)
    await hold(jetstream, "orders.made", "orders.paid")
    narrow = {"ORDERS": {**STREAM, "subjects": ["orders.paid"]}}

    refused = await bring(jetstream, streams=narrow)
    kept = (await config(jetstream, "ORDERS"))["subjects"]
    allowed = await bring(jetstream, streams=narrow, allow=("ORDERS",))

    assert refused.refused == [
        "stream ORDERS: it holds messages of orders.made, which it would not keep any more; allow_data_loss does not name it"
    ]
    assert kept == ["orders.>"]
    assert (allowed.changed, allowed.refused) == (["stream ORDERS: subjects orders.> → orders.paid"], [])
    assert (await config(jetstream, "ORDERS"))["subjects"] == ["orders.paid"]


async def test_a_bucket_may_lose_its_history_when_it_is_allowed_by_its_own_name(jetstream: JetStream) -> None:
    await bring(jetstream)
    await hold(jetstream, "$KV.carts.one")
    less = {"carts": {**CARTS, "history": 1}}

    refused = await bring(jetstream, buckets=less, allow=("another",))
    allowed = await bring(jetstream, buckets=less, allow=("carts",))

    assert refused.refused == [
        "stream KV_carts: max_msgs_per_subject 1 for 5 drops what is older; allow_data_loss does not name it"
    ]
    assert allowed.changed == ["stream KV_carts: max_msgs_per_subject 5 → 1"]
    assert (await config(jetstream, "KV_carts"))["max_msgs_per_subject"] == 1


async def test_a_change_leaves_alone_what_the_catalog_says_nothing_of(jetstream: JetStream) -> None:
    await bring(jetstream)
    own = {**await config(jetstream, "ORDERS"), "description": "set by the operator"}
    await jetstream.ask("STREAM.UPDATE.ORDERS", own)

    changes = await bring(jetstream, streams={"ORDERS": {**STREAM, "max_bytes": 2_000_000}})

    assert changes.changed == ["stream ORDERS: max_bytes 1000000 → 2000000"]
    assert await config(jetstream, "ORDERS") == {**own, "max_bytes": 2_000_000}


async def test_a_consumer_is_changed_in_place_and_goes_on_where_it_was(jetstream: JetStream) -> None:
    await bring(jetstream)
    await hold(jetstream, "orders.paid", "orders.paid")
    pulled = await jetstream.connection.jetstream().pull_subscribe_bind("billing", "ORDERS")
    (first,) = await pulled.fetch(1, timeout=DEADLINE_SECONDS)
    await first.ack_sync()

    changed = await bring(jetstream, consumers={"billing": {**CONSUMER, "max_deliver": 9}})
    again = await bring(jetstream, consumers={"billing": {**CONSUMER, "max_deliver": 9}})

    assert changed.changed == ["consumer ORDERS billing: max_deliver 5 → 9"]
    assert again.changed == []
    told = await jetstream.ask("CONSUMER.INFO.ORDERS.billing")
    assert (told["config"]["max_deliver"], told["ack_floor"]["stream_seq"]) == (9, 1)


async def test_what_the_catalog_has_no_more_stays_and_is_told_of(jetstream: JetStream) -> None:
    await bring(jetstream, consumers={"billing": CONSUMER, "audit": CONSUMER})
    await bring(jetstream, streams={"ORDERS": STREAM, "OLD": {**STREAM, "subjects": ["old.>"]}})

    changes = await bring(jetstream)

    assert (changes.changed, changes.kept) == ([], ["stream OLD", "consumer ORDERS audit"])


async def test_a_dry_run_on_a_blank_server_tells_everything_and_makes_nothing(jetstream: JetStream) -> None:
    changes = await bring(jetstream, dry_run=True)

    assert changes.changed == ["stream ORDERS: made", "stream KV_carts: made", "consumer ORDERS billing: made"]
    assert await jetstream.streams() == []
