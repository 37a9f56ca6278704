"""The certificates with real NATS nodes: who gets in, who does not, and that a renewal and a rollover refuse nobody."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.certificates import PASSPHRASE, MemoryStore, a_request
from tests.integration.nats_nodes import DOMAIN, SERVER, Cluster, Node, running, waited_for
from tests.ports import free_ports
from tls import (
    CertificateRequest,
    Consumer,
    DirectoryStore,
    Issuer,
    Observations,
    Passphrase,
    Phase,
    Profile,
    Served,
    Sources,
    Store,
    advance,
    begin,
    bring_about,
    pointers,
    require_record,
)
from tls.authority import Pair, issue_leaf
from tls.authority_store import issuing_signer
from tls.keys import KeyType
from tls.pairs import hold
from tls.store import AUTHORITY_PREFIX

pytestmark = pytest.mark.integration

NODES = ("nats-1", "nats-2", "nats-3")
REQUEST = a_request(nodes=[{"name": name} for name in NODES], shared_node_names=["localhost"])
UNKNOWN_AUTHORITY = "x509: certificate signed by unknown authority"


def an_issuer(store: Store, **changes: Any) -> Issuer:
    return replace(Issuer(store, lambda: Passphrase(PASSPHRASE), "a test"), **changes)


@dataclass(frozen=True)
class World:
    """Three nodes, and the store that has the certificates of one kind of key for them and for who talks to them."""

    key_type: KeyType
    store: DirectoryStore
    cluster: Cluster


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[KeyType], World]]:
    with contextlib.ExitStack() as stack:

        @functools.cache
        def world(key_type: KeyType) -> World:
            folder = tmp_path_factory.mktemp(str(key_type))
            store = DirectoryStore(folder / "store")
            cluster = stack.enter_context(running(folder / "nodes", store, NODES))
            request = replace(REQUEST, key_type=key_type)
            report = bring_about(an_issuer(store, delivery=cluster, observer=cluster), request)
            assert report.exit_code == 0, report
            waited_for(cluster.is_whole, "every node had routes to all others")
            return World(key_type, store, cluster)

        yield world


@pytest.fixture(params=[KeyType.P256, KeyType.RSA3072], ids=str)
def world(request: pytest.FixtureRequest, worlds: Callable[[KeyType], World]) -> World:
    """Of the kind of key that is the default, and of the one that a setting asks for."""
    return worlds(request.param)


@pytest.fixture
def store(worlds: Callable[[KeyType], World]) -> DirectoryStore:
    return worlds(KeyType.P256).store


@pytest.fixture
def cluster(worlds: Callable[[KeyType], World]) -> Cluster:
    return worlds(KeyType.P256).cluster


def trust(store: Store, name: str) -> str:
    record = require_record(store).record
    stored = store.read(f"{AUTHORITY_PREFIX}{record.version}/{name}")
    assert stored is not None
    return stored.data.decode()


def context(folder: Path, trusted: str, pair: Pair | None) -> ssl.SSLContext:
    """Return what a client connects with; a pair goes through files, as OpenSSL wants it."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=trusted)
    if pair is not None:
        chain, key = folder / "chain", folder / "key"
        chain.write_bytes(pair.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(pair.key_pem.reveal())
        made.load_cert_chain(chain, key)
        key.unlink()
    return made


def pair_of(store: Store, prefix: str) -> Pair:
    pair = hold(store, [prefix])[prefix].pair
    assert pair is not None
    return pair


async def echo(message: Msg) -> None:
    await message.respond(message.data)


async def connect(url: str, secured: ssl.SSLContext, name: str = "localhost", **options: Any) -> Client:
    return await nats.connect(
        url,
        tls=secured,
        tls_hostname=name,
        allow_reconnect=False,
        connect_timeout=5,
        inbox_prefix="_INBOX.test",
        **options,
    )


@contextlib.asynccontextmanager
async def connected(node: Node, secured: ssl.SSLContext, **options: Any) -> AsyncIterator[Client]:
    client = await connect(node.url, secured, **options)
    try:
        yield client
    finally:
        await client.close()


async def is_refused(node: Node, secured: ssl.SSLContext) -> bool:
    """Tell whether a node refuses a client; what nats-py says of it varies with where it is refused."""
    try:
        client = await connect(node.url, secured)
    except Exception:  # noqa: BLE001  # a reset, an alert, or an error of nats-py
        return True
    await client.close()
    return False


async def logged(node: Node, since: int, *words: str) -> None:
    """Wait until a node has logged a line with all of these words: only there it says why it refused somebody."""
    await asyncio.to_thread(
        waited_for,
        lambda: any(all(word in line for word in words) for line in node.log()[since:].splitlines()),
        f"{node.name} logged {words}; it logged {node.log()[since:]}",
    )


async def test_a_service_reaches_another_one_on_another_node(world: World, tmp_path: Path) -> None:
    trusted = trust(world.store, "server-ca.pem")
    payments = context(tmp_path, trusted, pair_of(world.store, "client/payments/"))
    orders = context(tmp_path, trusted, pair_of(world.store, "client/orders/"))
    nodes = world.cluster.nodes
    async with connected(nodes[0], payments) as responder, connected(nodes[2], orders) as requester:
        await responder.subscribe("payments.charge", cb=echo)
        await responder.flush()
        answer = None
        for _ in range(50):  # the interest has to travel along the route first
            with contextlib.suppress(nats.errors.NoRespondersError):
                answer = await requester.request("payments.charge", b"done", timeout=5)
                break
            await asyncio.sleep(0.1)
        assert answer is not None
        assert answer.data == b"done"


async def test_a_node_answers_to_its_own_name_and_to_no_other(world: World, tmp_path: Path) -> None:
    secured = context(tmp_path, trust(world.store, "server-ca.pem"), pair_of(world.store, "client/orders/"))
    node = world.cluster.nodes[0]
    async with connected(node, secured, name="nats-1.nats.acme.internal"):
        pass
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await connect(node.url, secured, "nats-2.nats.acme.internal")


async def test_a_client_refuses_a_node_of_another_authority(world: World, tmp_path: Path) -> None:
    other = another_authority(world.key_type)
    secured = context(tmp_path, trust(other, "server-ca.pem"), pair_of(world.store, "client/orders/"))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        await connect(world.cluster.nodes[0].url, secured)


@functools.cache
def another_authority(key_type: KeyType) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store), a_request(key_type=str(key_type), services=["orders"], identities=[]))
    return store


