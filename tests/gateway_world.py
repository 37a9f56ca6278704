"""The gateway as a process before a real NATS node with the catalog's certificates and permissions, and services that answer as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from catalog import load_catalog, load_environment
from catalog.cluster import cluster_request
from catalog.contract import gateway_routes, service_contract
from gateway.schemas import Schemas
from nats_platform.configuration import Place, render
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest
from sdk import Context, Contract, DirectoryCertificates, InvalidRequestError, NATSClient, Service, Settings, Violation
from tests.nats_world import Node
from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
CATALOG = load_catalog(ROOT / "service_catalog.yaml")
GATEWAY = "http-nats-gateway"
API_KEYS = {role: f"{role}-key-of-the-tests-0123456789" for role in ("player", "operator", "admin")}
"""The key of each role."""
VERIFIER_KEY = "verifier-key-of-the-tests-0123456789"
WAIT_SECONDS = 30
_SCHEMAS = Schemas()

Answer = Callable[[Any, Context], Awaitable[Message]]


def contract_of(name: str) -> Contract:
    """Return a service's contract, as the catalog says it."""
    return Contract.from_json(service_contract(CATALOG, CATALOG.services[name]))


def key(role: str) -> dict[str, str]:
    """Return the headers of a caller with a role."""
    return {"X-Api-Key": API_KEYS[role]}


