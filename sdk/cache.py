"""The cache of a service: Valkey or Redis over TLS, keys below the service's own prefix, the password read anew when it was rotated.

    cache = Cache.from_environment("state-manager-nats")
    await cache.set("player-7", b"...", ttl_seconds=60)
    value = await cache.get("player-7")

A cache that is away raises `ServiceUnavailableError`, at once after five failures in a row.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from sdk.circuit_breaker import AsyncCircuitBreaker
from sdk.errors import ConfigurationError, PermissionDeniedError, ServiceUnavailableError

T = TypeVar("T")

_TIMEOUT_SECONDS = 1.0


class Secret(CredentialProvider):
    """User and password; each new connection asks for them.

    Args:
        told: The secret as the container got it when it started: JSON with `username`, `password` and, where passwords rotate,
            `secret`, the name by which it is read again.
        read: Returns a secret's present value by its name.
    """

    def __init__(self, told: str, read: Callable[[str], str] | None = None) -> None:
        self._read = read
        self._plain = _parsed(told)

    def get_credentials(self) -> tuple[str, str]:
        """Return user and password."""
        return self._plain["username"], self._plain["password"]

    async def renew(self) -> bool:
        """Read the secret again; tell whether it has another password by now.

        Raises:
            ConfigurationError: It cannot be read.
        """
        name, before = self._plain.get("secret"), self._plain
        if name is None or self._read is None:
            return False
        self._plain = _parsed(await asyncio.to_thread(self._read, name)) | {"secret": name}
        return self._plain["password"] != before["password"]


def _parsed(text: str) -> dict[str, str]:
    try:
        plain = {name: str(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        plain = {}
    if not {"username", "password"} <= plain.keys():
        # The secret itself must be in no error.
        raise ConfigurationError("the secret of the cache is no JSON with username and password")
    return plain


def _read_from_aws(name: str) -> str:
    from sdk.secret_values import read_secret  # noqa: PLC0415  # 6 MiB that most processes never need

    return read_secret(name)


class Cache:
    """A service's own part of the cache.

    Args:
        service: Whose keys they are: `SERVICE:KEY`.
        host: Of the endpoint.
        port: Of the endpoint.
        secret: User and password.
        tls: False for a server on this machine alone.
        ca_file: Authorities of the server's certificate; the system's where not given.
    """

    def __init__(
        self,
        service: str,
        *,
        host: str,
        port: int = 6379,
        secret: Secret | None = None,
        tls: bool = True,
        ca_file: str | None = None,
    ) -> None:
        self._prefix = f"{service}:"
        self._secret = secret
        self._breaker = AsyncCircuitBreaker("cache", recovery_seconds=10.0)
        self._redis = redis.asyncio.Redis(
            host=host,
            port=port,
            credential_provider=secret,
            ssl=tls,
            ssl_ca_certs=ca_file,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=64,
        )

    @classmethod
    def from_environment(cls, service: str, variables: Mapping[str, str] = os.environ) -> Cache:
        """Return the cache that the container is told of.

        Raises:
            ConfigurationError: It is told of none.
        """
        host, _, port = variables.get("CACHE_ENDPOINT", "").partition(":")
        if not host or not variables.get("CACHE_SECRET"):
            raise ConfigurationError(
                "CACHE_ENDPOINT and CACHE_SECRET are not set; a catalog entry with `cache: true` has them"
            )
        return cls(service, host=host, port=int(port or 6379), secret=Secret(variables["CACHE_SECRET"], _read_from_aws))

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key; None where there is none."""
        value = await self._run(lambda: self._redis.get(self._prefix + key))
        return value.encode() if isinstance(value, str) else value

    async def set(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep a value for a while; a cache without an end is a leak."""
        await self._run(lambda: self._redis.set(self._prefix + key, value, px=max(1, int(ttl_seconds * 1000))))

    async def delete(self, key: str) -> None:
        """Forget a key."""
        await self._run(lambda: self._redis.delete(self._prefix + key))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._breaker.call(self._once, command)
        except redis.exceptions.NoPermissionError as error:
            raise PermissionDeniedError(f"the cache refuses it: {error}", endpoint="cache") from error
        except (redis.exceptions.RedisError, OSError) as error:
            raise ServiceUnavailableError(f"the cache: {error}", endpoint="cache") from error

    async def _once(self, command: Callable[[], Awaitable[T]]) -> T:
        try:
            return await command()
        except redis.exceptions.AuthenticationError:
            if self._secret is None or not await self._secret.renew():
                raise
            return await command()
