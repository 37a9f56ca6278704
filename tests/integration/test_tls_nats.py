"""The certificates with real NATS nodes: who gets in, who does not, and that a renewal and a rollover refuse nobody."""

from __future__ import annotations

import asyncio
import contextlib
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
from tests.integration.nats_nodes import DOMAIN, SERVER, Cluster, Node, free_ports, running, waited_for
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


def an_issuer(store: Store, **changes: Any) -> Issuer:
    return replace(Issuer(store, lambda: Passphrase(PASSPHRASE), "a test"), **changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    return DirectoryStore(tmp_path_factory.mktemp("tls") / "store")


@pytest.fixture(scope="module")
def cluster(store: DirectoryStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("nodes"), store, NODES) as cluster:
        report = bring_about(an_issuer(store, delivery=cluster, observer=cluster), REQUEST)
        assert report.exit_code == 0, report
        waited_for(cluster.is_whole, "every node had routes to all others")
        yield cluster


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


async def test_a_service_reaches_another_one_on_another_node(
    cluster: Cluster, store: DirectoryStore, tmp_path: Path
) -> None:
    trusted = trust(store, "server-ca.pem")
    payments = context(tmp_path, trusted, pair_of(store, "client/payments/"))
    orders = context(tmp_path, trusted, pair_of(store, "client/orders/"))
    async with connected(cluster.nodes[0], payments) as responder, connected(cluster.nodes[2], orders) as requester:
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


async def test_a_node_answers_to_its_own_name_and_to_no_other(
    cluster: Cluster, store: DirectoryStore, tmp_path: Path
) -> None:
    secured = context(tmp_path, trust(store, "server-ca.pem"), pair_of(store, "client/orders/"))
    async with connected(cluster.nodes[0], secured, name="nats-1.nats.acme.internal"):
        pass
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await connect(cluster.nodes[0].url, secured, "nats-2.nats.acme.internal")


async def test_a_client_refuses_a_node_of_another_authority(
    cluster: Cluster, store: DirectoryStore, tmp_path: Path
) -> None:
    other = another_authority()
    secured = context(tmp_path, trust(other, "server-ca.pem"), pair_of(store, "client/orders/"))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        await connect(cluster.nodes[0].url, secured)


def another_authority() -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store), REQUEST)
    return store


def expired(store: Store) -> Pair:
    record = require_record(store).record
    signer = issuing_signer(store, record.issuer, Profile.CLIENT, Passphrase(PASSPHRASE))
    leaf = next(leaf for leaf in REQUEST.leaves if leaf.prefix == "client/orders/")
    return issue_leaf(
        leaf, signer, organization="acme", key_type=KeyType.P256, lifetime=timedelta(minutes=-1), sources=Sources()
    )


@pytest.mark.parametrize(
    "who", ["no certificate", "expired", "another authority", "a server as a client", "a route as a client", "an unknown identity"]
)  # fmt: skip
async def test_a_client_is_refused(cluster: Cluster, store: DirectoryStore, tmp_path: Path, who: str) -> None:
    pairs: dict[str, Callable[[], Pair | None]] = {
        "no certificate": lambda: None,
        "expired": lambda: expired(store),
        "another authority": lambda: pair_of(another_authority(), "client/orders/"),
        "a server as a client": lambda: pair_of(store, "server/nats-1/"),
        "a route as a client": lambda: pair_of(store, "route/nats-1/"),
        "an unknown identity": lambda: pair_of(store, "client/operator/"),  # the configuration has no such user
    }
    trusted = trust(store, "server-ca.pem")
    assert await is_refused(cluster.nodes[0], context(tmp_path, trusted, pairs[who]()))
    assert not await is_refused(cluster.nodes[0], context(tmp_path, trusted, pair_of(store, "client/orders/")))


