"""Who calls, and as what: by a JWT, by a token of auth-nats, or by the key of a program. Whatever is not set up lets nobody in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from gateway.api_keys import ApiKeys
from gateway.jwks import KeySet, KeysUnavailableError
from gateway.problems import Problem, of_call, unauthenticated
from gateway.routes import ANONYMOUS
from proto.generated.gaming.infrastructure.v1.auth_pb2 import VerifyTokenReply, VerifyTokenRequest
from sdk import CallError, NATSClient

VERIFY_SUBJECT = "auth.token.verify"
_BEARER = re.compile(rb"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)")
_LONGEST_TOKEN = 8192
_JWT_PARTS = 3
_LEEWAY_SECONDS = 30
_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_REMEMBERED = 10_000
JWT_SECONDS = 60.0
"""For how long a JWT that held is not checked again."""
TOKEN_SECONDS = 5.0
"""For how long a token of auth-nats is not asked about again: so long it still holds here after it was taken back."""
REFUSED_SECONDS = 5.0
"""For how long at most a token that does not hold is not looked at again: its key may just not be known here yet."""
_DOES_NOT_HOLD = "the token does not hold: it is not ours, is over, or was taken back"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who calls."""

    id: str
    roles: frozenset[str]
    seconds: float = float("inf")
    """How long what it showed holds still, where that is known."""


NOBODY = Principal("", frozenset({ANONYMOUS}))
VERIFIER = Principal("verifier", frozenset({"verifier"}))
"""Who sees whether all services are within reach: it may read by every route, and use those that name its role."""


class TokenVerifier(Protocol):
    """Says whose a token is."""

    async def verify(self, token: str) -> Principal | None:
        """Return whose it is; None where it does not hold.

        Raises:
            Problem: Nobody can say so now.
        """
        ...


class JwtVerifier:
    """Checks JWTs here: signature by a key of the set, issuer, audience, and times.

    Args:
        keys: Public keys.
        issuer: Who must have issued it.
        audience: Whom it must be for.
        roles_claim: Claim with the roles; dots lead into objects.
    """

    def __init__(self, keys: KeySet, *, issuer: str, audience: str, roles_claim: str = "roles") -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._roles_claim = roles_claim

    async def verify(self, token: str) -> Principal | None:
        """Return whose it is; None where it does not hold."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("crit") is not None or header.get("typ", "JWT").lower() not in {"jwt", "at+jwt"}:
                return None
            key = await self._keys.get(str(header.get("kid", "")))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            return None
        except KeysUnavailableError:
            raise Problem("unavailable", "tokens cannot be checked now", retry_after_seconds=5) from None
        return _principal(claims["sub"], _roles(claims, self._roles_claim), int(claims["exp"]) - time.time())


class AskingVerifier:
    """Asks auth-nats, which alone knows what its tokens mean and whether they were taken back."""

    def __init__(self, client: NATSClient) -> None:
        self._client = client

    async def verify(self, token: str) -> Principal | None:
        """Return whose it is; None where it does not hold."""
        try:
            reply = await self._client.request(VERIFY_SUBJECT, VerifyTokenRequest(access_token=token), VerifyTokenReply)
        except CallError as error:
            problem = of_call(error)
            # A refusal of what the gateway asked is no answer to what the caller asked.
            kind = problem.kind if problem.kind in {"unavailable", "timeout", "too-many-requests"} else "bad-gateway"
            raise Problem(
                kind, "tokens cannot be checked now", retry_after_seconds=problem.retry_after_seconds
            ) from error
        if not reply.valid:
            return None
        seconds = reply.remaining.ToTimedelta().total_seconds() if reply.HasField("remaining") else float("inf")
        return _principal(reply.principal.principal_id, reply.principal.roles, seconds)


class RememberingVerifier:
    """Remembers for a short time whose a token was; of those who come with the same one at a time, one asks.

    Args:
        inner: Knows.
        seconds: How long it is remembered.
        clock: Seconds that never go back.
    """

    def __init__(self, inner: TokenVerifier, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._seconds = seconds
        self._clock = clock
        # By hash: no memory dump shows a token. One that does not hold is remembered too, or it would be asked about without an end.
        self._known: OrderedDict[bytes, tuple[Principal | None, float, float]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def verify(self, token: str) -> Principal | None:
        """Return whose it is; None where it does not hold."""
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None and self._clock() < known[1]:
            principal, _, ends = known
            return principal and Principal(principal.id, principal.roles, ends - self._clock())
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, token))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    async def _ask(self, key: bytes, token: str) -> Principal | None:
        principal = await self._inner.verify(token)
        now = self._clock()
        holds = principal.seconds if principal else REFUSED_SECONDS
        self._known[key] = (principal, now + min(self._seconds, holds), now + holds)
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return principal

    def _asked(self, key: bytes, task: asyncio.Task[Principal | None]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # those who waited have it; where all of them went away, nobody misses it


class Authenticator:
    """Finds out who calls.

    Args:
        api_keys: Of programs.
        verifier_key: Of the one who may read by every route; empty where there is none.
        jwt_verifier: For tokens that have the form of a JWT; they are then its matter alone.
        token_verifier: For all others, and for those too where there is no other.
    """

    def __init__(
        self,
        *,
        api_keys: ApiKeys,
        jwt_verifier: TokenVerifier | None,
        token_verifier: TokenVerifier | None,
        verifier_key: str = "",
    ) -> None:
        self._api_keys = api_keys
        self._verifier = hashlib.sha256(verifier_key.encode()).digest() if verifier_key else None
        self._jwt = jwt_verifier
        self._token = token_verifier

    def is_verifier(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request shows the verifier's key, and nothing else."""
        given = headers.get(b"x-api-key")
        if self._verifier is None or given is None or b"authorization" in headers:
            return False
        return hmac.compare_digest(hashlib.sha256(given).digest(), self._verifier)

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Return who sent a request with these headers.

        Raises:
            Problem: It did not say, or not in a way that holds; or nobody can tell now.
        """
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        if authorization is not None and api_key is not None:
            raise unauthenticated("a request shows one of a bearer token and an API key", "invalid_request")
        if api_key is not None:
            found = self._api_keys.find(api_key.decode("latin-1"))
            if found is None:
                raise unauthenticated("the API key does not hold")
            return Principal(found.id, found.roles)
        if authorization is None:
            raise unauthenticated("this route needs a bearer token or an API key")
        token = _BEARER.fullmatch(authorization)
        if token is None or len(token[1]) > _LONGEST_TOKEN:
            raise unauthenticated("the header Authorization is `Bearer TOKEN`", "invalid_request")
        text = token[1].decode("ascii")
        verifier = self._jwt if self._jwt is not None and _is_jwt(text) else self._token
        principal = await verifier.verify(text) if verifier is not None else None
        if principal is None or principal.seconds <= 0:
            raise unauthenticated(_DOES_NOT_HOLD, "invalid_token")
        return principal


def _is_jwt(token: str) -> bool:
    if token.count(".") != _JWT_PARTS - 1:
        return False
    try:
        return "alg" in jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def _principal(identifier: object, roles: Iterable[object], seconds: float) -> Principal | None:
    """Return a principal whose identifier can stand in a header; None where it says nothing that could."""
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
        return None
    named = frozenset(role for role in roles if isinstance(role, str) and _ROLE.fullmatch(role))
    return Principal(identifier, named - NOBODY.roles - VERIFIER.roles, seconds)


def _roles(claims: Mapping[str, Any], claim: str) -> list[Any]:
    value: Any = claims
    for part in claim.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value.split()
    return value if isinstance(value, list) else []
