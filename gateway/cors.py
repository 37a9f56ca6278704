"""Which pages' scripts may call, by the rules that browsers hold to (CORS). Tokens travel in headers, so no cookies are ever let in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.exchange import Exchange

_REQUEST_HEADERS = b"authorization, content-type, last-event-id, timeout-ms, traceparent, x-api-key, x-request-id"
_EXPOSED_HEADERS = b"retry-after, traceparent, x-request-id"
_PREFLIGHT_SECONDS = b"600"


class Cors:
    """Says it in headers.

    Args:
        origins: Of the pages; `*` for all, none for none.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._is_on = bool(self._origins)

    def headers(self, exchange: Exchange) -> Sequence[tuple[bytes, bytes]]:
        """Return what a response says to the page that asked."""
        if not self._is_on:
            return ()
        origin = exchange.headers.get(b"origin", b"")
        vary = (b"vary", b"origin")
        if b"*" in self._origins:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED_HEADERS)]
        if origin not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED_HEADERS), vary]

    def preflight(self, exchange: Exchange, methods: Sequence[str]) -> Sequence[tuple[bytes, bytes]]:
        """Return what else the answer to a browser's question says, before it sends the request itself."""
        origin = exchange.headers.get(b"origin", b"")
        asked = b"access-control-request-method" in exchange.headers
        if not asked or not (b"*" in self._origins or origin in self._origins):
            return ()
        return [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
