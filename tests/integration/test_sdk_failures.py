"""What becomes of calls when servers die, stop, come back or leave, and certificates change: no request without an answer or a typed error."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proto.generated.gaming.game.v1.quest_pb2 import Quest
from sdk import (
    CallError,
    CertificateError,
    CircuitState,
    Delivery,
    DirectoryCertificates,
    NATSClient,
    RetryExhaustedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from sdk.link import LinkSettings
from tests.integration.sdk_pair import Pair, pair, quick_link, until
from tests.nats_world import ACCEPT, EVENT, Node, World, world

pytestmark = pytest.mark.integration


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[World]:
    """Two nodes without routes between them: service and caller have to be at the same one."""
    with world(tmp_path, nodes=2) as made:
        yield made


class Load:
    """Asks without a pause, from several callers, and keeps every outcome."""

    def __init__(self, calls: Pair, callers: int = 8) -> None:
        self.outcomes: Counter[str] = Counter()
        self.answered: list[str] = []
        self._calls = calls
        self._is_over = False
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(callers)]

    async def _ask(self, caller: int) -> None:
        number = 0
        while not self._is_over:
            number += 1
            quest_id = f"{caller}-{number}"
            try:
                reply = await self._calls.accept(quest_id)
            except CallError as error:
                self.outcomes[type(error).__name__] += 1
                await asyncio.sleep(0.01)
            else:
                assert reply.giver_line == quest_id
                self.outcomes["answered"] += 1
                self.answered.append(quest_id)

    async def more(self, number: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.outcomes["answered"] + number
        await until(lambda: self.outcomes["answered"] >= wanted, f"{wanted} were answered: {self.outcomes}")

    async def end(self) -> Counter[str]:
        """Stop asking; what fails in any other way than by a typed error is raised here."""
        self._is_over = True
        await asyncio.gather(*self._tasks)
        return self.outcomes


async def test_a_killed_server_fails_what_waits_at_once_and_all_is_well_when_it_is_back(nats: World) -> None:
    async with pair(nats) as calls:
        calls.answer = lambda _: asyncio.sleep(3600)
        waiting = [asyncio.create_task(calls.accept(timeout_seconds=600)) for _ in range(20)]
        await until(lambda: len(calls.asked) == 20, "all were asked")
        nats.node.kill()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {ServiceUnavailableError}
        assert "the connection to NATS" in str(results[0])
        with pytest.raises(ServiceUnavailableError, match="NATS is out of reach") as failed:
            await calls.accept(timeout_seconds=600)
        assert failed.value.elapsed_seconds < 60
        calls.answer = None
        nats.node.start()
        await until(lambda: calls.client.is_connected, "the caller came back")
        await until_served(calls)


async def until_served(calls: Pair) -> None:
    """Wait until the service, too, is back on the server."""
    async with asyncio.timeout(20):
        while True:
            try:
                await calls.accept()
            except CallError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_lost_server_opens_no_breaker(nats: World) -> None:
    async with pair(nats) as calls:
        await calls.accept()
        nats.node.kill()
        await until(lambda: not calls.client.is_connected, "the loss was seen")
        for _ in range(20):
            with pytest.raises(ServiceUnavailableError):
                await calls.accept()
        assert calls.client.breakers.get("", ACCEPT).state is CircuitState.CLOSED


async def test_a_stopped_server_is_found_out_and_left_and_taken_again(nats: World) -> None:
    async with pair(nats) as calls:
        await calls.accept()
        nats.node.signal(signal.SIGSTOP)
        waiting = asyncio.create_task(calls.accept(timeout_seconds=600))
        with pytest.raises((ServiceUnavailableError, ServiceTimeoutError)):
            await waiting
        assert not calls.client.is_connected
        nats.node.signal(signal.SIGCONT)
        await until(lambda: calls.client.is_connected, "the caller came back")


async def test_publishing_to_a_stopped_server_neither_hangs_nor_grows_without_bound(nats: World) -> None:
    settings = nats.settings("caller-nats")
    client = NATSClient(settings, link=quick_link(settings, ping_interval_seconds=600.0))
    await client.connect(10)
    nats.node.signal(signal.SIGSTOP)
    connection = client.connection()
    event = Quest(summary="x" * 100_000)

    async def publish_much() -> None:
        async with asyncio.timeout(1):
            for _ in range(1000):
                await client.publish(EVENT.subject, event)

    with pytest.raises(TimeoutError):
        await publish_much()
    assert connection.pending_data_size < 2 * 2**20
    nats.node.kill()
    report = await client.drain(1)
    assert report.unsent_bytes > 0, "what was never sent is told"


async def test_a_restart_under_load_loses_no_request_without_a_typed_error(nats: World) -> None:
    async with pair(nats) as calls:
        load = Load(calls)
        await load.more(100)
        nats.node.kill()
        nats.node.start()
        await load.more(100)
        outcomes = await load.end()
    assert set(outcomes) <= {
        "answered",
        "ServiceUnavailableError",
        "RetryExhaustedError",
        "ServiceTimeoutError",
        "CircuitOpenError",
    }


def patient_link(nats: World) -> LinkSettings:
    """Return a link that takes no server for lost because the machine is busy: nothing may fail here."""
    return quick_link(nats.settings("caller-nats"), connect_timeout_seconds=20.0, ping_timeout_seconds=20.0)


async def test_certificates_are_renewed_under_load_without_a_failed_request(nats: World) -> None:
    async with pair(nats, client_options={"link": patient_link(nats)}) as calls:
        service = calls.service.client
        assert service is not None
        load = Load(calls)
        await load.more(50)
        for name, client in (("quest-nats", service), ("caller-nats", calls.client)):
            before = client.connection()
            nats.renew(name)
            await until(lambda old=before, now=client: now.link.current is not old, f"{name} moved")  # type: ignore[misc]
            await until(before.lost.done, f"the old connection of {name} was closed")
            await load.more(50)
        outcomes = await load.end()
        assert dict(outcomes) == {"answered": outcomes["answered"]}
        assert sorted(calls.asked) == sorted(load.answered), "each was handled once"


async def test_the_whole_authority_is_replaced_under_load_without_a_failed_request(nats: World) -> None:
    """Both ends take up the new trust, the new certificates and the end of the old trust while they talk to one another."""
    async with pair(nats, client_options={"link": patient_link(nats)}) as calls:
        service = calls.service.client
        assert service is not None
        load = Load(calls)
        await load.more(50)
        old = DirectoryCertificates(nats.certificates("caller-nats")).fetch().context()
        phases = nats.roll_over()
        while True:
            before = [client.link.current for client in (service, calls.client)]
            if await asyncio.to_thread(next, phases, None) is None:
                break
            for client, link in zip((service, calls.client), before, strict=True):
                await until(lambda now=client, then=link: now.link.current is not then, "it moved")  # type: ignore[misc]
            await load.more(50)
        outcomes = await load.end()
        assert dict(outcomes) == {"answered": outcomes["answered"]}
        assert sorted(calls.asked) == sorted(load.answered), "each was handled once"
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(handshake, nats.node, old)


def handshake(node: Node, context: ssl.SSLContext) -> None:
    """Shake hands with a node, as who trusts what the context does."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as plain:
        with plain.makefile("rb", buffering=0) as greeting:
            greeting.readline()
        context.wrap_socket(plain, server_hostname="localhost").close()


