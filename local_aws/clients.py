"""boto3 clients against this very server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.config import Config
from moto.core import utils as moto_utils

from local_aws.model import Stack

_CONNECT_SECONDS = 5
_READ_SECONDS = 120
_CONNECTIONS = 32


class Clients(Protocol):
    """Where clients come from."""

    def client(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""


class ServerClients:
    """Clients of one server, each made once.

    Args:
        endpoint: the server's address, which the requests name and are signed for.
        transport: hook of botocore that answers a request.
    """

    def __init__(self, endpoint: str, transport: Callable[..., Any]) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106 - no secret
        self._config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1},
            s3={"addressing_style": "path"},
        )
        # moto would look for all of botocore's models again for each service, and keep a second copy of them.
        moto_utils.create_loader = lambda: self._session._session.get_component("data_loader")  # type: ignore[attr-defined]  # noqa: SLF001
        self._made: dict[tuple[str, str], Any] = {}
        # boto3 may be used by several threads at once, but not to make clients.
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""
        with self._lock:
            if (service, region) not in self._made:
                made = self._session.client(
                    service, region_name=region, endpoint_url=self._endpoint, config=self._config
                )  # type: ignore[call-overload]
                made.meta.events.register("before-send", self._transport)
                self._made[service, region] = made
            return self._made[service, region]


@dataclass(slots=True)
class StackContext:
    """What a handler is told of the stack that it works for."""

    region: str
    account_id: str
    stack_name: str
    stack_id: str
    logical_id: str
    tags: Mapping[str, str]
    clients: Clients

    @classmethod
    def of(cls, stack: Stack, logical_id: str, tags: Mapping[str, str], clients: Clients) -> StackContext:
        """Make the context for one resource of a stack."""
        return cls(stack.region, stack.account_id, stack.name, stack.id, logical_id, tags, clients)

    def client(self, service: str) -> Any:
        """Return the client of a service in the stack's region."""
        return self.clients.client(service, self.region)
