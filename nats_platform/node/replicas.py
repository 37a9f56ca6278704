"""Whether every replica of what JetStream keeps has all that its leader has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.jetstream import JetStream

_LOOKS = 5
_PAUSE_SECONDS = 0.2
_SEEN_NANOSECONDS = 2_000_000_000


async def findings(jetstream: JetStream) -> list[str]:
    """Return what is wrong with any replica of any stream or consumer, as the leaders see it."""
    found = []
    try:
        for stream in await jetstream.streams():
            name, copies = stream["config"]["name"], stream["config"]["num_replicas"]
            found += await _of_one(jetstream, f"STREAM.INFO.{name}", stream, copies)
            for consumer in await jetstream.consumers(name):
                subject = f"CONSUMER.INFO.{name}.{consumer['name']}"
                found += await _of_one(jetstream, subject, consumer, consumer["config"]["num_replicas"] or copies)
    except RefusedError as error:
        found.append(str(error))
    return found


async def _of_one(jetstream: JetStream, subject: str, first: Mapping[str, Any], copies: int) -> list[str]:
    """Look again at what is behind: under load something is on its way at any moment, and only what stays behind is wrong."""
    wrong = behind(first, first, copies)
    for _ in range(_LOOKS - 1):
        if not wrong:
            break
        await asyncio.sleep(_PAUSE_SECONDS)
        wrong = behind(first, await jetstream.ask(subject), copies)
    name = subject.partition(".INFO.")
    return [f"{name[0].lower()} {name[2]}: {each}" for each in wrong]


def behind(first: Mapping[str, Any], now: Mapping[str, Any], copies: int) -> list[str]:
    """Return which replicas are behind.

    One that lags is not, if by now it has all that the leader had at the first look.
    """
    cluster = now.get("cluster") or {}
    if not cluster.get("leader"):
        return ["has no leader"]
    replicas = cluster.get("replicas") or []
    wrong = [f"has {len(replicas) + 1} of {copies} replicas"] if len(replicas) + 1 < copies else []
    passed = _position(now) - _position(first)
    for replica in replicas:
        lag = replica.get("lag", 0)
        seen = not replica.get("offline") and replica.get("active", 0) < _SEEN_NANOSECONDS
        if not (seen and (lag <= passed if lag else replica.get("current"))):
            wrong.append(f"{replica['name']} is {_state(replica)}")
    return wrong


def _state(replica: Mapping[str, Any]) -> str:
    if replica.get("offline"):
        return "offline"
    return f"{replica['lag']} behind" if replica.get("lag") else "not current"


def _position(info: Mapping[str, Any]) -> int:
    """Return how far a stream or a consumer has come."""
    if "state" in info:
        return int(info["state"]["last_seq"])
    return int(info["delivered"]["consumer_seq"]) + int(info["ack_floor"]["consumer_seq"])
