"""What the catalog asks of JetStream, in JetStream's own words: a key-value bucket is a stream, as ADR-8 lays it down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NANOSECONDS = 1_000_000_000
BUCKET_PREFIX = "KV_"
_DUPLICATES_SECONDS = 120
Plain = Mapping[str, Any]


def streams(asked: Plain, replicas: int) -> dict[str, dict[str, Any]]:
    """Return the configuration of every stream by its name, those of the buckets among them."""
    named = {name: _stream(name, plain, replicas) for name, plain in asked.get("streams", {}).items()}
    buckets = {
        f"{BUCKET_PREFIX}{name}": _bucket(name, plain, replicas) for name, plain in asked.get("buckets", {}).items()
    }
    return {**named, **buckets}


def consumers(asked: Plain) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each consumer's stream and configuration: durable, pulled, and every message acknowledged."""
    for name, plain in asked.get("consumers", {}).items():
        yield (
            plain["stream"],
            {
                "name": name,
                "durable_name": name,
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "replay_policy": "instant",
                "filter_subjects": sorted(plain.get("filter_subjects") or []),
                "ack_wait": plain["ack_wait_seconds"] * NANOSECONDS,
                "max_deliver": plain["max_deliver"],
                "max_ack_pending": plain["max_ack_pending"],
            },
        )


def _stream(name: str, plain: Plain, replicas: int) -> dict[str, Any]:
    age = plain.get("max_age_seconds") or 0
    return {
        **_common(name, plain, replicas),
        "subjects": list(plain["subjects"]),
        "retention": plain["retention"],
        "discard": plain["discard"],
        "max_age": age * NANOSECONDS,
        "max_msg_size": plain.get("max_message_bytes") or -1,
        "duplicate_window": _within(plain["duplicate_window_seconds"], age) * NANOSECONDS,
    }


def _bucket(name: str, plain: Plain, replicas: int) -> dict[str, Any]:
    age = plain.get("ttl_seconds") or 0
    return {
        **_common(f"{BUCKET_PREFIX}{name}", plain, replicas),
        "subjects": [f"$KV.{name}.>"],
        "retention": "limits",
        "discard": "new",
        "max_age": age * NANOSECONDS,
        "max_msgs_per_subject": plain["history"],
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "duplicate_window": _within(_DUPLICATES_SECONDS, age) * NANOSECONDS,
    }


def _common(name: str, plain: Plain, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "storage": "file",
        "num_replicas": replicas,
        "max_bytes": plain["max_bytes"],
        "allow_direct": True,
    }


def _within(seconds: int, age_seconds: int) -> int:
    """Return a window for duplicates; the server takes none that is longer than a message is kept."""
    return min(seconds, age_seconds) if age_seconds else seconds
