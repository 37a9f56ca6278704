"""A cluster of real NATS nodes on this machine that takes its certificates from a store, and shows what it serves."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.ports import free_ports
from tls import Consumer, Delivered, Delivery, Observations, Profile, Release, Served, Store
from tls.store import AUTHORITY_PREFIX

SERVER = str(Path(sys.executable).with_name("nats-server"))
DEADLINE_SECONDS = 30
DOMAIN = "svc.acme.internal"
PERMISSIONS = {
    "orders": '{ publish: ["payments.charge", "_INBOX.>"], subscribe: ["_INBOX.>"] }',
    "payments": '{ publish: ["_INBOX.>"], subscribe: ["payments.>"] }',
}


@dataclass
class Node:
    """One NATS node."""

    name: str
    folder: Path
    port: int
    route_port: int
    monitor_port: int
    routes: Sequence[int]
    process: subprocess.Popen[bytes] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    trusts: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"tls://localhost:{self.port}"

    @property
    def config(self) -> Path:
        """The configuration that the node reads."""
        return self.folder / "nats.conf"

    def configuration(self, files: Path) -> str:
        """Return a configuration that takes its certificates from a folder."""
        users = "\n".join(f'{{ user: "{name}.{DOMAIN}", permissions: {text} }}' for name, text in PERMISSIONS.items())
        routes = ", ".join(f'"tls://localhost:{port}"' for port in self.routes)
        return f"""
            server_name: {self.name}
            listen: "127.0.0.1:{self.port}"
            http: "127.0.0.1:{self.monitor_port}"
            tls {{ cert_file: "{files}/server.pem", key_file: "{files}/server.key", ca_file: "{files}/client-ca.pem"
                   verify_and_map: true, timeout: 5, min_version: "1.3" }}
            cluster {{
              name: test, listen: "127.0.0.1:{self.route_port}", no_advertise: true
              tls {{ cert_file: "{files}/route.pem", key_file: "{files}/route.key", ca_file: "{files}/route-ca.pem"
                     verify_cert_and_check_known_urls: true, timeout: 5, min_version: "1.3" }}
              routes: [{routes}]
            }}
            accounts {{ APP: {{ users: [{users}] }} }}
        """

    def varz(self, path: str = "varz") -> Any:
        """Return what the node's monitoring says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/{path}", timeout=5) as answer:
            return json.load(answer)

    def start(self) -> None:
        """Start the node."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([SERVER, "-c", str(self.config)], stdout=log, stderr=log)

    def stop(self) -> None:
        """End the node."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE_SECONDS)

    def log(self) -> str:
        """Return what the node logged."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")


def waited_for(question: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            if question():
                return
        except OSError:  # not listening yet
            pass
        time.sleep(0.05)
    raise AssertionError(f"it never came that {what}")


class Cluster(Delivery):
    """Nodes that take up a release one at a time: staged, tested, switched, reloaded, proved."""

    def __init__(self, folder: Path, store: Store, names: Sequence[str]) -> None:
        self._store = store
        ports = free_ports(3 * len(names))
        route_ports = ports[len(names) : 2 * len(names)]
        self.nodes = [
            Node(name, folder / name, ports[number], route_ports[number], ports[2 * len(names) + number], route_ports)
            for number, name in enumerate(names)
        ]

    def deliver(self, release: Release) -> list[Delivered]:
        """Bring every node to a release."""
        return [self._deliver(node, release) for node in self.nodes]

    def observe(self) -> Observations:
        """Look at what the nodes serve and at whom they are connected with."""
        return Observations(datetime.now(UTC), tuple(self._consumer(node) for node in self.nodes))

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.stop()

    def is_whole(self) -> bool:
        """Tell whether every node has routes to all others."""
        others = len(self.nodes) - 1
        return all(len({r["remote_name"] for r in node.varz("routez")["routes"]}) == others for node in self.nodes)

    def _deliver(self, node: Node, release: Release) -> Delivered:
        wanted = {profile: release.pointers[f"{profile}/{node.name}/"].version for profile in ("server", "route")}
        wanted["ca"] = release.record.version
        if node.versions == wanted and node.process is not None:
            return Delivered(node.name, succeeded=True, detail="has it already")
        files = node.folder / "-".join(wanted.values())
        self._stage(node, release, files)
        staged = node.folder / "staged.conf"
        staged.write_text(node.configuration(files), encoding="utf-8")
        tested = subprocess.run(
            [SERVER, "-t", "-c", str(staged)], capture_output=True, text=True, timeout=30, check=False
        )
        if tested.returncode:
            return Delivered(node.name, succeeded=False, detail=tested.stderr)
        staged.replace(node.config)
        if node.process is None:
            node.start()
        else:
            loaded = node.varz()["config_load_time"]
            node.process.send_signal(signal.SIGHUP)
            waited_for(lambda: bool(node.varz()["config_load_time"] != loaded), f"{node.name} reloaded")
        waited_for(lambda: bool(node.varz()), f"{node.name} answered")
        node.versions = wanted
        node.trusts = {name: file.sha256 for name, file in release.record.files.items() if name != "server-ca.pem"}
        return Delivered(node.name, succeeded=True, detail="reloaded")

    def _stage(self, node: Node, release: Release, files: Path) -> None:
        files.mkdir(parents=True, exist_ok=True)
        for profile in ("server", "route"):
            prefix = f"{profile}/{node.name}/"
            version = release.pointers[prefix].version
            for name, target in (("chain.pem", f"{profile}.pem"), ("key.pem", f"{profile}.key")):
                copy(self._store, f"{prefix}{version}/{name}", files / target)
        for name in ("client-ca.pem", "route-ca.pem"):
            copy(self._store, f"{AUTHORITY_PREFIX}{release.record.version}/{name}", files / name)

    def _consumer(self, node: Node) -> Consumer:
        connections = node.varz("connz?auth=1")["connections"]
        # One that has but begun its handshake has shown none yet.
        peers = [c["tls_peer_certs"][0]["cert_sha256"] for c in connections if "tls_peer_certs" in c]
        serves = {
            Profile.SERVER: served(node.port, reads_info=True),
            Profile.ROUTE: served(node.route_port, reads_info=False),
        }
        return Consumer(f"node/{node.name}", serves, node.trusts, tuple(peers))


def copy(store: Store, key: str, to: Path) -> None:
    """Copy an object to a file that only its owner can read."""
    stored = store.read(key)
    assert stored is not None, key
    to.touch(mode=0o600)
    to.write_bytes(stored.data)


def served(port: int, *, reads_info: bool) -> Served:
    """Return the certificate that a port serves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        if reads_info:
            while not plain.recv(4096).endswith(b"\r\n"):
                pass
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            der = secured.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    return Served(certificate.fingerprint(SHA256()).hex(), certificate.not_valid_after_utc)


@contextmanager
def running(folder: Path, store: Store, names: Sequence[str]) -> Iterator[Cluster]:
    """Have a cluster until the block ends; its nodes start with the first delivery."""
    cluster = Cluster(folder, store, names)
    try:
        yield cluster
    finally:
        cluster.stop()
