"""Permissions, shown by the servers themselves: each service can do what its contract says, and nothing else, of all that anyone can."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from catalog import Service, load_catalog
from catalog.contract import called_subjects, heard_subjects
from tests.nats_machines import ROOT, Machines, encoded, machines

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
SERVICES = {service.name: service for service in CATALOG.enabled}
NODE = "nats-1"
QUEUE = "q"
REFUSED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"(?: using queue "([^"]+)")?')
WAIT_SECONDS = 10

# What each may publish and hear is said here once more, in the words of the catalog and not by what is tested.
ASKED = sorted({subject for service in SERVICES.values() for subject in service.nats.serves})
TOLD = ["events.quest.done", "events.time.noon", "elsewhere.done"]
INBOXES = [f"_INBOX.{name}.one" for name in [*SERVICES, "operator", "provisioner", "loadtest", "metrics"]]
BUCKETS = {bucket: name for name, service in SERVICES.items() for bucket in service.nats.buckets}
STREAMS = {stream for service in SERVICES.values() for stream in service.nats.streams}
READ = {
    stream: [
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.{subject}",
    ]
    for stream, subject in [
        *((stream, "events.quest.done") for stream in STREAMS),
        *((f"KV_{bucket}", f"$KV.{bucket}.key") for bucket in BUCKETS),
    ]
}
WRITTEN = {bucket: f"$KV.{bucket}.key" for bucket in BUCKETS}
PULLED = {
    (consumer.stream, name): [
        f"$JS.API.CONSUMER.INFO.{consumer.stream}.{name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{name}",
        f"$JS.ACK.{consumer.stream}.{name}.1.2.3.4.0",
    ]
    for service in SERVICES.values()
    for name, consumer in service.nats.consumers.items()
}
# Who may do one of these has all messages, or puts itself in somebody's place.
NOBODY = [
    "$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.PURGE.KV_payments", "$JS.API.STREAM.SNAPSHOT.KV_payments", "$JS.API.STREAM.RESTORE.KV_payments",
    "$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.KV_payments.spy", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.spy",
    "$JS.API.STREAM.NAMES", "$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.ID.RELOAD", "$SYS.REQ.ACCOUNT.APP.CONNZ", "bench.one", "$SRV.PING",
]  # fmt: skip
PUBLISHED = [
    *ASKED,
    *TOLD,
    *INBOXES,
    *WRITTEN.values(),
    *(subject for subjects in (*READ.values(), *PULLED.values()) for subject in subjects),
    *NOBODY,
]
# Who hears another's could answer in its place, and be found instead of it.
DISCOVERED = {
    name: [f"$SRV.{verb}.{name}{instance}" for verb in ("PING", "INFO", "STATS") for instance in ("", ".one")]
    for name in SERVICES
}
EVERYONE = ["$SRV.PING", "$SRV.INFO", "$SRV.STATS"]
HEARD = [
    *ASKED,
    *TOLD,
    *INBOXES,
    *EVERYONE,
    *(subject for subjects in DISCOVERED.values() for subject in subjects),
    *(f"$KV.{bucket}.>" for bucket in BUCKETS),
    ">",
    "*.>",
    "$SYS.>",
    "_INBOX.>",
    "events.>",
]


@dataclass
class Peer:
    """A connected service, and what the server refused it."""

    client: Client
    refused: set[tuple[str, str]] = field(default_factory=set)

    async def settle(self) -> None:
        """Wait until the server has looked at all that was sent."""
        # The first PING overtakes what waits to be sent (nats-py writes it at once), and sends that; the second comes after it.
        await self.client.flush(WAIT_SECONDS)
        await self.client.flush(WAIT_SECONDS)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[Machines]:
    """Three nodes of exactly the rendered configuration."""
    with machines(tmp_path_factory.mktemp("nodes"), fleet_bucket) as made:
        made.boot()
        made.wait_until_whole()
        yield made


@asynccontextmanager
async def connected(cluster: Machines, name: str) -> AsyncIterator[Peer]:
    """Connect a service and note what it is refused."""
    refused: set[tuple[str, str]] = set()

    async def note(error: Exception) -> None:
        if found := REFUSED.search(str(error).lower()):
            verb, subject, queue = found.groups()
            refused.add((verb, f"{subject} {queue}" if queue else subject))

    client = await cluster.connect(name, NODE, error_cb=note)
    try:
        yield Peer(client, refused)
    finally:
        await client.close()


async def published(cluster: Machines, name: str) -> set[str]:
    """Return what of all that is tried somebody may publish; the server tells what it refuses in small letters."""
    async with connected(cluster, name) as peer:
        for subject in PUBLISHED:
            await peer.client.publish(subject, b"tried")
        await peer.settle()

    refused = {subject for verb, subject in peer.refused if verb == "publish"}
    return {subject.lower() for subject in PUBLISHED} - refused


def may_publish(service: Service) -> set[str]:
    """Return what of all that is tried the contract lets a service publish."""
    own = service.nats
    allowed = set(called_subjects(CATALOG, service))
    allowed |= {told for told in TOLD for subject in own.publishes if told.startswith(subject.removesuffix(">"))}
    asking = {other.name for other in SERVICES.values() if set(called_subjects(CATALOG, other)) & set(own.serves)}
    asking |= {"loadtest"} if any(subject.idempotent for subject in own.serves.values()) else set()
    allowed |= {f"_INBOX.{name}.one" for name in asking}
    allowed |= {WRITTEN[bucket] for bucket in own.buckets}
    for stream in (*own.streams, *(f"KV_{bucket}" for bucket in own.buckets)):
        allowed |= {*READ[stream]}
    for name, consumer in own.consumers.items():
        allowed |= {*PULLED[consumer.stream, name]}
    return allowed


def may_hear(service: Service) -> set[str]:
    """Return what of all that is tried the contract lets a service hear, in no queue group."""
    wanted = heard_subjects(CATALOG, service)
    heard = {told for told in TOLD for own in wanted if told.startswith(own.removesuffix(">"))}
    heard |= {f"_INBOX.{service.name}.one", *EVERYONE, *DISCOVERED[service.name]}
    return heard | ({"events.>"} if "events.>" in wanted else set())


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_publishes_what_its_contract_says_and_nothing_else(cluster: Machines, name: str) -> None:
    assert await published(cluster, name) == {subject.lower() for subject in may_publish(SERVICES[name])}


PLATFORM = {
    "operator": {each for each in PUBLISHED if each.startswith("$SYS.REQ.")},
    "metrics": {"$SYS.REQ.SERVER.PING.VARZ"},
    "provisioner": {each for each in PUBLISHED if each.startswith("$JS.API.")},
    "loadtest": {
        *(each for service in SERVICES.values() for each, asked in service.nats.serves.items() if asked.idempotent),
        "bench.one",
        "$SRV.PING",
    },
}


@pytest.mark.parametrize("name", PLATFORM)
async def test_an_identity_of_the_platform_publishes_what_it_is_for_and_nothing_else(
    cluster: Machines, name: str
) -> None:
    assert await published(cluster, name) == {subject.lower() for subject in PLATFORM[name]}


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_hears_what_its_contract_says_and_nothing_else(cluster: Machines, name: str) -> None:
    async with connected(cluster, name) as peer:
        for subject in HEARD:
            await peer.client.subscribe(subject)
            await peer.client.subscribe(subject, queue=QUEUE)
        await peer.settle()

    refused = {subject for verb, subject in peer.refused if verb == "subscription"}
    alone = {subject for subject in HEARD if subject.lower() not in refused}
    shared = {subject for subject in HEARD if f"{subject} {QUEUE}".lower() not in refused}
    assert alone == may_hear(SERVICES[name])
    assert shared == may_hear(SERVICES[name]) | set(SERVICES[name].nats.serves)


async def test_every_call_of_every_contract_arrives_and_is_answered(cluster: Machines) -> None:
    async with AsyncExitStack() as stack:
        peers = {name: await stack.enter_async_context(connected(cluster, name)) for name in SERVICES}

        async def answer(message: Msg) -> None:
            await message.respond(message.subject.encode())

        for name, service in SERVICES.items():
            for subject in service.nats.serves:
                await peers[name].client.subscribe(subject, queue=QUEUE, cb=answer)
            await peers[name].settle()
        answers = {
            (name, subject): (await peers[name].client.request(subject, b"", timeout=WAIT_SECONDS)).data.decode()
            for name, service in SERVICES.items()
            for subject in called_subjects(CATALOG, service)
        }

    assert len(answers) > len(SERVICES)
    assert all(answered == subject for (_, subject), answered in answers.items())
    assert [peer.refused for peer in peers.values() if peer.refused] == []


async def test_who_may_not_be_answered_by_name_is_answered_once(cluster: Machines) -> None:
    asker, server = "loadtest", "http-nats-gateway"
    async with connected(cluster, asker) as asking, connected(cluster, server) as serving:

        async def answer_twice(message: Msg) -> None:
            await message.respond(b"one")
            await message.respond(b"two")

        await serving.client.subscribe(f"$SRV.PING.{server}", cb=answer_twice)
        await serving.settle()
        inbox = asking.client.new_inbox()
        replies = await asking.client.subscribe(inbox)
        await asking.client.publish(f"$SRV.PING.{server}", b"", reply=inbox)
        first = await replies.next_msg(WAIT_SECONDS)
        await serving.settle()

        assert first.data == b"one"
        assert ("publish", inbox.lower()) in serving.refused


async def test_what_is_under_way_while_the_node_reloads_is_answered(cluster: Machines) -> None:
    """A server forgets then what a message allowed to be answered, and each renewal of its certificate is a reload."""
    asker, server = "quest-system-nats", "state-manager-nats"
    async with connected(cluster, asker) as asking, connected(cluster, server) as serving:
        asked, reloaded = asyncio.Event(), asyncio.Event()

        async def answer_late(message: Msg) -> None:
            asked.set()
            await reloaded.wait()
            await message.respond(b"late")

        await serving.client.subscribe("state.get", queue=QUEUE, cb=answer_late)
        await serving.settle()
        answer = asyncio.create_task(asking.client.request("state.get", b"", timeout=3 * WAIT_SECONDS))
        await asyncio.wait_for(asked.wait(), WAIT_SECONDS)
        await asyncio.to_thread(cluster[NODE].reload)
        reloaded.set()

        assert (await answer).data == b"late"
        assert serving.refused == set()


async def test_a_service_without_a_user_is_sent_away(cluster: Machines) -> None:
    users = tuple(user for user in cluster.users if not user.identity.startswith("weather-manager-nats."))
    lost = asyncio.Event()

    async def note() -> None:
        lost.set()

    client = await cluster.connect("weather-manager-nats", NODE, disconnected_cb=note)
    place = cluster.put_configuration(NODE, cluster.configuration(NODE, users))
    try:
        done = await asyncio.to_thread(cluster[NODE].run, "configure", encoded(place))
        assert done.returncode == 0, done.stderr
        await asyncio.wait_for(lost.wait(), WAIT_SECONDS)
        with pytest.raises((nats.errors.Error, OSError)):
            await cluster.connect("weather-manager-nats", NODE, allow_reconnect=False)
    finally:
        await client.close()
        restored = cluster.put_configuration(NODE, cluster.configuration(NODE))
        await asyncio.to_thread(cluster[NODE].run, "configure", encoded(restored))
