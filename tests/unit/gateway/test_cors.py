"""Pages of the origins that are set may call, and no others."""

from __future__ import annotations

import pytest

from gateway.cors import Cors
from gateway.exchange import Exchange, Message

PAGE = "https://play.example.com"


def exchange(**headers: str) -> Exchange:
    async def nothing(*_: Message) -> Message:
        return {}

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": "OPTIONS", "raw_path": b"/", "query_string": b"", "headers": sent, "http_version": "1.1"}
    return Exchange(scope, nothing, nothing)  # type: ignore[arg-type]  # nothing is sent or received


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ([PAGE], PAGE, PAGE),
        ([PAGE], "https://play.example.com.evil.example", None),
        ([PAGE], "https://PLAY.example.com", None),
        ([PAGE], "null", None),
        ([], PAGE, None),
        (["*"], "https://any.example", "*"),
    ],
)
def test_an_origin_is_let_in_or_not_told_of(origins: list[str], origin: str, allowed: str | None) -> None:
    asked = exchange(origin=origin, access_control_request_method="PUT")
    headers = dict([*Cors(origins).headers(asked), *Cors(origins).preflight(asked, ["PUT"])])
    assert headers.get(b"access-control-allow-origin") == (allowed.encode() if allowed else None)
    assert (b"access-control-allow-methods" in headers) == (allowed is not None)
    assert b"access-control-allow-credentials" not in headers


def test_answers_that_differ_by_origin_say_so_to_caches() -> None:
    assert (b"vary", b"origin") in Cors([PAGE]).headers(exchange())
