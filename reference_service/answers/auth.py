"""`auth.*`: tokens signed with `TOKEN_SIGNING_KEY`, and permissions by role.

Nobody is known until an operator says so, by two settings (README.md says how the hashes are made):

    auth.users        {"ada": {"principal_id": "p-1", "roles": ["player"], "password": "scrypt$16384$8$5$SALT$HASH"}}
    auth.api.keys     {"SHA-256 of the key": {"principal_id": "ci", "roles": ["operator"]}}

A token is `PAYLOAD.SIGNATURE`. Its identifier is signed too, so that taking one back that never was takes no room.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.struct_pb2 import Struct

from proto.generated.gaming.infrastructure.v1.auth_pb2 import (
    TOKEN_FAULT_EXPIRED,
    TOKEN_FAULT_INVALID,
    TOKEN_FAULT_REVOKED,
    CheckPermissionReply,
    CheckPermissionRequest,
    IssueTokenReply,
    IssueTokenRequest,
    Principal,
    RevokeTokenReply,
    RevokeTokenRequest,
    VerifyTokenReply,
    VerifyTokenRequest,
)
from reference_service.runtime import Runtime
from sdk.errors import ConfigurationError, UnauthenticatedError

_REFRESH_SECONDS = 43_200  # twelve hours; the bucket remembers for a day what was taken back
_ACCESS, _REFRESH = "access", "refresh"
_REVOKED = "revoked"
_SHORTEST_KEY = 16
_LONGEST_TOKEN = 4096
_MOST_SCRYPT = 2**17
# Of a password that nobody has, so that an unknown name takes as long as a known one.
_NOBODY = "scrypt$16384$8$5$bm9ib2R5$AAAA"
_ROLES = {"player": ["session.start", "payment.create"], "operator": ["payment.refund", "session.*"], "admin": ["*"]}
_UNKNOWN_ROLES = ["player"]


@dataclass(frozen=True, slots=True)
class _Claims:
    """What a token says."""

    kind: str
    token_id: str
    principal: Principal
    expires: datetime


async def issue(runtime: Runtime, request: IssueTokenRequest) -> IssueTokenReply:
    """Give a token to whoever shows who they are."""
    match request.WhichOneof("credential"):
        case "password":
            principal = await _by_password(runtime, request.password.user_name, request.password.password)
        case "api_key":
            principal = await _by_key(runtime, request.api_key)
        case _:
            principal = await _by_refresh_token(runtime, request.refresh_token)
    now = runtime.now()
    lifetime = timedelta(seconds=int(runtime.variables.get("TOKEN_LIFETIME_SECONDS", "3600")))
    token_id = _new_token_id(runtime, now + timedelta(seconds=_REFRESH_SECONDS))
    reply = IssueTokenReply(
        access_token=_signed(runtime, _Claims(_ACCESS, token_id, principal, now + lifetime)),
        refresh_token=_signed(
            runtime, _Claims(_REFRESH, token_id, principal, now + timedelta(seconds=_REFRESH_SECONDS))
        ),
        token_id=token_id,
        principal=principal,
    )
    reply.expires_at.FromDatetime(now + lifetime)
    await runtime.tell("auth.token.issued", principal_id=principal.principal_id, token_id=token_id)
    return reply


async def verify(runtime: Runtime, request: VerifyTokenRequest) -> VerifyTokenReply:
    """Tell whether a token holds."""
    claims = _read(runtime, request.access_token, _ACCESS)
    if claims is None:
        return VerifyTokenReply(fault=TOKEN_FAULT_INVALID)
    now = runtime.now()
    if claims.expires <= now:
        return VerifyTokenReply(fault=TOKEN_FAULT_EXPIRED)
    if await runtime.store.find(Struct, _REVOKED, claims.token_id) is not None:
        return VerifyTokenReply(fault=TOKEN_FAULT_REVOKED)
    reply = VerifyTokenReply(valid=True, principal=claims.principal)
    reply.remaining.FromTimedelta(claims.expires - now)
    return reply


async def revoke(runtime: Runtime, request: RevokeTokenRequest) -> RevokeTokenReply:
    """Take a token back, and the one that renews it."""
    if not _is_live(runtime, request.token_id):
        return RevokeTokenReply(revoked=False)
    revoked = await runtime.store.add(Struct(), _REVOKED, request.token_id)
    if revoked:
        await runtime.tell("auth.token.revoked", token_id=request.token_id)
    return RevokeTokenReply(revoked=revoked)


async def check(runtime: Runtime, request: CheckPermissionRequest) -> CheckPermissionReply:
    """Tell whether a principal may do something; one who is in no setting may what a player may."""
    users = _mapping(await runtime.setting("auth.users", {}))
    keys = _mapping(await runtime.setting("auth.api.keys", {}))
    allowed = _mapping(await runtime.setting("auth.roles", _ROLES))
    found = [
        each for each in (*users.values(), *keys.values()) if _mapping(each).get("principal_id") == request.principal_id
    ]
    roles = [role for each in found for role in _principal(each).roles] if found else _UNKNOWN_ROLES
    for role in roles:
        patterns = allowed.get(role)
        if isinstance(patterns, list) and any(_covers(str(pattern), request.permission) for pattern in patterns):
            return CheckPermissionReply(allowed=True, decided_by_role=role)
    return CheckPermissionReply(allowed=False)


async def _by_password(runtime: Runtime, name: str, password: str) -> Principal:
    known = _mapping(await runtime.setting("auth.users", {})).get(name)
    kept = str(_mapping(known).get("password", _NOBODY))
    fits = await asyncio.to_thread(_is_password, password, kept)
    if not fits or known is None:
        raise UnauthenticatedError("the name is not known, or the password is another one")
    return _principal(known)


async def _by_key(runtime: Runtime, key: str) -> Principal:
    keys = _mapping(await runtime.setting("auth.api.keys", {}))
    digest = hashlib.sha256(key.encode()).hexdigest()
    known = next((each for name, each in keys.items() if hmac.compare_digest(name.encode(), digest.encode())), None)
    if known is None:
        raise UnauthenticatedError("this API key is not known")
    return _principal(known)


async def _by_refresh_token(runtime: Runtime, token: str) -> Principal:
    claims = _read(runtime, token, _REFRESH)
    if claims is None or claims.expires <= runtime.now():
        raise UnauthenticatedError("this refresh token does not hold")
    # It renews once: the token that it came with ends here, and whoever has a copy of either has nothing.
    if not await runtime.store.add(Struct(), _REVOKED, claims.token_id):
        raise UnauthenticatedError("this refresh token does not hold")
    return claims.principal


def _is_password(password: str, kept: str) -> bool:
    try:
        algorithm, n, r, p, salt, expected = kept.split("$")
        cost, block, parallel = int(n), int(r), int(p)
        if algorithm != "scrypt" or cost > _MOST_SCRYPT or block * parallel > 2**7:
            return False
        digest = hashlib.scrypt(
            password.encode(), salt=base64.b64decode(salt), n=cost, r=block, p=parallel, maxmem=2**28, dklen=32
        )
        return hmac.compare_digest(digest, base64.b64decode(expected))
    except (ValueError, binascii.Error):
        return False


def _principal(known: object) -> Principal:
    entry = _mapping(known)
    roles = entry.get("roles")
    return Principal(
        principal_id=str(entry.get("principal_id", "")),
        roles=[str(role) for role in roles] if isinstance(roles, list) else [],
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _covers(pattern: str, permission: str) -> bool:
    return pattern in {"*", permission} or (pattern.endswith(".*") and permission.startswith(pattern[:-1]))


def _key(runtime: Runtime) -> bytes:
    key = runtime.variables.get("TOKEN_SIGNING_KEY", "")
    if len(key) < _SHORTEST_KEY:
        raise ConfigurationError(f"TOKEN_SIGNING_KEY is not set, or shorter than {_SHORTEST_KEY} characters")
    return key.encode()


def _mac(runtime: Runtime, purpose: str, data: bytes) -> bytes:
    return hmac.digest(_key(runtime), purpose.encode() + b"\0" + data, "sha256")


def _signed(runtime: Runtime, claims: _Claims) -> str:
    plain = {
        "kind": claims.kind,
        "id": claims.token_id,
        "sub": claims.principal.principal_id,
        "roles": list(claims.principal.roles),
        "exp": int(claims.expires.timestamp()),
    }
    payload = _encoded(json.dumps(plain, separators=(",", ":")).encode())
    return f"{payload}.{_encoded(_mac(runtime, 'token', payload.encode()))}"


def _read(runtime: Runtime, token: str, kind: str) -> _Claims | None:
    """Return what a token says; nothing where it is none of ours. Its time is not looked at."""
    payload, _, signature = token.partition(".")
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        return None
    if not hmac.compare_digest(signature, _encoded(_mac(runtime, "token", payload.encode()))):
        return None
    plain = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if plain["kind"] != kind:
        return None
    principal = Principal(principal_id=plain["sub"], roles=plain["roles"])
    return _Claims(kind, plain["id"], principal, datetime.fromtimestamp(plain["exp"], UTC))


def _new_token_id(runtime: Runtime, ends: datetime) -> str:
    named = f"{int(ends.timestamp()):x}-{secrets.token_hex(8)}"
    return f"{named}-{_mac(runtime, 'id', named.encode()).hex()[:24]}"


def _is_live(runtime: Runtime, token_id: str) -> bool:
    """Tell whether an identifier is of a token that we gave, and that may hold still."""
    named, _, mac = token_id.rpartition("-")
    if not hmac.compare_digest(mac, _mac(runtime, "id", named.encode()).hex()[:24]):
        return False
    return int(named.partition("-")[0], 16) > runtime.now().timestamp()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


ANSWERS = {
    IssueTokenRequest: issue,
    VerifyTokenRequest: verify,
    RevokeTokenRequest: revoke,
    CheckPermissionRequest: check,
}
