"""Reference services on a real NATS server, with the certificates, permissions, streams and buckets that the catalog gives them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nats

from catalog import Catalog, names
from catalog.cluster import cluster_request
from catalog.contract import service_contract
from nats_platform.configuration import Place, render
from nats_platform.node.jetstream import JetStream
from nats_platform.node.streams import bring_about
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest
from reference_service.service import ReferenceService
from sdk import Contract, DirectoryCertificates, Endpoint, NATSClient, Settings
from tests.nats_machines import ENVIRONMENT
from tests.ports import free_ports

NODE = names.NATS_NODES[0]
WAIT_SECONDS = 20
SECRETS = {
    "TOKEN_SIGNING_KEY": "signs-the-tokens-of-a-test",
    "PAYMENT_WEBHOOK_SECRET": "signs-reports-of-a-test",
    "PAYMENT_MERCHANT_KEY": "signs-links-of-a-test",
    "GATEWAY_VERIFIER_KEY": "verifies-for-all-of-a-test",
}
GATEWAY = "http-nats-gateway"
ASKER = "loadtest"
"""Asks on behalf of the tests, whatever is served: some subjects have no route and nobody yet who calls them."""


class Fleet:
    """A server, and what may run on it."""

    def __init__(self, folder: Path, bucket: Path, catalog: Catalog) -> None:
        self.catalog = catalog
        self._folder = folder
        self._bucket = bucket
        self._plain = cluster_request(catalog, ENVIRONMENT)
        self.port, self.monitor_port = free_ports(2)
        self._client: NATSClient | None = None
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"tls://localhost:{self.port}"

    def certificates(self, name: str) -> Path:
        """Return the folder with a client's certificates."""
        folder = self._folder / "clients" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            for prefix, files in (
                (f"client/{name}", ("chain.pem", "key.pem")),
                ("ca/certificates", ("server-ca.pem",)),
            ):
                for file in files:
                    shutil.copy(self._current(prefix) / file, folder)
        return folder

    def variables(self, name: str) -> dict[str, str]:
        """Return what a container is told."""
        service = self.catalog.services[name]
        return {
            **service.environment,
            **{secret: SECRETS[secret] for secret in service.secrets},
            "SERVICE_NAME": name,
            "FLEET_ENVIRONMENT": "test",
            "NATS_SERVERS": self.url,
            "NATS_IDENTITY": names.service_identity(name),
            "SERVICE_CONTRACT": service_contract(self.catalog, service),
            "CERTIFICATES_DIRECTORY": str(self.certificates(name)),
            "HEALTH_PORT": "0",
        }

    async def start(self) -> None:
        """Start the server, and provision it."""
        (self._folder / "nats.conf").write_text(self._configuration(), encoding="utf-8")
        server = str(Path(sys.executable).with_name("nats-server"))
        log = self._stack.enter_context((self._folder / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            server, "-c", str(self._folder / "nats.conf"), stdout=log, stderr=log
        )
        self._stack.push_async_callback(process.wait)
        self._stack.callback(process.kill)
        await self._until_healthy()
        context = DirectoryCertificates(self.certificates("provisioner")).fetch().context()
        client = await nats.connect(self.url, tls=context, inbox_prefix="_INBOX.provisioner")
        try:
            changes = await bring_about(JetStream(client), self._plain, replicas=1, dry_run=False)
            assert not changes.refused
        finally:
            await client.close()

    async def run(self, services: Iterable[str], variables: Mapping[str, str] | None = None) -> list[ReferenceService]:
        """Run services in this process, until the end."""
        made = []
        for name in services:
            told = {**self.variables(name), **(variables or {})}
            made.append(ReferenceService(Settings.from_environment(told), variables=told))
        running = [asyncio.create_task(each.service.serve()) for each in made]
        self._stack.push_async_callback(_end, made, running)
        async with asyncio.timeout(WAIT_SECONDS):
            while not all(each.service.is_serving for each in made):
                for task in running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
        return made

    async def ask(self, subject: str, **fields: Any) -> Any:
        """Ask any subject that is served, with the fields of its request."""
        if self._client is None:
            serves = {
                name: Endpoint(subject=name, **plain.model_dump()) for name, plain in self.catalog.subjects.items()
            }
            settings = Settings(
                service=ASKER,
                servers=(self.url,),
                certificates=DirectoryCertificates(self.certificates(ASKER)),
                contract=Contract(calls=serves),
            )
            self._client = await self._stack.enter_async_context(NATSClient(settings))
        endpoint = self._client.settings.contract.calls[subject]
        return await self._client.request(subject, endpoint.request_type()(**fields), endpoint.reply_type())

    async def end(self) -> None:
        """End all."""
        await self._stack.aclose()

    def _current(self, prefix: str) -> Path:
        version: str = json.loads((self._bucket / prefix / "current.json").read_text())["version"]
        return self._bucket / prefix / version

    def _configuration(self) -> str:
        request = ClusterRequest.from_plain(self._plain)
        tls = self._folder / "tls"
        tls.mkdir()
        for file in ("chain.pem", "key.pem"):
            shutil.copy(self._current(f"server/{NODE}") / file, tls / f"server-{file}")
        shutil.copy(self._current("ca/certificates") / "client-ca.pem", tls)
        place = Place(
            address="127.0.0.1",
            client_port=self.port,
            monitor_port=self.monitor_port,
            tls=str(tls),
            store=str(self._folder / "jetstream"),
            pid_file=str(self._folder / "pid"),
        )
        served = tuple(self.catalog.subjects)
        users = [
            dataclasses.replace(user, publish=served) if user.identity == request.identity(ASKER) else user
            for user in wanted_users(request)
        ]
        text = render(request, users, NODE, place)
        # JetStream in a cluster wants three nodes; what is tried here is between services and a node.
        return re.sub(r"^cluster: \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)

    async def _until_healthy(self) -> None:
        def is_healthy() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/healthz", timeout=1) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        async with asyncio.timeout(WAIT_SECONDS):
            while not await asyncio.to_thread(is_healthy):  # noqa: ASYNC110  # a server gives no other sign
                await asyncio.sleep(0.02)


@asynccontextmanager
async def fleet(folder: Path, bucket: Path, catalog: Catalog) -> AsyncIterator[Fleet]:
    """Have a server, provisioned, until the block ends."""
    made = Fleet(folder, bucket, catalog)
    try:
        await made.start()
        yield made
    finally:
        await made.end()


async def _end(services: Iterable[ReferenceService], running: Iterable[asyncio.Task[Any]]) -> None:
    for each in services:
        each.service.stop()
    await asyncio.gather(*running)
    for each in services:
        await each.close()
