"""The cache in front of a bucket: it answers while it is there, agrees with the bucket, and is not missed when it is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog import load_catalog
from proto.generated.gaming.game.v1.state_pb2 import StateEntry
from reference_service.revised_cache import Cached, RevisedCache
from reference_service.runtime import struct
from sdk.errors import NotFoundError
from tests.cache_server import CacheServer, cache_server
from tests.nats_machines import ROOT
from tests.reference_fleet import Fleet, fleet

pytestmark = pytest.mark.integration

SERVICE = "state-manager-nats"
PASSWORD = "password-of-a-test"  # of a server that lives as long as the test
USER = f"user {SERVICE} on resetkeys ~{SERVICE}:* resetchannels -@all +@read +@write +@connection +eval >{PASSWORD}"
NAMES = {"player_id": "p-1", "key": "bag"}
KEY = f"{SERVICE}:StateEntry.p-1.bag"


@dataclass
class World:
    """Two replicas that share a cache and a bucket."""

    nats: Fleet
    cache: CacheServer
    stack: ExitStack
    variables: dict[str, str]

    def end_cache(self) -> None:
        self.stack.close()

    async def coins(self) -> set[float]:
        """Return what twenty answers say, so that both replicas give some."""
        replies = [await self.nats.ask("state.get", **NAMES) for _ in range(20)]
        return {reply.entry.value["coins"] for reply in replies}


@pytest.fixture
async def world(tmp_path: Path, fleet_bucket: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    catalog = load_catalog(ROOT / "service_catalog.yaml")
    (tmp_path / "cache").mkdir()
    with ExitStack() as stack:
        cache = stack.enter_context(cache_server(tmp_path / "cache", [USER]))
        monkeypatch.setenv("SSL_CERT_FILE", str(cache.certificate))
        variables = {
            "CACHE_ENDPOINT": cache.endpoint,
            "CACHE_SECRET": json.dumps({"username": SERVICE, "password": PASSWORD}),
        }
        async with fleet(tmp_path, fleet_bucket, catalog) as nats:
            await nats.run([SERVICE, SERVICE], variables)
            await nats.run(["event-bus-nats"])
            await nats.ask("state.put", **NAMES, value=struct({"coins": 3}))
            yield World(nats, cache, stack, variables)


async def test_reads_are_answered_by_the_cache_that_whoever_writes_has_filled(world: World) -> None:
    with world.cache.admin() as admin:
        assert admin.getrange(KEY, 16, 16) == "+"
        marked = StateEntry(value=struct({"coins": 99})).SerializeToString()
        admin.set(KEY, admin.getrange(KEY, 0, 16).encode() + marked)
    assert await world.coins() == {99}


async def test_an_old_value_never_takes_the_place_of_a_newer_one(world: World) -> None:
    cache = RevisedCache.from_environment(SERVICE, world.variables)
    try:
        for revision, data in ((7, b"seven"), (9, b"nine"), (8, b"eight")):
            await cache.remember("one", revision, data)
        assert await cache.recall("one") == Cached(b"nine")
        await cache.remember("one", 10, None)
        await cache.remember("one", 9, b"nine")
        assert await cache.recall("one") == Cached(None)
    finally:
        await cache.close()


async def test_what_is_written_is_what_both_replicas_read(world: World) -> None:
    for coins in range(5):
        await world.nats.ask("state.put", **NAMES, value=struct({"coins": coins}))
        assert await world.coins() == {coins}
    await world.nats.ask("state.delete", **NAMES)
    with pytest.raises(NotFoundError):
        await world.nats.ask("state.get", **NAMES)


async def test_nothing_is_kept_there_for_ever(world: World) -> None:
    with world.cache.admin() as admin:
        assert 0 < admin.pttl(KEY) <= 5000


async def test_without_the_cache_everything_goes_on(world: World) -> None:
    world.end_cache()
    await world.nats.ask("state.put", **NAMES, value=struct({"coins": 4}))
    assert await world.coins() == {4}
