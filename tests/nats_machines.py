"""NATS machines on this machine: each boots for real, by the packed agent, in a folder that it takes for the root of its disk.

What a machine has of AWS and systemd are stand-ins: buckets are folders, and units are run by the test's own process, so that all
that was started ends with it. Server, TLS, configuration and JetStream are the real ones.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import platform
import shutil
import signal
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from catalog import load_catalog, load_environment, names
from catalog.cluster import cluster_request
from catalog.identities import certificate_request
from nats_platform.agent import build_agent
from nats_platform.configuration import Place, render
from nats_platform.packages import Package
from nats_platform.permissions import User, wanted_users
from nats_platform.request import ClusterRequest
from nats_platform.server_package import Architecture, build_server_package
from tests.certificates import PASSPHRASE
from tests.ports import free_ports
from tls import CertificateRequest, DirectoryStore, Issuer, Passphrase, bring_about

ROOT = Path(__file__).parents[1]
NODES = names.NATS_NODES
DEADLINE_SECONDS = 60
BUCKET, CERTIFICATES = "cluster-bucket", "certificates-bucket"
ENVIRONMENT = load_environment("local")

# What the machine's image has: each finds its folder by the name that it was called with.
AWS = """#!/bin/bash
set -u
buckets=@BUCKETS@
key= version= bucket=
for word in "$@"; do case "$word" in --key=*) key=${word#*=} ;; --version-id=*) version=${word#*=} ;; --log-events=*) events=${word#*=} ;;
  --log-group-name=*) group=${word#*=} ;; --log-stream-name=*) stream=${word#*=} ;; esac; done
place() { echo "$buckets/${1#s3://}"; }
missing() { echo "An error occurred (NoSuchKey) when calling the GetObject operation: $1" >&2; exit 254; }
echo "$*" >> "@ROOT@/aws-calls"
case "$1 $2" in
  "s3api get-object")
    while [[ "$1" != --bucket ]]; do shift; done
    source="$buckets/$2/$key"; target=; for word in "$@"; do case "$word" in /*) target=$word ;; esac; done
    [[ -f "$source" ]] || missing "$key"
    if [[ -n "$version" && "v-$(sha256sum < "$source" | cut -d' ' -f1)" != "$version" ]]; then missing "$key $version"; fi
    cat "$source" > "$target" ;;
  "s3 cp")
    from=${@: -2:1} to=${@: -1}
    if [[ "$from" == - ]]; then
      target=$(place "$to"); mkdir -p "$(dirname "$target")"
      [[ -e "@ROOT@/refuse-writes" && "$target" == *"$(< "@ROOT@/refuse-writes")"* ]] && { echo "AccessDenied: no" >&2; exit 1; }
      cat > "$target.part" && mv "$target.part" "$target"
    else source=$(place "$from"); [[ -f "$source" ]] || missing "$from"; cat "$source"; fi ;;
  "logs create-log-stream") mkdir -p "@ROOT@/logs/$(dirname "$stream")"; touch "@ROOT@/logs/$stream" ;;
  "logs put-log-events")
    [[ -e "@ROOT@/logs/$stream" ]] || { echo "An error occurred (ResourceNotFoundException)" >&2; exit 254; }
    cat "${events#file://}" >> "@ROOT@/logs/$stream"; echo >> "@ROOT@/logs/$stream" ;;
  *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"""
MOUNTPOINT = """#!/bin/bash
[[ -e "@ROOT@/mounted" ]]
"""
JOURNALCTL = """#!/bin/bash
for word in "$@"; do case "$word" in --after-cursor=*) after=${word#*=} ;; esac; done
[[ -e "@ROOT@/journal" ]] || exit 0
if [[ -n "${after:-}" ]]; then sed "1,/\\"__CURSOR\\":\\"$after\\"/d" "@ROOT@/journal"; else cat "@ROOT@/journal"; fi
"""
SYSTEMCTL = """#!@PYTHON@
import socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("@SOCKET@")
    asked.sendall(" ".join(sys.argv[1:]).encode() + b"\\n")
    code, _, told = asked.makefile().read().partition(" ")
sys.stderr.write(told)
sys.exit(int(code))
"""


def waited_for(question: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if question():
                return
        time.sleep(0.05)
    raise AssertionError(f"it never came that {what}")


class Systemd(socketserver.ThreadingUnixStreamServer):
    """Runs the server of one machine, as its unit says, in place of systemd."""

    daemon_threads = True

    def __init__(self, root: Path, address: str) -> None:
        super().__init__(address, _Asked)
        self.root = root
        self.calls: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def do(self, words: list[str]) -> str:
        """Do what systemctl was asked; return its exit code and what it says."""
        self.calls.append(" ".join(words))
        if words[0] == "start":
            self.start()
        elif words[0] == "stop" and self.is_running():
            assert self.process is not None
            self.process.send_signal(signal.SIGUSR2)
            self.process.wait(DEADLINE_SECONDS * 2)
        return "0 "

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server by its unit, where the disk is mounted and it does not run."""
        with self._lock:
            if self.is_running() or not (self.root / "mounted").exists():
                return
            unit = (self.root / "etc/systemd/system/nats-server.service").read_text().splitlines()
            told = dict(line.split("=", 1) for line in unit if "=" in line and not line.startswith("#"))
            (self.root / "run/nats").mkdir(parents=True, exist_ok=True)
            name, _, value = told["Environment"].partition("=")
            with (self.root / "server.log").open("ab") as log:
                self.process = subprocess.Popen(
                    told["ExecStart"].split(), stdout=log, stderr=log, env={**os.environ, name: value}
                )

    def end(self) -> None:
        """End everything."""
        self.shutdown()
        self.server_close()
        self.kill()

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(DEADLINE_SECONDS)


class _Asked(socketserver.StreamRequestHandler):
    server: Systemd

    def handle(self) -> None:
        words = self.rfile.readline().decode().split()
        with contextlib.suppress(BrokenPipeError):  # who asked was killed
            self.wfile.write(self.server.do(words).encode())


@dataclass
class Machine:
    """One machine: a root, ports, and what stands for its AWS and its systemd."""

    node: str
    root: Path
    buckets: Path
    port: int
    route_port: int
    monitor_port: int
    agent_path: Path
    systemd: Systemd = field(init=False)

    def __post_init__(self) -> None:
        self.make()

    def make(self) -> None:
        """Make it as it is before its first boot: an image, with the data disk mounted."""
        tools = self.root / "tools"
        tools.mkdir(parents=True, exist_ok=True)
        # A path of a socket has a hundred characters at most.
        self._sockets = tempfile.mkdtemp(prefix="nats-")
        address = f"{self._sockets}/systemd"
        replaced = {
            "@ROOT@": str(self.root),
            "@BUCKETS@": str(self.buckets),
            "@PYTHON@": sys.executable,
            "@SOCKET@": address,
        }
        scripts = {"aws": AWS, "mountpoint": MOUNTPOINT, "journalctl": JOURNALCTL, "systemctl": SYSTEMCTL}
        for name, text in scripts.items():
            path = tools / name
            path.write_text(functools.reduce(lambda done, pair: done.replace(*pair), replaced.items(), text))
            path.chmod(0o755)
        (self.root / "mounted").touch()
        (self.root / "var/lib/nats").mkdir(parents=True, exist_ok=True)
        self.systemd = Systemd(self.root, address)

    @property
    def place(self) -> Place:
        """Where its server stands."""
        return Place(
            address="127.0.0.1",
            client_port=self.port,
            route_port=self.route_port,
            monitor_port=self.monitor_port,
            tls=f"{self.root}/etc/nats/tls/current",
            store=f"{self.root}/var/lib/nats/jetstream",
            pid_file=f"{self.root}/run/nats/nats.pid",
        )

    @property
    def variables(self) -> dict[str, str]:
        """What its user data have written down, and what is another in tests."""
        own = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        return {
            "PATH": f"{self.root}/tools:/usr/bin:/bin",
            "NODE": self.node,
            "NODES": " ".join(NODES),
            "ENVIRONMENT": "test",
            "REGION": "eu-west-1",
            "BUCKET": BUCKET,
            "CERTIFICATES_BUCKET": CERTIFICATES,
            "NODE_DOMAIN": names.NATS_DOMAIN,
            "LOG_GROUP": "/nats/test",
            "ROOT": str(self.root),
            "NATS_MONITOR": f"http://127.0.0.1:{self.monitor_port}",
            "NATS_CLIENT_PORT": str(self.port),
            "NATS_OWNER": own,
            "PROOF_SECONDS": "2",
        }

    def begin(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """Start a command of the agent."""
        return subprocess.Popen(
            [sys.executable, str(self.agent_path), *words],
            env=self.variables | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the agent."""
        child = self.begin(*words, **changes)
        try:
            told = child.communicate(timeout=DEADLINE_SECONDS * 3)
        finally:
            child.kill()
            child.wait()
        return subprocess.CompletedProcess(words, child.returncode, *told)

    def json(self, *words: str, **changes: str) -> Any:
        """Run a command that ends well, and return what it tells last."""
        done = self.run(*words, **changes)
        assert done.returncode == 0, done
        return json.loads(done.stdout.splitlines()[-1])

    def get(self, path: str) -> Any:
        """Return what the server's monitoring says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}{path}", timeout=5) as answer:
            return json.load(answer)

    def reload(self) -> None:
        """Have the server read its configuration anew; it has on return."""
        before = self.get("/varz")["config_load_time"]
        assert self.systemd.process is not None
        self.systemd.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.get("/varz")["config_load_time"] == before:
            assert time.monotonic() < deadline, f"{self.node} never reloaded: {self.log()[-2000:]}"
            time.sleep(0.05)

    def log(self) -> str:
        return (self.root / "server.log").read_text(errors="replace")

    def sent(self, stream: str) -> list[dict[str, Any]]:
        """Return the events that CloudWatch was sent."""
        lines = (self.root / "logs" / self.node / stream).read_text().splitlines()
        return [event for line in lines if line for event in json.loads(line)]

    def replace(self) -> None:
        """Have a new machine in its slot: nothing stays but the disk with the data."""
        self.systemd.kill()
        for path in self.root.iterdir():
            if path.name not in {"tools", "var", "mounted", "server.log"}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def end(self) -> None:
        self.systemd.end()
        shutil.rmtree(self._sockets)


@dataclass
class Machines:
    """Three machines and the buckets that they read."""

    folder: Path
    request: ClusterRequest
    users: tuple[User, ...]
    agent: Package
    server: Package
    machines: dict[str, Machine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = iter(free_ports(3 * len(NODES)))
        for node in NODES:
            root = self.folder / node
            self.machines[node] = Machine(
                node, root, self.buckets, next(ports), next(ports), next(ports), self.agent.path
            )
        assets = self.buckets / BUCKET / "assets"
        assets.mkdir(parents=True)
        for package in (self.agent, self.server):
            (assets / package.sha256).symlink_to(package.path)
        self.write_current({node: self.configuration(node) for node in NODES})

    @property
    def buckets(self) -> Path:
        return self.folder / "buckets"

    def __getitem__(self, node: str) -> Machine:
        return self.machines[node]

    def configuration(self, node: str, users: tuple[User, ...] | None = None) -> str:
        """Return exactly what is rendered for a node."""
        routes = {name: f"localhost:{machine.route_port}" for name, machine in self.machines.items()}
        place = dataclasses.replace(self.machines[node].place, routes=routes)
        return render(self.request, self.users if users is None else users, node, place)

    def put_configuration(self, node: str, text: str) -> dict[str, str]:
        """Put a configuration into the bucket; return where it is."""
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        key = f"configuration/{node}/{sha256}.conf"
        path = self.buckets / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return {"key": key, "version_id": f"v-{sha256}", "sha256": sha256}

    def write_current(self, configurations: Mapping[str, str]) -> None:
        """Say what the machines are to be."""
        current = {
            "version": 1,
            "server": {"bucket": BUCKET, "key": f"assets/{self.server.sha256}", "sha256": self.server.sha256},
            "agent": {"bucket": BUCKET, "key": f"assets/{self.agent.sha256}", "sha256": self.agent.sha256},
            "configuration": {node: self.put_configuration(node, text) for node, text in configurations.items()},
        }
        (self.buckets / BUCKET / "current.json").write_text(json.dumps(current))

    def boot(self, *nodes: str) -> None:
        """Boot machines side by side, and see that each ended well."""
        children = {node: self[node].begin("boot") for node in nodes or NODES}
        try:
            for node, child in children.items():
                told = child.communicate(timeout=DEADLINE_SECONDS)
                assert child.returncode == 0, (node, told, self[node].log())
        finally:
            for child in children.values():
                child.kill()
                child.wait()

    def wait_until_whole(self) -> None:
        """Wait until each node has routes to all others, a meta leader, and nothing to complain of."""
        waited_for(lambda: all(self._is_whole(machine) for machine in self.machines.values()), "the cluster was whole")

    def _is_whole(self, machine: Machine) -> bool:
        routes = {route["remote_name"] for route in machine.get("/routez").get("routes") or []}
        meta = machine.get("/jsz").get("meta_cluster") or {}
        machine.get("/healthz")
        return len(routes) == len(NODES) - 1 and bool(meta.get("leader"))

    def meta_leader(self) -> str:
        """Return who leads JetStream."""
        found = [machine for machine in self.machines.values() if machine.systemd.is_running()]
        return str((found[0].get("/jsz").get("meta_cluster") or {}).get("leader") or "")

    def stream_leader(self, name: str) -> str:
        """Return who leads a stream."""
        (account,) = self[NODES[0]].get("/jsz?streams=1")["account_details"]
        return next(str(stream["cluster"]["leader"]) for stream in account["stream_detail"] if stream["name"] == name)

    def context(self, name: str) -> ssl.SSLContext:
        """Return what a client of ours connects with."""
        bucket = self.buckets / CERTIFICATES
        record = json.loads((bucket / "ca/certificates/current.json").read_text())
        pointer = json.loads((bucket / f"client/{name}/current.json").read_text())
        context = ssl.create_default_context(
            cafile=str(bucket / "ca/certificates" / record["version"] / "server-ca.pem")
        )
        place = bucket / "client" / name / pointer["version"]
        context.load_cert_chain(place / "chain.pem", place / "key.pem")
        return context

    async def connect(self, name: str, *nodes: str, **options: Any) -> Client:
        """Connect a service or a reserved identity, to all nodes or to some."""

        async def unheard(_: Exception) -> None: ...

        servers = [f"tls://localhost:{self[node].port}" for node in nodes or NODES]
        settings: dict[str, Any] = {
            "tls": self.context(name),
            "inbox_prefix": f"_INBOX.{name}",
            "reconnect_time_wait": 0.05,
            "max_reconnect_attempts": -1,
            "error_cb": unheard,
        }
        return await nats.connect(servers=servers, **{**settings, **options})

    def end(self) -> None:
        for machine in self.machines.values():
            machine.end()


@functools.cache
def issued(folder: Path) -> Path:
    """Issue every certificate of the catalog once, as a bucket would hold them: each file with a version id."""
    plain = {
        **certificate_request(load_catalog(ROOT / "service_catalog.yaml"), load_environment("prod")),
        "environment": "test",
        "shared_node_names": ["localhost"],
    }
    store = DirectoryStore(folder / "store")
    bring_about(Issuer(store, lambda: Passphrase(PASSPHRASE), requester="a test"), CertificateRequest.from_plain(plain))
    bucket = folder / "bucket"
    shutil.copytree(folder / "store", bucket)
    for path in bucket.rglob("current.json"):
        pointer = json.loads(path.read_text())
        for file in pointer["files"].values():
            file["version_id"] = f"v-{file['sha256']}"
        path.write_text(json.dumps(pointer))
    return bucket


@contextmanager
def machines(folder: Path, certificates: Path) -> Iterator[Machines]:
    """Have three machines, not booted yet, until the block ends."""
    catalog = load_catalog(ROOT / "service_catalog.yaml")
    request = ClusterRequest.from_plain(cluster_request(catalog, ENVIRONMENT))
    processor: Architecture = "arm64" if platform.machine() == "aarch64" else "x86_64"
    packages = certificates.parent / "packages"
    agent, server = build_agent(packages), build_server_package(processor, packages)
    made = Machines(folder, request, wanted_users(request), agent, server)
    try:
        shutil.copytree(certificates, made.buckets / CERTIFICATES)
        yield made
    finally:
        made.end()


def encoded(plain: object) -> str:
    """Return what a command takes: base64 of JSON."""
    return base64.b64encode(json.dumps(plain).encode()).decode()
