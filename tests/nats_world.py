"""Real NATS nodes with mutual TLS and the permissions that the platform gives, for the tests of what runs on them.

A world has one authority, a few services with their contracts, and nodes that can be killed, stopped, started and sent away.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import nats.js.api
import psutil

from nats_platform.configuration import Place, render
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest
from sdk import Contract, DirectoryCertificates, Settings
from sdk.contract import Endpoint, Event
from tests.certificates import PASSPHRASE, MemoryStore
from tests.ports import free_ports
from tests.rollovers import all_on
from tls import (
    CertificateRequest,
    Issuer,
    Passphrase,
    Phase,
    Profile,
    Sources,
    advance,
    begin,
    bring_about,
    require_record,
)
from tls.authority import issue_leaf
from tls.authority_store import issuing_signer
from tls.keys import KeyType, to_pem
from tls.pairs import hold
from tls.store import AUTHORITY_PREFIX

SERVER = str(Path(sys.executable).with_name("nats-server"))
DEADLINE_SECONDS = 20
DOMAIN = "svc.test.internal"
PATIENCE_SECONDS = 30.0
"""How long the contract lets a call take: a test that is about time says its own, and a busy machine fails none of the others."""
GET = "quest.get"
"""Idempotent, answered within its time."""
ACCEPT = "quest.accept"
"""The same, and not idempotent."""
NOBODY = "quest.nobody"
"""Asked by the caller, answered by nobody."""

_QUEST = "gaming.game.v1"


def _endpoint(subject: str, verb: str, *, idempotent: bool) -> Endpoint:
    return Endpoint(subject, f"{_QUEST}.{verb}QuestRequest", f"{_QUEST}.{verb}QuestReply", PATIENCE_SECONDS, idempotent)


ENDPOINTS = {
    GET: _endpoint(GET, "Get", idempotent=True),
    ACCEPT: _endpoint(ACCEPT, "Accept", idempotent=False),
    NOBODY: _endpoint(NOBODY, "Get", idempotent=False),
}
EVENT = Event("quest.changed", f"{_QUEST}.Quest")
STORED = Event("quest.stored", f"{_QUEST}.Quest")
CONTRACTS = {
    "caller-nats": Contract(
        calls=ENDPOINTS,
        publishes={EVENT.subject: EVENT, STORED.subject: STORED},
        streams={"QUESTS": {"subjects": [STORED.subject]}},
        buckets={"notes": {}},
    ),
    "quest-nats": Contract(
        serves={GET: ENDPOINTS[GET], ACCEPT: ENDPOINTS[ACCEPT]},
        subscribes={EVENT.subject: EVENT},
        consumers={"quest-worker": {"stream": "QUESTS", "filter_subjects": [STORED.subject]}},
    ),
}


class Node:
    """One NATS server."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"tls://localhost:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([SERVER, "-c", str(self.folder / "nats.conf")], stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"{self.name} never listened: {(self.folder / 'log').read_text()[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that stops it has done so on return."""
        assert self._process is not None
        self._process.send_signal(number)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while number is signal.SIGSTOP and psutil.Process(self._process.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, f"{self.name} never stopped"
            time.sleep(0.001)

    def reload(self) -> None:
        """Have it read its files anew; it has on return."""
        log = self.folder / "log"
        done = "Reloaded server configuration"
        before = log.read_text().count(done)
        self.signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while log.read_text().count(done) == before:
            assert time.monotonic() < deadline, f"{self.name} never reloaded: {log.read_text()[-2000:]}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, paused or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_SECONDS)
            self._process = None


class World:
    """An authority, services and nodes."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self._folder = folder
        names = [f"nats-{number + 1}" for number in range(nodes)]
        self._request = CertificateRequest.from_plain(
            {
                "environment": "test",
                "organization": "acme",
                "client_domain": DOMAIN,
                "node_domain": "nats.test.internal",
                "nodes": [{"name": name} for name in names],
                "services": sorted(CONTRACTS),
                "identities": ["loadtest", "provisioner"],
                "shared_node_names": ["localhost"],
            }
        )
        self._store = MemoryStore()
        issuer = Issuer(self._store, lambda: Passphrase(PASSPHRASE), "a test")
        report = bring_about(issuer, self._request)
        assert report.exit_code == 0, report
        self._cluster = _cluster_request(names)
        self.nodes = [Node(name, folder / name, port) for name, port in zip(names, free_ports(nodes), strict=True)]
        for node in self.nodes:
            self._configure(node)
        for name in (*CONTRACTS, "loadtest", "provisioner"):
            self._write_client(name)

    @property
    def node(self) -> Node:
        """The only node, or the first."""
        return self.nodes[0]

    def certificates(self, name: str) -> Path:
        """Return the folder with a client's certificates."""
        return self._folder / "clients" / name

    def settings(self, name: str, **changes: Any) -> Settings:
        """Return what a service is told."""
        given: dict[str, Any] = {
            "service": name,
            "servers": tuple(node.url for node in self.nodes),
            "environment": "test",
            "contract": CONTRACTS[name],
            "certificates": DirectoryCertificates(self.certificates(name), poll_seconds=0.05),
            "health_port": 0,
        }
        return Settings(**given | changes)

    def variables(self, name: str) -> dict[str, str]:
        """Return the same as the environment of a process."""
        contract = CONTRACTS[name]
        plain = {
            "serves": {subject: _plain(endpoint) for subject, endpoint in contract.serves.items()},
            "calls": {subject: _plain(endpoint) for subject, endpoint in contract.calls.items()},
            "subscribes": {subject: {"message": event.message} for subject, event in contract.subscribes.items()},
            "consumers": dict(contract.consumers),
            "buckets": dict(contract.buckets),
        }
        return {
            "SERVICE_NAME": name,
            "FLEET_ENVIRONMENT": "test",
            "NATS_SERVERS": ",".join(node.url for node in self.nodes),
            "CERTIFICATES_DIRECTORY": str(self.certificates(name)),
            "SERVICE_CONTRACT": json.dumps(plain),
            "HEALTH_PORT": "0",
        }

    def renew(self, name: str) -> str:
        """Issue a client's certificate anew; return its serial in hexadecimal, as a server logs it."""
        record = require_record(self._store).record
        signer = issuing_signer(self._store, record.issuer, Profile.CLIENT, Passphrase(PASSPHRASE))
        leaf = next(leaf for leaf in self._request.leaves if leaf.prefix == f"client/{name}/")
        pair = issue_leaf(
            leaf,
            signer,
            organization="acme",
            key_type=KeyType.P256,
            lifetime=timedelta(days=30),
            sources=Sources(lambda: datetime.now(UTC)),
        )
        self._write_pair(self.certificates(name), pair.chain_pem, to_pem(pair.key).reveal())
        return f"{pair.certificate.serial_number:x}"

    def roll_over(self) -> Iterator[Phase]:
        """Replace the whole authority; yield each phase once the nodes have taken it up and the clients' files have changed."""
        passphrase = Passphrase(PASSPHRASE)
        begin(self._store, self._request, passphrase=lambda: passphrase, sources=Sources(), requester="a test")
        self._take_up()
        yield Phase.TRUST_BOTH
        self._advance(Phase.ISSUE_BY_NEW)
        bring_about(Issuer(self._store, lambda: passphrase, "a test"), self._request)
        self._take_up()
        yield Phase.ISSUE_BY_NEW
        self._advance(Phase.NOBODY_ON_OLD)
        self._advance(Phase.STEADY)
        self._take_up()
        yield Phase.STEADY

    async def provision(self) -> None:
        """Make the streams, consumers and buckets of the contracts."""
        context = DirectoryCertificates(self.certificates("provisioner")).fetch().context()
        client = await nats.connect(
            self.node.url, tls=context, inbox_prefix="_INBOX.provisioner", allow_reconnect=False
        )
        try:
            stream = client.jetstream()
            await stream.add_stream(name="QUESTS", subjects=[STORED.subject])
            worker = nats.js.api.ConsumerConfig(
                durable_name="quest-worker", ack_policy=nats.js.api.AckPolicy.EXPLICIT, ack_wait=2
            )
            await stream.add_consumer("QUESTS", worker)
            await stream.create_key_value(bucket="notes", history=3, direct=True)
        finally:
            await client.close()

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.kill()

    def _advance(self, to: Phase) -> None:
        now = datetime.now(UTC)
        advance(self._store, to, all_on(self._store, now), now)

    def _take_up(self) -> None:
        """Give the nodes what the store holds, and then the clients."""
        for node in self.nodes:
            self._write_node(node)
            node.reload()
        for name in (*CONTRACTS, "loadtest", "provisioner"):
            self._write_client(name)

    def _write_node(self, node: Node) -> Path:
        tls = node.folder / "tls"
        tls.mkdir(parents=True, exist_ok=True)
        held = hold(self._store, [f"server/{node.name}/"])[f"server/{node.name}/"]
        assert held.pair is not None
        self._write_pair(tls, held.pair.chain_pem, to_pem(held.pair.key).reveal(), prefix="server-")
        (tls / "client-ca.pem").write_bytes(self._authority("client-ca.pem"))
        return tls

    def _configure(self, node: Node) -> None:
        tls = self._write_node(node)
        place = Place(
            address="127.0.0.1",
            client_port=node.port,
            monitor_port=free_ports(1)[0],
            tls=str(tls),
            store=str(node.folder / "jetstream"),
            pid_file=str(node.folder / "pid"),
        )
        text = render(self._cluster, wanted_users(self._cluster), node.name, place)
        # JetStream in a cluster wants three nodes; what is tried here is between a client and a node.
        alone = re.sub(r"^cluster: \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
        (node.folder / "nats.conf").write_text(alone, encoding="utf-8")

    def _write_client(self, name: str) -> None:
        held = hold(self._store, [f"client/{name}/"])[f"client/{name}/"]
        assert held.pair is not None
        folder = self.certificates(name)
        folder.mkdir(parents=True, exist_ok=True)
        self._write_pair(folder, held.pair.chain_pem, to_pem(held.pair.key).reveal())
        (folder / "server-ca.pem").write_bytes(self._authority("server-ca.pem"))

    def _authority(self, name: str) -> bytes:
        stored = self._store.read(f"{AUTHORITY_PREFIX}{require_record(self._store).record.version}/{name}")
        assert stored is not None
        return stored.data

    @staticmethod
    def _write_pair(folder: Path, chain: bytes, key: bytes, prefix: str = "") -> None:
        for name, data in (("chain.pem", chain), ("key.pem", key)):
            path = folder / f"{prefix}{name}"
            path.touch(mode=0o600)
            path.write_bytes(data)


@contextmanager
def world(folder: Path, *, nodes: int = 1, started: bool = True) -> Iterator[World]:
    """Have a world until the block ends."""
    made = World(folder, nodes)
    try:
        if started:
            for node in made.nodes:
                node.start()
        yield made
    finally:
        made.stop()


def _cluster_request(names: Sequence[str]) -> ClusterRequest:
    services: Mapping[str, Any] = {
        name: {
            "serves": {subject: _plain(endpoint) for subject, endpoint in contract.serves.items()},
            "calls": list(contract.calls),
            "publishes": list(contract.publishes),
            "subscribes": list(contract.subscribes),
            "streams": list(contract.streams),
            "consumers": dict(contract.consumers),
            "buckets": list(contract.buckets),
        }
        for name, contract in CONTRACTS.items()
    }
    return ClusterRequest.from_plain(
        {
            "environment": "test",
            "node_domain": "nats.test.internal",
            "client_domain": DOMAIN,
            "nodes": [{"name": name, "zone": f"zone-{name}"} for name in names],
            "limits": {
                "store_bytes": 64 * 2**20,
                "max_payload_bytes": 2**20,
                "max_connections": 1000,
                "sync_always": False,
            },
            "services": services,
            "streams": {},
            "consumers": {},
            "buckets": {},
        }
    )


def _plain(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "request": endpoint.request,
        "reply": endpoint.reply,
        "timeout_seconds": endpoint.timeout_seconds,
        "idempotent": endpoint.idempotent,
    }