def expired(world: World) -> Pair:
    record = require_record(world.store).record
    signer = issuing_signer(world.store, record.issuer, Profile.CLIENT, Passphrase(PASSPHRASE))
    leaf = next(leaf for leaf in REQUEST.leaves if leaf.prefix == "client/orders/")
    return issue_leaf(
        leaf, signer, organization="acme", key_type=world.key_type, lifetime=timedelta(minutes=-1), sources=Sources()
    )


REFUSED: dict[str, tuple[Callable[[World], Pair | None], tuple[str, ...]]] = {
    "no certificate": (lambda _: None, ("client didn't provide a certificate",)),
    "expired": (expired, ("x509: certificate has expired", "CN=orders")),
    "another authority": (
        lambda world: pair_of(another_authority(world.key_type), "client/orders/"),
        (UNKNOWN_AUTHORITY, "CN=orders"),
    ),
    "a server as a client": (
        lambda world: pair_of(world.store, "server/nats-1/"),
        (UNKNOWN_AUTHORITY, "CN=nats-1,OU=server"),
    ),
    "a route as a client": (
        lambda world: pair_of(world.store, "route/nats-1/"),
        (UNKNOWN_AUTHORITY, "CN=nats-1,OU=route"),
    ),
    # The configuration has no such user.
    "an unknown identity": (lambda world: pair_of(world.store, "client/operator/"), ("authentication error",)),
}
"""What each of these shows, and what the node logs of it: refused for another reason, it would prove nothing."""


@pytest.mark.parametrize("who", REFUSED)
async def test_a_client_is_refused_for_what_it_is(world: World, tmp_path: Path, who: str) -> None:
    make, words = REFUSED[who]
    node, trusted = world.cluster.nodes[0], trust(world.store, "server-ca.pem")
    before = len(node.log())
    assert await is_refused(node, context(tmp_path, trusted, make(world)))
    await logged(node, before, *words)
    assert not await is_refused(node, context(tmp_path, trusted, pair_of(world.store, "client/orders/")))


async def test_a_client_certificate_does_not_serve(world: World, tmp_path: Path) -> None:
    """A node that was given a service's certificate: no client takes it, whatever name it asks for."""
    (port, monitor) = free_ports(2)
    pair = pair_of(world.store, "client/payments/")
    (tmp_path / "chain").write_bytes(pair.chain_pem)
    (tmp_path / "key").write_bytes(pair.key_pem.reveal())
    config = tmp_path / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}", http: "127.0.0.1:{monitor}"\n'
        f'tls {{ cert_file: "{tmp_path}/chain", key_file: "{tmp_path}/key" }}\n'
    )
    with process(config):
        node = Node("false", tmp_path, port, 0, monitor, ())
        await answers(node)
        secured = context(tmp_path, trust(world.store, "server-ca.pem"), pair_of(world.store, "client/orders/"))
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            await connect(node.url, secured, f"payments.{DOMAIN}")