async def test_a_client_certificate_does_not_serve(store: DirectoryStore, cluster: Cluster, tmp_path: Path) -> None:
    """A node that was given a service's certificate: no client takes it, whatever name it asks for."""
    (port, monitor) = free_ports(2)
    pair = pair_of(store, "client/payments/")
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
        secured = context(tmp_path, trust(store, "server-ca.pem"), pair_of(store, "client/orders/"))
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            await connect(node.url, secured, f"payments.{DOMAIN}")
    assert cluster.is_whole()


async def test_a_service_is_itself_whatever_it_says(cluster: Cluster, store: DirectoryStore, tmp_path: Path) -> None:
    secured = context(tmp_path, trust(store, "server-ca.pem"), pair_of(store, "client/orders/"))
    refused: list[Exception] = []

    async def collect(error: Exception) -> None:
        refused.append(error)

    node = cluster.nodes[0]
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


def test_only_route_certificates_are_taken_on_the_route_port(
    cluster: Cluster, store: DirectoryStore, tmp_path: Path
) -> None:
    trusted = trust(store, "server-ca.pem")
    route = context(tmp_path, trusted, pair_of(store, "route/nats-2/"))
    assert on_route_port(cluster.nodes[0], route).startswith(b"INFO {")
    for prefix in ("client/orders/", "server/nats-2/"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            on_route_port(cluster.nodes[0], context(tmp_path, trusted, pair_of(store, prefix)))


async def test_a_service_cannot_join_the_cluster_as_a_node(
    cluster: Cluster, store: DirectoryStore, tmp_path: Path
) -> None:
    """The hole that one authority for all would leave: a node with a service's certificate reads every subject."""
    pair = pair_of(store, "client/orders/")
    (tmp_path / "chain").write_bytes(pair.chain_pem)
    (tmp_path / "key").write_bytes(pair.key_pem.reveal())
    (tmp_path / "ca").write_text(trust(store, "server-ca.pem"))
    port, route_port, monitor = free_ports(3)
    config = tmp_path / "nats.conf"
    config.write_text(f"""
        server_name: intruder, listen: "127.0.0.1:{port}", http: "127.0.0.1:{monitor}"
        cluster {{
          name: test, listen: "127.0.0.1:{route_port}"
          tls {{ cert_file: "{tmp_path}/chain", key_file: "{tmp_path}/key", ca_file: "{tmp_path}/ca" }}
          routes: ["tls://localhost:{cluster.nodes[0].route_port}"]
        }}
    """)
    with process(config):
        intruder = Node("intruder", tmp_path, port, route_port, monitor, ())
        await answers(intruder)
        for _ in range(60):
            if "TLS route handshake error" in cluster.nodes[0].log():
                break
            await asyncio.sleep(0.1)
        assert "TLS route handshake error" in cluster.nodes[0].log()
        assert intruder.varz("routez")["num_routes"] == 0
        names = {route["remote_name"] for route in cluster.nodes[0].varz("routez")["routes"]}
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


@pytest.mark.parametrize("key_type", [KeyType.P384, KeyType.ED25519, KeyType.RSA3072])
async def test_every_kind_of_key_connects(key_type: KeyType, tmp_path: Path) -> None:
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
            before, self.client = self.client, new
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
    """Requests without a pause, each of which must be answered."""

    service: Service
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for _ in range(100):  # until the responder's interest has reached the requester's node
            with contextlib.suppress(nats.errors.Error):
                assert self.service.client is not None
                await self.service.client.request("payments.charge", b"", timeout=2)
                break
            await asyncio.sleep(0.05)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def more(self, count: int = 20) -> None:
        """Wait for so many answers more, or for the first failure."""
        target = self.answered + count
        while self.answered < target and not self.failed:
            self._news.clear()
            await self._news.wait()

    async def _run(self) -> None:
        while True:
            try:
                async with self.service.lock:
                    assert self.service.client is not None
                    answer = await self.service.client.request("payments.charge", b"x", timeout=10)
                self.answered += answer.data == b"x"
            except Exception as error:  # noqa: BLE001  # each one counts
                self.failed.append(repr(error))
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
    async with Load(fleet.services[1]) as load:
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
    async with Load(fleet.services[1]) as load:
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