async def test_a_broken_renewal_leaves_the_connection_that_works(nats: World, caplog: pytest.LogCaptureFixture) -> None:
    async with pair(nats) as calls:
        before = calls.client.connection()
        (nats.certificates("caller-nats") / "key.pem").write_bytes(
            (nats.certificates("quest-nats") / "key.pem").read_bytes()
        )
        await until(lambda: "new certificates are not in use yet" in caplog.text, "it was told")
        await calls.accept()
        assert calls.client.connection() is before
        nats.renew("caller-nats")
        await until(lambda: calls.client.link.current is not before, "it moved once they fitted")
        await calls.accept()


async def test_events_are_heard_once_each_while_the_listener_moves(nats: World) -> None:
    heard: Counter[str] = Counter()

    async def handler(delivery: Delivery) -> None:
        heard[Quest.FromString(delivery.data).quest_id] += 1

    async with NATSClient(nats.settings("quest-nats")) as listener, NATSClient(nats.settings("caller-nats")) as teller:
        await listener.subscribe(EVENT.subject, handler)

        told = 0
        is_moving = True

        async def tell() -> None:
            nonlocal told
            while is_moving:
                told += 1
                await teller.publish(EVENT.subject, Quest(quest_id=f"q-{told}"))
                await asyncio.sleep(0.0005)

        telling = asyncio.create_task(tell())
        for _ in range(5):
            old = listener.connection()
            await listener.link.replace("a test")
            await until(old.lost.done, "the old connection was closed")
        is_moving = False
        await telling
        await until(lambda: len(heard) == told, "all were heard")
    assert set(heard.values()) == {1}