async def test_a_service_is_itself_whatever_it_says(world: World, tmp_path: Path) -> None:
    secured = context(tmp_path, trust(world.store, "server-ca.pem"), pair_of(world.store, "client/orders/"))
    refused: list[Exception] = []

    async def collect(error: Exception) -> None:
        refused.append(error)

    node = world.cluster.nodes[0]
    async with connected(node, secured, user=f"payments.{DOMAIN}", password="", error_cb=collect) as client:
        (connection,) = [c for c in node.varz("connz?auth=1")["connections"] if c["cid"] == client.client_id]
        assert connection["authorized_user"] == f"orders.{DOMAIN}"
        await client.subscribe("payments.charge")
        await client.publish("payments.private", b"")
        await client.flush()
        for _ in range(50):
            if len(refused) == 2:
                break
            await asyncio.sleep(0.1)
    violations = [str(error).lower().partition("violation for ")[2] for error in refused]
    assert sorted(violation.split()[0] for violation in violations) == ["publish", "subscription"]


def on_route_port(node: Node, secured: ssl.SSLContext) -> bytes:
    """Return the first that a node says to who joins by its route port."""
    secured.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", node.route_port), timeout=10) as plain,
        secured.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b'INFO {"server_id":"x","server_name":"x","cluster":"test"}\r\n')
        if not (said := connection.recv(64)):
            raise ConnectionError("closed without a word")
        return said


async def test_only_route_certificates_are_taken_on_the_route_port(world: World, tmp_path: Path) -> None:
    node, trusted = world.cluster.nodes[0], trust(world.store, "server-ca.pem")
    route = context(tmp_path, trusted, pair_of(world.store, "route/nats-2/"))
    assert on_route_port(node, route).startswith(b"INFO {")
    for prefix, name in {"client/orders/": "CN=orders,OU=client", "server/nats-2/": "CN=nats-2,OU=server"}.items():
        before = len(node.log())
        with pytest.raises((ssl.SSLError, ConnectionError)):
            on_route_port(node, context(tmp_path, trusted, pair_of(world.store, prefix)))
        await logged(node, before, "TLS route handshake error", UNKNOWN_AUTHORITY, name)


async def test_a_service_cannot_join_the_cluster_as_a_node(world: World, tmp_path: Path) -> None:
    """The hole that one authority for all would leave: a node with a service's certificate reads every subject.

    As a node does, this one shows a certificate only to who says that it trusts its authority, and so it shows none here; the
    test above shows it all the same.
    """
    pair = pair_of(world.store, "client/orders/")
    (tmp_path / "chain").write_bytes(pair.chain_pem)
    (tmp_path / "key").write_bytes(pair.key_pem.reveal())
    (tmp_path / "ca").write_text(trust(world.store, "server-ca.pem"))
    node = world.cluster.nodes[0]
    port, route_port, monitor = free_ports(3)
    config = tmp_path / "nats.conf"
    config.write_text(f"""
        server_name: intruder, listen: "127.0.0.1:{port}", http: "127.0.0.1:{monitor}"
        cluster {{
          name: test, listen: "127.0.0.1:{route_port}"
          tls {{ cert_file: "{tmp_path}/chain", key_file: "{tmp_path}/key", ca_file: "{tmp_path}/ca" }}
          routes: ["tls://localhost:{node.route_port}"]
        }}
    """)
    before = len(node.log())
    with process(config):
        intruder = Node("intruder", tmp_path, port, route_port, monitor, ())
        await answers(intruder)
        await logged(node, before, "TLS route handshake error", "client didn't provide a certificate")
        assert intruder.varz("routez")["num_routes"] == 0
        names = {route["remote_name"] for route in node.varz("routez")["routes"]}
        assert names == {"nats-2", "nats-3"}


@contextlib.contextmanager
def process(config: Path) -> Iterator[None]:
    with (config.parent / "log").open("ab") as log:
        child = subprocess.Popen([SERVER, "-c", str(config)], stdout=log, stderr=log)
    try:
        yield
    finally:
        child.kill()
        child.wait(30)


