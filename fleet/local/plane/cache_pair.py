"""Two servers of a cache, one of which leads: users, replication, and the way from one to the other when the first is gone."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from fleet.local.plane.cache_metrics import Numbers, Sample, measured, sampled
from fleet.local.plane.cache_program import CacheProgram
from fleet.local.plane.cache_tls import key_of
from fleet.local.plane.places import HOST, NAME
from fleet.local.plane.processes import Process, Processes, Spec
from fleet.local.plane.routes import Forwarder

ADMIN = "fleet-plane"
MEMORY_MIB = 64
_LOOK_SECONDS = 0.2
_PING_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
_PATIENCE_PINGS = 5
"""How often in a row a server may not answer before it counts as gone."""
_START_SECONDS = 20.0
_GRACE_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheUser:
    """A user as ElastiCache has it: its access string, and the checksums of its passwords."""

    name: str
    access: str
    passwords: Sequence[str]

    @property
    def rules(self) -> list[str]:
        """What the server is told of it, whatever it was before."""
        return ["reset", *self.access.split(), *(f"#{password}" for password in self.passwords)]


@dataclass(eq=False)
class Server:
    """One of the two."""

    name: str
    port: int
    folder: Path
    process: Process | None = None
    restarts: int = 0
    admin: redis.asyncio.Redis | None = None
    """What it is asked by, for as long as its process lives."""
    pinged: float = 0.0
    silent: int = 0
    """How often in a row it has not answered."""
    users: tuple[CacheUser, ...] | None = None
    """Whom it was told last."""
    sample: Sample | None = None
    """What it had counted when it was measured last."""


@dataclass
class CachePair:
    """A primary and its replica behind one port, which leads to whichever is the primary."""

    servers: tuple[Server, Server]
    endpoint: int
    program: CacheProgram
    certificate: Path
    processes: Processes
    users: tuple[CacheUser, ...] = ()
    failovers: int = 0
    on_failover: Callable[[int], None] = lambda _: None
    """Told which of the servers leads now."""
    _password: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.primary, self.replica = self.servers
        self._forwarder = Forwarder(self.endpoint, None)

    @property
    def primary_index(self) -> int:
        """Which of the servers leads."""
        return self.servers.index(self.primary)

    async def run(self) -> None:
        """Keep both running until cancelled."""
        await self._forwarder.start()
        try:
            async with self._lock:
                await self._start(self.primary, None)
                self._forwarder.turn(self.primary.port)
                await self._start(self.replica, self.primary)
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                async with self._lock:
                    await self._look()
        finally:
            await self._forwarder.end()
            await asyncio.gather(*(self._end(server, _GRACE_SECONDS) for server in self.servers))

    async def set_users(self, users: Sequence[CacheUser]) -> None:
        """Let these use the cache, and nobody else."""
        async with self._lock:
            self.users = tuple(users)
            for server in self.servers:
                await self._see_to_users(server)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for server in self.servers:
            if now - server.pinged >= _PING_SECONDS:
                server.pinged = now
                server.silent = 0 if await self._answers(server) else server.silent + 1
            if not server.silent:
                await self._see_to_users(server)
        if self._is_gone(self.primary) and not self._is_gone(self.replica) and not self.replica.silent:
            await self._fail_over()
        for server in self.servers:
            if self._is_gone(server):
                await self._end(server, 0)
                server.restarts += 1
                await self._start(server, None if server is self.primary else self.primary)

    @staticmethod
    def _is_gone(server: Server) -> bool:
        return server.process is None or server.process.has_exited or server.silent >= _PATIENCE_PINGS

    async def _fail_over(self) -> None:
        """Make the replica the primary, as ElastiCache does when it loses one."""
        assert self.replica.admin is not None  # noqa: S101 - it runs
        self._forwarder.turn(None)
        await self.replica.admin.replicaof("NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        self.failovers += 1
        self._forwarder.turn(self.primary.port)
        self.on_failover(self.primary_index)
        _log.warning("the cache failed over to %s", self.primary.name)

    async def _start(self, server: Server, primary: Server | None) -> None:
        """Start a server, and wait until it answers; what keeps it from that is told, and tried again with the next look."""
        configuration = server.folder / "cache.conf"
        server.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(self._configuration(server, primary)) + "\n")
        spec = Spec(
            name=f"cache {server.name}",
            argv=[self.program.path, str(configuration)],
            env={"PATH": os.defpath, **self.program.environment},
            cwd=server.folder,
            log=server.folder / "cache.log",
        )
        server.users, server.silent, server.admin = None, 0, self._admin(server)
        try:
            server.process = await self.processes.start(spec)
            async with asyncio.timeout(_START_SECONDS):
                while not await self._answers(server):
                    if server.process.has_exited:
                        _log.warning("%s ended at its start; its log: %s", spec.name, spec.log)
                        return
                    await asyncio.sleep(_LOOK_SECONDS / 4)
        except (OSError, TimeoutError) as error:
            _log.warning("%s does not come up: %r", spec.name, error)
        else:
            await self._see_to_users(server)

    async def _end(self, server: Server, grace_seconds: float) -> None:
        if server.admin:
            await server.admin.aclose()
        if server.process:
            await server.process.end(grace_seconds)

    def _configuration(self, server: Server, primary: Server | None) -> list[str]:
        quoted = '"{}"'.format
        return [
            f"bind {HOST}",
            "port 0",
            f"tls-port {server.port}",
            f"tls-cert-file {quoted(self.certificate)}",
            f"tls-key-file {quoted(key_of(self.certificate))}",
            f"tls-ca-cert-file {quoted(self.certificate)}",
            "tls-auth-clients no",
            "tls-replication yes",
            'save ""',
            "appendonly no",
            # A title of its own is written over the variables, the mark among them by which a killed plane's processes are found.
            "set-proc-title no",
            f"dir {quoted(server.folder)}",
            f"maxmemory {MEMORY_MIB}mb",
            "maxmemory-policy volatile-lru",
            "repl-diskless-sync-delay 0",
            f"masteruser {ADMIN}",
            f"masterauth {self._password}",
            # Nobody comes in before the users are told.
            "user default reset off -@all",
            f"user {ADMIN} on ~* &* +@all #{hashlib.sha256(self._password.encode()).hexdigest()}",
            *([f"replicaof {NAME} {primary.port}"] if primary else []),
        ]

    async def _see_to_users(self, server: Server) -> None:
        """Tell a server its users where it was told others; one that does not answer just now is told with a later look."""
        if server.users == self.users or server.admin is None:
            return
        try:
            await self._apply_users(server.admin)
        except (RedisError, OSError) as error:
            _log.warning("the cache's %s was not told its users, and will be: %s", server.name, error)
        else:
            server.users = self.users

    async def _apply_users(self, admin: redis.asyncio.Redis) -> None:
        known = {str(name) for name in await admin.acl_users()}
        gone = known - {ADMIN, "default", *(user.name for user in self.users)}
        if gone:
            await admin.acl_deluser(*gone)
        wanted = {"default": ["reset", "off", "-@all"], **{user.name: user.rules for user in self.users}}
        for name, rules in wanted.items():
            await admin.execute_command("ACL", "SETUSER", name, *rules)  # type: ignore[no-untyped-call]

    @staticmethod
    async def _answers(server: Server) -> bool:
        if server.process is None or server.process.has_exited or server.admin is None:
            return False
        try:
            return bool(await server.admin.ping())
        except (RedisError, OSError):
            return False

    def _admin(self, server: Server) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(
            host=NAME,
            port=server.port,
            username=ADMIN,
            password=self._password,
            ssl=True,
            ssl_ca_certs=str(self.certificate),
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )

    async def measure(self) -> dict[str, Numbers]:
        """Return what there is to measure of each server that answers."""
        found = {}
        for server in self.servers:
            process, admin = server.process, server.admin
            if process is None or process.has_exited or admin is None or server.silent:
                continue
            try:
                info = await admin.info()
            except (RedisError, OSError):
                continue
            sample = sampled(process.pid, info, process.cpu_seconds(), time.monotonic())
            found[server.name] = measured(info, sample, server.sample)
            server.sample = sample
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return what there is to tell of each."""
        return [self._row(server) for server in self.servers]

    def _row(self, server: Server) -> dict[str, Any]:
        process = server.process if server.process and not server.process.has_exited else None
        health = "healthy" if process and not server.silent else "unhealthy" if process else "down"
        if process and _is_paused(process.pid):
            health = "paused"
        return {
            "kind": "cache",
            "name": server.name,
            "port": server.port,
            "pid": process.pid if process else None,
            "memory_bytes": process.memory_bytes() if process else 0,
            "restarts": server.restarts,
            "health": health,
            "detail": f"primary, at port {self.endpoint}" if server is self.primary else "replica",
            "log": str(server.folder / "cache.log"),
        }


def users_of(plain: Sequence[Mapping[str, Any]]) -> list[CacheUser]:
    """Read users from plain data."""
    return [CacheUser(str(each["name"]), str(each["access"]), [*map(str, each["passwords"])]) for each in plain]


def _is_paused(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