class World:
    """One NATS node, and services that answer."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self._folder = folder
        self._certificates = certificates
        self.node = Node("nats-1", folder / "nats-1", free_ports(1)[0])
        self.answers: dict[str, Answer] = {}
        """By subject, what answers it; what is not here is answered by an empty reply."""
        self.is_strict = False
        """Whether a request without what its message requires is refused, as real services do."""
        self._running: dict[str, tuple[Service, asyncio.Task[Any]]] = {}
        self._configure()

    def folder(self, name: str) -> Path:
        """Return the folder with a client's certificates."""
        folder = self._folder / name
        if not folder.exists():
            folder.mkdir()
            current = self._newest(f"client/{name}")
            for file in ("chain.pem", "key.pem"):
                shutil.copy(current / file, folder / file)
            shutil.copy(self._newest("ca/certificates") / "server-ca.pem", folder)
        return folder

    def settings(self, name: str) -> Settings:
        """Return what a service is told."""
        return Settings(
            service=name,
            servers=(self.node.url,),
            environment="test",
            contract=contract_of(name),
            certificates=DirectoryCertificates(self.folder(name)),
            health_port=0,
        )

    async def serve(self, *names: str) -> None:
        """Have services answer."""
        for name in names:
            contract = contract_of(name)
            settings = dataclasses.replace(self.settings(name), contract=Contract(serves=contract.serves))
            service = Service(settings, drain_seconds=0.5)  # what still runs is meant never to end
            for subject, endpoint in contract.serves.items():
                service.add_handler(
                    subject,
                    self._answering(subject, endpoint.reply_type()),
                    endpoint.request_type(),
                    endpoint.reply_type(),
                )
            self._running[name] = (service, asyncio.create_task(service.serve()))
        for name in names:
            service, task = self._running[name]
            await until(lambda service=service: service.is_serving, f"{name} served", task)  # type: ignore[misc]

    @asynccontextmanager
    async def serving(self, *names: str) -> AsyncIterator[None]:
        """Have services answer until the block ends."""
        try:
            await self.serve(*names)
            yield
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Let all services end."""
        running, self._running = self._running, {}
        for service, _ in running.values():
            service.stop()
        await asyncio.gather(*(task for _, task in running.values()))

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[NATSClient]:
        """Have a client with a service's identity."""
        async with NATSClient(self.settings(name)) as made:
            yield made

    def variables(self, **changes: str) -> dict[str, str]:
        """Return what the gateway's container is told; without the limits that a test would run into unawares."""
        keys = [
            {"id": f"{role}-1", "sha256": hashlib.sha256(text.encode()).hexdigest(), "roles": [role]}
            for role, text in API_KEYS.items()
        ]
        return {
            "PATH": os.environ["PATH"],
            "SERVICE_NAME": GATEWAY,
            "FLEET_ENVIRONMENT": "test",
            "NATS_SERVERS": self.node.url,
            "CERTIFICATES_DIRECTORY": str(self.folder(GATEWAY)),
            "SERVICE_CONTRACT": service_contract(CATALOG, CATALOG.services[GATEWAY]),
            "GATEWAY_ROUTES": gateway_routes(CATALOG),
            "GATEWAY_API_KEYS": json.dumps(keys),
            "GATEWAY_VERIFIER_KEY": VERIFIER_KEY,
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": "0",
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": "0",
            "GATEWAY_RATE_A_CALLER": "0",
            "GATEWAY_LEAVE_SECONDS": "0",
            "GATEWAY_TRUSTED_PROXIES": "0",
            **changes,
        }

    def _answering(self, subject: str, reply_type: type[Message]) -> Answer:
        async def answer(request: Message, context: Context) -> Message:
            given = self.answers.get(subject)
            if given is not None:
                return await given(request, context)
            missing = [each.json_name for each in request.DESCRIPTOR.fields if _is_missing(request, each)]
            if missing and self.is_strict:
                raise InvalidRequestError(violations=[Violation(name, "is missing") for name in missing])
            return reply_type()

        return answer

    def _configure(self) -> None:
        request = ClusterRequest.from_plain(cluster_request(CATALOG, load_environment("local")))
        tls = self.node.folder / "tls"
        tls.mkdir(parents=True)
        current = self._newest("server/nats-1")
        for file in ("chain.pem", "key.pem"):
            shutil.copy(current / file, tls / f"server-{file}")
        shutil.copy(self._newest("ca/certificates") / "client-ca.pem", tls)
        place = Place(
            address="127.0.0.1",
            client_port=self.node.port,
            monitor_port=free_ports(1)[0],
            tls=str(tls),
            store=str(self.node.folder / "jetstream"),
            pid_file=str(self.node.folder / "pid"),
        )
        text = render(request, wanted_users(request), self.node.name, place)
        # Between a client and a node; that a cluster forms is shown elsewhere.
        alone = re.sub(r"^cluster: \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
        (self.node.folder / "nats.conf").write_text(alone, encoding="utf-8")

    def _newest(self, place: str) -> Path:
        pointer = json.loads((self._certificates / place / "current.json").read_text())
        return self._certificates / place / str(pointer["version"])


def _is_missing(request: Message, field: Any) -> bool:
    if field.is_repeated or not _SCHEMAS.is_required(field):
        return False
    return not (request.HasField(field.name) if field.has_presence else getattr(request, field.name))


@contextmanager
def world(folder: Path, certificates: Path) -> Iterator[World]:
    """Have a node until the block ends."""
    made = World(folder, certificates)
    try:
        made.node.start()
        yield made
    finally:
        made.node.kill()


async def until(question: Callable[[], bool], what: str, task: asyncio.Task[Any] | None = None) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was, or what was to bring it about has ended.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not question():
        if task is not None and task.done():
            await task
        if time.monotonic() > deadline:
            raise AssertionError(f"it never came that {what}")
        await asyncio.sleep(0.01)


@dataclass
class Gateway:
    """The gateway's process."""

    process: asyncio.subprocess.Process
    log_path: Path
    port: int = 0
    health_port: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def health_url(self) -> str:
        """Where it tells of its health."""
        return f"http://127.0.0.1:{self.health_port}"

    def log(self) -> str:
        """Return all that it wrote."""
        return self.log_path.read_text("utf-8", "replace")

    def logged(self) -> list[dict[str, Any]]:
        """Return its lines of log."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def terminate(self) -> None:
        """Tell it to end."""
        self.process.send_signal(signal.SIGTERM)


@asynccontextmanager
async def gateway(world: World, log_path: Path, **changes: str) -> AsyncIterator[Gateway]:
    """Have a gateway that listens, and is connected to NATS, until the block ends."""
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", cwd=ROOT, env=world.variables(**changes), stdout=log, stderr=log
        )
    made = Gateway(process, log_path)
    try:
        await until(lambda: '"listening"' in made.log() or process.returncode is not None, "it listened")
        assert process.returncode is None, made.log()
        line = next(each for each in made.logged() if each.get("text") == "listening")
        made.port, made.health_port = line["port"], line["health_port"]
        await _until_ready(made)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _until_ready(made: Gateway) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.health_port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        if answer.startswith(b"HTTP/1.1 200"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"it never became healthy: {made.log()}")
