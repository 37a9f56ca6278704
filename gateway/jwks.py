"""The keys that sign JWTs: read from a file, an https address or the setting itself, and read again in bounds."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jwt

from sdk import ConfigurationError

_log = logging.getLogger(__name__)
_MOST_BYTES = 256 * 2**10
_MOST_KEYS = 64
_FETCH_SECONDS = 5.0
REFRESH_SECONDS = 300.0
"""After which the keys are read again, so that one that was withdrawn holds no longer."""
UNKNOWN_KEY_SECONDS = 30.0
"""At most so often they are read again because of a token with an unknown key: anybody can make one up."""
STALE_SECONDS = 3600.0
"""For how long keys hold that cannot be read again."""

# A key says by its kind which algorithm it is for; what a token says must be that one. So no public key is ever taken for a secret.
_ALGORITHMS = MappingProxyType({("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"})
ALGORITHMS = frozenset(_ALGORITHMS.values())


class KeysUnavailableError(Exception):
    """There are no keys that may be relied on now."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: keys come from where the setting says."""


class KeySet:
    """Public keys by their identifiers.

    Args:
        source: An https address, the path of a file, or the key set itself as JSON.
        clock: Seconds that never go back.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read = -STALE_SECONDS
        self._tried = -STALE_SECONDS
        self._reading: asyncio.Task[None] | None = None
        if source.startswith("http:") or (not source.startswith(("https://", "/", "{"))):
            raise ConfigurationError(
                "GATEWAY_JWKS is neither an https address, nor the absolute path of a file, nor a key set as JSON"
            )
        if source.startswith("{"):
            self._take(source.encode())

    async def get(self, key_id: str) -> jwt.PyJWK | None:
        """Return a key; None where there is none of this name.

        Raises:
            KeysUnavailableError: The keys cannot be read, and have not been for long.
        """
        now = self._clock()
        if not self._source.startswith("{"):
            is_old = now - self._read >= REFRESH_SECONDS
            wait = UNKNOWN_KEY_SECONDS if self._keys else 1.0
            is_reading = self._reading is not None and not self._reading.done()
            if (is_old or key_id not in self._keys) and now - self._tried >= wait and not is_reading:
                self._tried = now
                self._reading = asyncio.create_task(self._refresh())
            # A known key does not wait for the next reading.
            if self._reading is not None and (key_id not in self._keys or now - self._read >= STALE_SECONDS):
                await asyncio.shield(self._reading)
            if self._clock() - self._read >= STALE_SECONDS:
                raise KeysUnavailableError
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        try:
            self._take(await asyncio.to_thread(self._fetch))
        except (OSError, http.client.HTTPException, ValueError, ConfigurationError) as error:
            _log.warning(
                "the keys of GATEWAY_JWKS cannot be read; the last ones hold for now", extra={"why": str(error)}
            )

    def _fetch(self) -> bytes:
        if self._source.startswith("/"):
            with Path(self._source).open("rb") as file:
                return file.read(_MOST_BYTES + 1)
        opener = urllib.request.build_opener(_NoRedirects)
        request = urllib.request.Request(self._source, headers={"Accept": "application/json"})  # noqa: S310  # https, as checked
        with opener.open(request, timeout=_FETCH_SECONDS) as answer:
            data: bytes = answer.read(_MOST_BYTES + 1)
        return data

    def _take(self, data: bytes) -> None:
        """Use a key set from now on; keys of other kinds than ours are left out, secrets above all."""
        if len(data) > _MOST_BYTES:
            raise ConfigurationError(f"the key set has more than {_MOST_BYTES} bytes")
        try:
            entries = json.loads(data)["keys"]
            keys = {str(entry["kid"]): _key(entry) for entry in entries[:_MOST_KEYS] if _algorithm(entry)}
        except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise ConfigurationError(f"it is no key set ({type(error).__name__})") from error
        if not keys:
            names = ", ".join(sorted(ALGORITHMS))
            raise ConfigurationError(f"the key set has no key with a `kid` for one of {names}")
        self._keys, self._read = keys, self._clock()


def _algorithm(entry: Mapping[str, Any]) -> str | None:
    kind, curve = entry.get("kty"), entry.get("crv")
    algorithm = _ALGORITHMS.get((kind, None if kind == "RSA" else curve)) if isinstance(kind, str) else None
    usable = (
        "kid" in entry and entry.get("use", "sig") == "sig" and entry.get("alg", algorithm) in {algorithm, "Ed25519"}
    )
    return algorithm if usable else None


def _key(entry: Mapping[str, Any]) -> jwt.PyJWK:
    public = {name: value for name, value in entry.items() if name in {"kty", "crv", "n", "e", "x", "y", "kid", "use"}}
    return jwt.PyJWK(public, algorithm=_algorithm(entry))
