"""The gateway as a process: health on 8080, HTTP on 8000, NATS behind; and how it ends behind a load balancer.

Told to stop, it becomes unready first and goes on serving while the load balancer takes it out, with every answer closing its connection;
then it takes nothing new, lets what is under way end, and closes NATS last, since answers come from there. ECS gives it 60 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Iterator

import uvicorn

from gateway.application import Gateway, Page
from gateway.authentication import (
    JWT_SECONDS,
    TOKEN_SECONDS,
    VERIFY_SUBJECT,
    AskingVerifier,
    Authenticator,
    JwtVerifier,
    RememberingVerifier,
)
from gateway.jwks import KeySet
from gateway.openapi import document
from gateway.page import POLICY, page
from gateway.protocol import Bounds, protocol_class
from gateway.routes import Routes
from gateway.settings import GatewaySettings
from sdk import CallError, ConfigurationError, Health, HealthServer, NATSClient, Settings, configure_logging
from sdk.discovery import Discovery

_log = logging.getLogger(__name__)
_NATS_DRAIN_SECONDS = 10.0
_BACKLOG = 2048
_AGAIN_SECONDS = 1.0


class _HttpServer(uvicorn.Server):
    """uvicorn without its own idea of signals: when to stop is decided here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class GatewayProcess:
    """Everything that runs, from start to end.

    Args:
        settings: What every service is told.
        gateway_settings: What the gateway is told besides.
        routes: What is let in.
        listening: Where HTTP is served.
    """

    def __init__(
        self, settings: Settings, gateway_settings: GatewaySettings, routes: Routes, listening: socket.socket
    ) -> None:
        self._settings = settings
        self._listening = listening
        self._gateway_settings = gateway_settings
        self._stopping = asyncio.Event()
        self.client = NATSClient(settings, max_concurrent=gateway_settings.max_concurrent)
        self.gateway = Gateway(
            gateway_settings, routes, self.client, self._authenticator(), pages(settings, gateway_settings, routes)
        )
        bounds = Bounds(
            gateway_settings.max_header_bytes,
            gateway_settings.head_seconds,
            gateway_settings.write_seconds,
            gateway_settings.max_connections,
        )
        self._server = _HttpServer(
            uvicorn.Config(
                self.gateway,
                http=protocol_class(bounds),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                # Requests on one connection must not see one another's deadline and trace.
                reset_contextvars=True,
                timeout_keep_alive=round(gateway_settings.keep_alive_seconds),
                timeout_graceful_shutdown=round(gateway_settings.finish_seconds),
            )
        )

    def stop(self) -> None:
        """Tell it to end."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`, and end in order."""
        health = Health(
            service=self._settings.service,
            version=self._settings.version,
            nats=self.client.link,
            outage_tolerance_seconds=self._settings.nats_outage_tolerance_seconds,
        )
        paths, host = health.paths(self._settings.health_path), self._settings.health_host
        async with HealthServer(paths, host=host, port=self._settings.health_port) as server:
            counting = asyncio.create_task(self.client.metrics.run())
            serving = asyncio.create_task(self._server.serve([self._listening]))
            connecting = asyncio.create_task(self._connect())
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                while not (self._server.started or serving.done()):  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.01)
                if not serving.done():
                    port = self._listening.getsockname()[1]
                    _log.info("listening", extra={"port": port, "health_port": server.port})
                await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
                health.is_draining = True
                await self._leave(serving)
            finally:
                for task in (stopping, connecting, counting):
                    task.cancel()
                await asyncio.gather(stopping, connecting, counting, return_exceptions=True)
            report = await self.client.drain(_NATS_DRAIN_SECONDS)
            self.client.metrics.flush()
            _log.info("stopped", extra={"lost_nothing": report.is_clean})

    async def _connect(self) -> None:
        """Reach NATS, hear what callers may listen to, and answer who asks what services there are."""
        await self.client.connect(None)
        discovery = Discovery(
            name=self._settings.service,
            instance=uuid.uuid4().hex,
            version=self._settings.version,
            description="HTTP gateway",
            endpoints={},
        )
        while True:
            try:
                for feed in self.gateway.feeds.values():
                    if not feed.is_heard:
                        await feed.start(self.client)
                await discovery.subscribe(self.client)
            except CallError:  # the SDK has logged it; NATS was lost just now, or does not let us
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _leave(self, serving: asyncio.Task[None]) -> None:
        """Stop serving HTTP without a request that fails for it."""
        self.gateway.is_leaving = True
        _log.info("leaving", extra={"seconds": self._gateway_settings.leave_seconds})
        await asyncio.wait({serving}, timeout=self._gateway_settings.leave_seconds)
        for feed in self.gateway.feeds.values():
            feed.end()
        self._server.should_exit = True
        await serving

    def _authenticator(self) -> Authenticator:
        given = self._gateway_settings
        jwt_verifier = None
        if given.jwks:
            checks = JwtVerifier(
                KeySet(given.jwks),
                issuer=given.jwt_issuer,
                audience=given.jwt_audience,
                roles_claim=given.jwt_roles_claim,
            )
            jwt_verifier = RememberingVerifier(checks, JWT_SECONDS)
        asks = VERIFY_SUBJECT in self._settings.contract.calls
        return Authenticator(
            api_keys=given.api_keys,
            verifier_key=given.verifier_key,
            jwt_verifier=jwt_verifier,
            token_verifier=RememberingVerifier(AskingVerifier(self.client), TOKEN_SECONDS) if asks else None,
        )


def pages(settings: Settings, gateway_settings: GatewaySettings, routes: Routes) -> dict[bytes, Page]:
    """Return what everyone may see besides the routes: what the routes are."""
    described = document(routes, version=settings.version, owner_fields=gateway_settings.owner_fields)
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    shown = Page(
        b"text/html; charset=utf-8",
        page(described),
        ((b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")),
    )
    return {b"/openapi.json": Page(b"application/json", text), b"/docs": shown}


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"got {port} for GATEWAY_PORT and {host!r} for GATEWAY_HOST, where HTTP cannot be served: "
            f"{getattr(error, 'strerror', None) or error}; give a port that is free, or 0, and an address of this machine"
        ) from error


async def _run_until_signalled(
    settings: Settings, gateway_settings: GatewaySettings, routes: Routes, listening: socket.socket
) -> None:
    process = GatewayProcess(settings, gateway_settings, routes, listening)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    await process.run()


def main() -> None:
    """Run the gateway; ends with 2 where it is not told what it must be told."""
    import uvloop  # noqa: PLC0415  # not on every platform, so that nothing else needs it

    try:
        settings = Settings.from_environment()
        gateway_settings = GatewaySettings.from_environment()
        routes = Routes.from_json(os.environ.get("GATEWAY_ROUTES", "[]"), settings.contract)
        if gateway_settings.jwks:
            KeySet(gateway_settings.jwks)  # refused here, with the other faults of the environment
        listening = _listen(gateway_settings.host, gateway_settings.port)
    except ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    configure_logging(service=settings.service, environment=settings.environment)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what it tells besides is told here
    uvloop.run(_run_until_signalled(settings, gateway_settings, routes, listening))
