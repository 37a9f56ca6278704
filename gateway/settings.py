"""What the gateway is told by its environment beyond what every service is told (`sdk.settings`), every fault at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from gateway.api_keys import ApiKeys
from sdk import ConfigurationError

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?", re.ASCII)
_LONGEST_NUMBER = 1e9
_SHORTEST_KEY = 24


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """Everything that may be set; `variable` of a field is its name in the environment."""

    host: str = field(default="0.0.0.0", metadata={"variable": "GATEWAY_HOST"})  # noqa: S104  # security groups say who comes in
    """Address to serve on; every one by default, since the load balancer comes from outside."""
    port: int = field(default=8000, metadata={"variable": "GATEWAY_PORT"})
    """Where HTTP is served."""
    trusted_proxies: int = field(default=1, metadata={"variable": "GATEWAY_TRUSTED_PROXIES"})
    """How many proxies in front add to X-Forwarded-For; 0 takes the address of the connection."""

    jwks: str = field(default="", metadata={"variable": "GATEWAY_JWKS"})
    """Keys that sign JWTs: an https address, the path of a file, or the key set itself as JSON."""
    jwt_issuer: str = field(default="", metadata={"variable": "GATEWAY_JWT_ISSUER"})
    jwt_audience: str = field(default="", metadata={"variable": "GATEWAY_JWT_AUDIENCE"})
    jwt_roles_claim: str = field(default="roles", metadata={"variable": "GATEWAY_JWT_ROLES_CLAIM"})
    """Claim with the roles: a list, or words with blanks between; dots lead into objects."""
    api_keys: ApiKeys = field(default_factory=ApiKeys, metadata={"variable": "GATEWAY_API_KEYS"})
    """Keys of programs, hashed: `[{"id": …, "sha256": …, "roles": […]}]`."""
    verifier_key: str = field(default="", repr=False, metadata={"variable": "GATEWAY_VERIFIER_KEY"})
    """Key of whoever verifies that all services are within reach: it reads, and changes nothing."""
    owner_fields: Mapping[str, str] = field(default_factory=dict, metadata={"variable": "GATEWAY_OWNER_FIELDS"})
    """Role to the field of requests that must name the caller itself: `{"player": "player_id"}`."""

    cors_origins: frozenset[str] = field(default=frozenset(), metadata={"variable": "GATEWAY_CORS_ORIGINS"})
    """Origins of pages whose scripts may call; `*` for all."""
    access_log: Literal["errors", "all"] = field(default="errors", metadata={"variable": "GATEWAY_ACCESS_LOG"})

    max_body_bytes: int = field(default=2**20, metadata={"variable": "GATEWAY_MAX_BODY_BYTES"})
    max_header_bytes: int = field(default=16 * 2**10, metadata={"variable": "GATEWAY_MAX_HEADER_BYTES"})
    head_seconds: float = field(default=10.0, metadata={"variable": "GATEWAY_HEAD_SECONDS"})
    """How long request line and headers may take to come."""
    body_seconds: float = field(default=20.0, metadata={"variable": "GATEWAY_BODY_SECONDS"})
    write_seconds: float = field(default=20.0, metadata={"variable": "GATEWAY_WRITE_SECONDS"})
    """How long a caller may take for what waits for it, once that is more than the connection takes at a time."""
    keep_alive_seconds: float = field(default=4060.0, metadata={"variable": "GATEWAY_KEEP_ALIVE_SECONDS"})
    """How long an idle connection is kept: longer than any load balancer keeps it (4000 s), or it sends into one that closes."""

    max_connections: int = field(default=4096, metadata={"variable": "GATEWAY_MAX_CONNECTIONS"})
    max_concurrent: int = field(default=1024, metadata={"variable": "GATEWAY_MAX_CONCURRENT"})
    """Requests under way at a time; more are told 503."""
    max_concurrent_a_caller: int = field(default=64, metadata={"variable": "GATEWAY_MAX_CONCURRENT_A_CALLER"})
    """The same of one caller; more are told 429."""
    rate_a_caller: float = field(default=50.0, metadata={"variable": "GATEWAY_RATE_A_CALLER"})
    """Requests a second of one caller, over time."""
    burst_a_caller: int = field(default=100, metadata={"variable": "GATEWAY_BURST_A_CALLER"})
    """Requests that a caller who was quiet may make at once."""

    max_streams: int = field(default=500, metadata={"variable": "GATEWAY_MAX_STREAMS"})
    """Callers who hear events at a time."""
    max_streams_a_caller: int = field(default=5, metadata={"variable": "GATEWAY_MAX_STREAMS_A_CALLER"})
    heartbeat_seconds: float = field(default=15.0, metadata={"variable": "GATEWAY_HEARTBEAT_SECONDS"})
    """Shorter than the load balancer's idle timeout."""
    stream_seconds: float = field(default=3600.0, metadata={"variable": "GATEWAY_STREAM_SECONDS"})
    """How long a stream of events lasts before its caller must show itself again."""

    leave_seconds: float = field(default=15.0, metadata={"variable": "GATEWAY_LEAVE_SECONDS"})
    """How long it goes on serving once told to stop, while the load balancer takes it out."""
    finish_seconds: float = field(default=30.0, metadata={"variable": "GATEWAY_FINISH_SECONDS"})
    """How long requests may then take to end; with leaving and NATS's drain less than ECS's stop timeout of 60 s."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> GatewaySettings:
        """Read what is set.

        Raises:
            ConfigurationError: Some is not what it must be; all of it is told.
        """
        faults: list[str] = []
        given: dict[str, Any] = {}
        for each in fields(cls):
            variable = str(each.metadata["variable"])
            text = variables.get(variable, "").strip()
            if not text:
                continue
            try:
                given[each.name] = _READERS[str(each.type)](text)
            except ValueError as error:
                faults.append(f"{variable}: {error}")
        if given.get("jwks") and not (given.get("jwt_issuer") and given.get("jwt_audience")):
            faults.append(
                "GATEWAY_JWKS needs GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE: else tokens for others would hold here"
            )
        if given.get("heartbeat_seconds") == 0:
            faults.append(
                "GATEWAY_HEARTBEAT_SECONDS: got 0; more, since every stream of events tells something so often"
            )
        if 0 < len(given.get("verifier_key", "")) < _SHORTEST_KEY:
            faults.append(
                f"GATEWAY_VERIFIER_KEY is shorter than {_SHORTEST_KEY} characters; a random one cannot be guessed"
            )
        if faults:
            raise ConfigurationError("the gateway's environment is not as it must be:\n  " + "\n  ".join(faults))
        return cls(**given)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _LONGEST_NUMBER:
        raise ValueError(f"got {text!r}; a whole number, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LONGEST_NUMBER:
        raise ValueError(f"got {text!r}; a number, 0 or more")
    return value


def _owner_fields(text: str) -> dict[str, str]:
    plain = json.loads(text) if text.startswith("{") else None
    if not isinstance(plain, dict) or not all(isinstance(value, str) and value for value in plain.values()):
        raise ValueError('it is JSON of role to field, such as {"player": "player_id"}')
    return plain


def _origins(text: str) -> frozenset[str]:
    origins = frozenset(text.replace(",", " ").split())
    wrong = sorted(origin for origin in origins if origin != "*" and not _ORIGIN.fullmatch(origin))
    if wrong:
        raise ValueError(f"got {', '.join(wrong)}; origins such as https://play.example.com, or *")
    return origins


def _access_log(text: str) -> str:
    if text not in {"errors", "all"}:
        raise ValueError(f"got {text!r}; errors or all")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": _whole,
    "float": _seconds,
    "str": str,
    "ApiKeys": ApiKeys.from_json,
    "Mapping[str, str]": _owner_fields,
    "frozenset[str]": _origins,
    "Literal['errors', 'all']": _access_log,
    'Literal["errors", "all"]': _access_log,
}