async def test_a_server_that_is_about_to_end_is_left_before_it_does(two_nodes: World) -> None:
    first, other = two_nodes.nodes
    settings = two_nodes.settings("caller-nats")
    client = NATSClient(settings)
    await client.connect(10)
    if client.connection().server != first.url:
        first, other = other, first
    first.signal(signal.SIGUSR2)
    await until(lambda: client.connection().server == other.url, "it moved")
    assert (await client.drain(1)).is_clean


async def test_a_keepalive_that_was_not_sent_is_nobodys_loss(two_nodes: World) -> None:
    client = NATSClient(two_nodes.settings("caller-nats"))
    await client.connect(10)
    connection = client.connection()
    asked = asyncio.create_task(connection.round_trip(10))
    await asyncio.sleep(0)  # it has asked, and nothing has been sent yet
    assert connection.pending_data_size > 0
    assert connection.unsent_bytes == 0
    await asked
    await client.drain(1)


async def test_a_server_that_is_down_is_passed_over(two_nodes: World) -> None:
    two_nodes.nodes[0].kill()
    async with NATSClient(two_nodes.settings("caller-nats")) as client:
        assert client.connection().server == two_nodes.nodes[1].url


async def test_a_drain_under_load_answers_all_that_was_taken(nats: World) -> None:
    async with pair(nats) as calls:
        calls.answer = lambda _: asyncio.sleep(0.02)
        load = Load(calls, callers=32)
        await load.more(100)
        calls.service.stop()
        report = await calls.running
        taken = list(calls.asked)
        outcomes = await load.end()
    assert report.is_clean
    assert sorted(taken) == sorted(load.answered), "what was handled was answered"
    assert set(outcomes) <= {"answered", "ServiceUnavailableError", "RetryExhaustedError", "CircuitOpenError"}


async def test_a_drain_that_takes_too_long_tells_what_it_left(nats: World) -> None:
    async with pair(nats, options={"drain_seconds": 0.2}) as calls:
        calls.answer = lambda _: asyncio.sleep(3600)
        waiting = [asyncio.create_task(calls.accept(timeout_seconds=20)) for _ in range(3)]
        await until(lambda: len(calls.asked) == 3, "all were asked")
        # The service's own limit of a second would end them.
        calls.service.stop()
        report = await calls.running
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert report.abandoned_messages == 3
    assert [str(result) for result in results if "the service is stopping" not in str(result)] == []
    assert {type(result) for result in results} <= {ServiceUnavailableError, RetryExhaustedError}


async def test_the_first_connection_never_hangs(nats: World) -> None:
    client = NATSClient(nats.settings("caller-nats", servers=("tls://localhost:1",)))
    with pytest.raises(ServiceUnavailableError, match="tls://localhost:1"):
        await client.connect(0.3)
    await client.drain(0)


def untrusting(nats: World, folder: Path) -> Path:
    """A client that trusts another authority than the server's."""
    (folder / "server-ca.pem").write_bytes((nats.node.folder / "tls" / "client-ca.pem").read_bytes())
    return folder


def unknown(nats: World, folder: Path) -> Path:
    """A client with the certificate of a server, which is no user."""
    for name in ("chain.pem", "key.pem"):
        (folder / name).write_bytes((nats.node.folder / "tls" / f"server-{name}").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(untrusting, "its certificate is not to be trusted"), (unknown, "client certificate")],
)
async def test_a_refused_connection_says_why(nats: World, spoil: Callable[[World, Path], Path], told: str) -> None:
    source = DirectoryCertificates(spoil(nats, nats.certificates("caller-nats")))
    client = NATSClient(nats.settings("caller-nats", certificates=source))
    with pytest.raises(ServiceUnavailableError, match=told):
        await client.connect(0.5)
    await client.drain(0)


async def test_certificates_that_are_not_there_are_told_with_their_path(nats: World, tmp_path: Path) -> None:
    client = NATSClient(nats.settings("caller-nats", certificates=DirectoryCertificates(tmp_path / "nowhere")))
    with pytest.raises(CertificateError, match=r"nowhere/chain\.pem cannot be read"):
        await client.connect(0.2)
    await client.drain(0)