async def answers(node: Node) -> None:
    for _ in range(200):
        try:
            node.varz()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError(f"{node.name} never answered: {node.log()}")


@pytest.mark.parametrize("key_type", [KeyType.P384, KeyType.ED25519])
async def test_the_other_kinds_of_key_connect_too(key_type: KeyType, tmp_path: Path) -> None:
    request = a_request(
        key_type=str(key_type), nodes=[{"name": "nats-1"}], identities=[], shared_node_names=["localhost"]
    )
    store = MemoryStore()
    with running(tmp_path / "nodes", store, ["nats-1"]) as cluster:
        report = bring_about(an_issuer(store, delivery=cluster, observer=cluster), request)
        assert report.exit_code == 0
        trusted = trust(store, "server-ca.pem")
        assert not await is_refused(cluster.nodes[0], context(tmp_path, trusted, pair_of(store, "client/orders/")))
        assert await is_refused(cluster.nodes[0], context(tmp_path, trusted, pair_of(store, "server/nats-1/")))
        route = context(tmp_path, trusted, pair_of(store, "route/nats-1/"))
        assert on_route_port(cluster.nodes[0], route).startswith(b"INFO {")


@dataclass
class Service:
    """A client that takes up new certificates without a gap: it connects anew first, and drains the old connection then."""

    name: str
    urls: list[str]
    store: Store
    folder: Path
    client: Client | None = None
    secured: ssl.SSLContext | None = None
    """What it connects with, until its next refresh."""
    trusts: str = ""
    serves: Served | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an answer is awaited: a connection that is drained takes no more answers."""

    async def refresh(self) -> None:
        """Connect with what the store holds now."""
        prefix = f"client/{self.name}/"
        pointer = pointers(self.store)[prefix]
        record = require_record(self.store).record
        secured = context(self.folder, trust(self.store, "server-ca.pem"), pair_of(self.store, prefix))
        # Always the same node: what is on its way to an old subscription meets the new one there.
        new = await nats.connect(
            self.urls, tls=secured, tls_hostname="localhost", dont_randomize=True, inbox_prefix=f"_INBOX.{self.name}"
        )
        if self.name == "payments":
            await new.subscribe("payments.charge", queue="payments", cb=echo)
            await new.flush()
        async with self.lock:
            before, self.client, self.secured = self.client, new, secured
        self.serves = Served(pointer.certificate.fingerprint, pointer.certificate.not_after)
        self.trusts = record.files["server-ca.pem"].sha256
        if before is not None:
            await before.drain()

    def seen(self) -> Consumer:
        """Return what there is to see of this client."""
        assert self.serves is not None
        return Consumer(f"client/{self.name}", {Profile.CLIENT: self.serves}, {"server-ca.pem": self.trusts})

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()


@dataclass
class Load:
    """Requests without a pause, each of which must be answered, and new connections all the while, which must be taken.

    A node that nobody could connect to any more would not show otherwise: what is connected already stays so.
    """

    fleet: Fleet
    answered: int = 0
    connected: int = 0
    failed: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _ended: bool = False

    @property
    def service(self) -> Service:
        """Who asks."""
        return self.fleet.services[1]

    async def __aenter__(self) -> Self:
        for _ in range(100):  # until the responder's interest has reached the requester's node
            with contextlib.suppress(nats.errors.Error):
                assert self.service.client is not None
                await self.service.client.request("payments.charge", b"", timeout=2)
                break
            await asyncio.sleep(0.05)
        self._tasks = [asyncio.create_task(self._ask()), asyncio.create_task(self._knock())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True  # and not cancelled: nats-py swallows that now and then, and a task would go on for ever
        await asyncio.gather(*self._tasks)

    async def more(self, count: int = 20) -> None:
        """Wait for so many answers more, and one more connection of each service to each node, or for the first failure."""
        answered = self.answered + count
        connected = self.connected + 1 + len(self.fleet.services) * len(self.fleet.cluster.nodes)
        while (self.answered < answered or self.connected < connected) and not self.failed:
            self._news.clear()
            await self._news.wait()

    async def _ask(self) -> None:
        while not self._ended:
            try:
                async with self.service.lock:
                    assert self.service.client is not None
                    answer = await self.service.client.request("payments.charge", b"x", timeout=10)
                self.answered += answer.data == b"x"
            except Exception as error:  # noqa: BLE001  # each one counts
                self.failed.append(repr(error))
            self._news.set()
            await asyncio.sleep(0.005)

    async def _knock(self) -> None:
        for service, node in itertools.cycle(itertools.product(self.fleet.services, self.fleet.cluster.nodes)):
            if self._ended:
                break
            assert service.secured is not None
            try:
                async with connected(node, service.secured) as client:
                    await client.flush()
                self.connected += 1
            except Exception as error:  # noqa: BLE001  # each one counts
                self.failed.append(f"{service.name} to {node.name}: {error!r}")
            self._news.set()
            await asyncio.sleep(0.005)


@dataclass
class Fleet:
    """Nodes and services together, for what takes up a release in all of them."""

    cluster: Cluster
    store: Store
    services: list[Service]
    request: CertificateRequest = REQUEST

    async def take_up(self, *, forced: tuple[str, ...] = ()) -> None:
        """Issue, deliver to the nodes, and have every service refresh itself."""
        issuer = an_issuer(self.store, delivery=self.cluster, observer=self.cluster)
        report = await asyncio.to_thread(bring_about, issuer, self.request, forced=forced)
        assert report.exit_code == 0, report
        for service in self.services:
            await service.refresh()

    async def observe(self) -> Observations:
        seen = await asyncio.to_thread(self.cluster.observe)
        return Observations(
            datetime.now(UTC), (*seen.consumers, *(s.seen() for s in self.services)), frozenset({"client/operator"})
        )

    async def advance(self, to: Phase) -> None:
        seen = await self.observe()
        await asyncio.to_thread(advance, self.store, to, seen, datetime.now(UTC))


@pytest.fixture
async def fleet(cluster: Cluster, store: DirectoryStore, tmp_path: Path) -> AsyncIterator[Fleet]:
    urls = [node.url for node in cluster.nodes]
    services = []
    for number, name in enumerate(("payments", "orders")):
        folder = tmp_path / name
        folder.mkdir()
        services.append(Service(name, urls[number:] + urls[:number], store, folder))
    try:
        for service in services:
            await service.refresh()
        yield Fleet(cluster, store, services)
    finally:
        for service in services:
            await service.close()


async def test_a_renewal_of_everything_under_load_refuses_nothing(fleet: Fleet) -> None:
    before = pointers(fleet.store)
    async with Load(fleet) as load:
        await load.more()
        await fleet.take_up(forced=tuple(leaf.prefix for leaf in REQUEST.leaves))
        await load.more()
    assert load.failed == []
    assert load.answered >= 40
    after = pointers(fleet.store)
    assert all(after[prefix].certificate != before[prefix].certificate for prefix in before)
    assert fleet.cluster.is_whole()


async def test_a_rollover_of_the_whole_authority_under_load_refuses_nothing(fleet: Fleet) -> None:
    old = require_record(fleet.store).record.issuing
    async with Load(fleet) as load:
        await load.more()
        await asyncio.to_thread(
            begin,
            fleet.store,
            REQUEST,
            passphrase=lambda: Passphrase(PASSPHRASE),
            sources=Sources(),
            requester="a test",
        )
        with pytest.raises(Exception, match="does not trust both yet"):
            await fleet.advance(Phase.ISSUE_BY_NEW)
        await fleet.take_up()
        await fleet.advance(Phase.ISSUE_BY_NEW)
        await load.more()
        with pytest.raises(Exception, match="has a live connection with the certificate"):
            await fleet.advance(Phase.NOBODY_ON_OLD)
        await fleet.take_up()
        await load.more()
        await fleet.advance(Phase.NOBODY_ON_OLD)
        await fleet.advance(Phase.STEADY)
        await fleet.take_up()
        await load.more()
    assert load.failed == []
    assert load.answered >= 80
    record = require_record(fleet.store).record
    assert [authority.id for authority in record.authorities] != [old]
    assert len(record.authorities) == 1
    assert fleet.cluster.is_whole()


async def test_after_the_rollover_the_old_authority_lets_nobody_in(fleet: Fleet, tmp_path: Path) -> None:
    kept = pair_of(fleet.store, "client/orders/")
    await asyncio.to_thread(
        begin, fleet.store, REQUEST, passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(), requester="a test"
    )
    await fleet.take_up()
    node = fleet.cluster.nodes[0]
    assert not await is_refused(node, context(tmp_path, trust(fleet.store, "server-ca.pem"), kept))
    await fleet.advance(Phase.ISSUE_BY_NEW)
    await fleet.take_up()
    await fleet.advance(Phase.NOBODY_ON_OLD)
    await fleet.advance(Phase.STEADY)
    await fleet.take_up()
    assert await is_refused(node, context(tmp_path, trust(fleet.store, "server-ca.pem"), kept))
