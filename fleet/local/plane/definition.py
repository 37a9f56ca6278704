"""From a task definition to a program on this machine: what the container is told, but for what names places."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.errors import WantingError

GATEWAY_REPOSITORY = "http-nats-gateway"
HOST = "127.0.0.1"
_PORT_VARIABLES = ("HEALTH_PORT", "GATEWAY_PORT")
_PLACES = ("NATS_SERVERS", "CACHE_ENDPOINT")
_CACHE_VARIABLES = ("CACHE_ENDPOINT", "CACHE_SECRET")
_STOP_SECONDS = 30


class CannotRunError(WantingError):
    """A task definition asks for what cannot be run here; the text is the reason that ECS would give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthCheck:
    """When a task counts as healthy."""

    path: str
    interval_seconds: float
    timeout_seconds: float
    retries: int
    start_period_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What a container is an instance of."""

    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, reference: str) -> Image:
        """Take a reference apart: `REGISTRY/REPOSITORY:TAG` or `REGISTRY/REPOSITORY@DIGEST`."""
        _, _, rest = reference.partition("/")
        name, _, digest = rest.partition("@")
        repository, _, tag = name.partition(":")
        return cls(repository=repository, tag=tag or (None if digest else "latest"), digest=digest or None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a task definition says that matters here: it has one container."""

    arn: str
    container: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    memory_mib: int
    cpu_units: int
    health: HealthCheck | None
    stop_seconds: float
    log_group: str | None
    log_prefix: str | None

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Definition:
        """Take what DescribeTaskDefinition tells.

        Raises:
            CannotRunError: It has more than one container.
        """
        containers = plain["containerDefinitions"]
        if len(containers) != 1:
            raise CannotRunError(
                f"{plain['family']} has {len(containers)} containers; the local plane runs tasks of one"
            )
        (container,) = containers
        options = (container.get("logConfiguration") or {}).get("options") or {}
        return cls(
            arn=plain["taskDefinitionArn"],
            container=container["name"],
            image=container["image"],
            command=container.get("command") or (),
            environment={each["name"]: each["value"] for each in container.get("environment", ())},
            secrets={each["name"]: each["valueFrom"] for each in container.get("secrets", ())},
            memory_mib=int(container.get("memory") or plain["memory"]),
            cpu_units=int(container.get("cpu") or plain["cpu"]),
            health=_health(container.get("healthCheck")),
            stop_seconds=float(container.get("stopTimeout") or _STOP_SECONDS),
            log_group=options.get("awslogs-group"),
            log_prefix=options.get("awslogs-stream-prefix"),
        )

    @property
    def is_gateway(self) -> bool:
        """Whether it is the door for HTTP callers."""
        return GATEWAY_REPOSITORY in Image.parse(self.image).repository

    @property
    def port_variables(self) -> Sequence[str]:
        """The variables that name ports which it serves."""
        return _PORT_VARIABLES if self.is_gateway else _PORT_VARIABLES[:1]

    def argv(self) -> list[str]:
        """Return the program that its image's entry point is, with its command."""
        module = "gateway" if self.is_gateway else "reference_service"
        return [sys.executable, "-m", module, *self.command]

    def variables(
        self, *, ports: Mapping[str, int], places: Mapping[str, str], secrets: Mapping[str, str]
    ) -> dict[str, str]:
        """Return what the program is told: as it is written, but for what names places.

        Args:
            ports: The port of each of `port_variables`.
            places: Values of variables that name places; they count where the definition has the variable, and names no place
                on this machine itself. Without a cache among them it is told of none.
            secrets: The values of its secrets.
        """
        variables = {**self.environment, **secrets}
        for name in _PLACES:
            if name in variables and name in places and not _is_here(variables[name]):
                variables[name] = places[name]
        if "CACHE_ENDPOINT" not in places:
            variables = {name: value for name, value in variables.items() if name not in _CACHE_VARIABLES}
        elif "CACHE_ENDPOINT" in variables and "SSL_CERT_FILE" in places:
            variables["SSL_CERT_FILE"] = places["SSL_CERT_FILE"]
        variables |= {name: str(port) for name, port in ports.items()} | {"HEALTH_HOST": HOST}
        if self.is_gateway:
            # No load balancer takes it out first, so none is waited for.
            variables |= {"GATEWAY_HOST": HOST, "GATEWAY_LEAVE_SECONDS": "0"}
        return variables


def _is_here(addresses: str) -> bool:
    """Tell whether addresses, with commas between them, are all on this machine."""
    hosts = {urlsplit(one if "//" in one else f"//{one}").hostname for one in addresses.split(",")}
    return hosts <= {"localhost", HOST}


def _health(plain: Mapping[str, Any] | None) -> HealthCheck | None:
    """Return a health check, which is ours by HTTP: the plane asks the same by itself.

    Raises:
        CannotRunError: It is another one.
    """
    if not plain:
        return None
    address = urlsplit(plain["command"][-1])
    if "--probe" not in plain["command"] or not address.path:
        raise CannotRunError(f"the health check {' '.join(plain['command'])!r} is none that the local plane can do")
    return HealthCheck(
        path=address.path,
        interval_seconds=float(plain.get("interval") or 30),
        timeout_seconds=float(plain.get("timeout") or 5),
        retries=int(plain.get("retries") or 3),
        start_period_seconds=float(plain.get("startPeriod") or 0),
    )
