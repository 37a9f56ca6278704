"""Whether a change of a stream would lose messages that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from nats_platform.node.go_time import parse
from nats_platform.node.wanted_streams import NANOSECONDS

REBUILT = ("retention", "storage")
"""What the server changes in no stream that is there, or only some ways."""


def losses(wanted: Mapping[str, Any], info: Mapping[str, Any], held_subjects: Sequence[str]) -> Iterator[str]:
    """Yield what would be lost, and why.

    Args:
        wanted: The configuration to come.
        info: What `STREAM.INFO` says of the stream now.
        held_subjects: The subjects of the messages that it holds.
    """
    config, state = info["config"], info["state"]
    if not state["messages"]:
        return
    for key in REBUILT:
        if wanted[key] != config[key]:
            yield f"{key} {wanted[key]} for {config[key]} makes it anew without its {state['messages']} messages"
    if _limited(wanted["max_bytes"]) and wanted["max_bytes"] < state["bytes"]:
        yield f"max_bytes {wanted['max_bytes']} is less than the {state['bytes']} bytes that it holds"
    if _limited(age := wanted["max_age"]):
        oldest = _now(info) - timedelta(seconds=age / NANOSECONDS)
        if parse(state["first_ts"]) < oldest:
            yield f"max_age {age // NANOSECONDS} s is less than the age of the oldest message, of {state['first_ts']}"
    for key in ("max_msgs", "max_msgs_per_subject"):
        before = config.get(key, -1)
        if key in wanted and _limited(wanted[key]) and (wanted[key] < before or not _limited(before)):
            yield f"{key} {wanted[key]} for {before if _limited(before) else 'no limit'} drops what is older"
    if left := sorted(each for each in held_subjects if not any(matches(each, of) for of in wanted["subjects"])):
        yield f"it holds messages of {', '.join(left[:3])}{' …' if left[3:] else ''}, which it would not keep any more"


def matches(subject: str, pattern: str) -> bool:
    """Tell whether a subject is one of those that a pattern stands for."""
    words, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(words) == len(wanted) and all(each in {"*", word} for word, each in zip(words, wanted))


def _limited(value: int) -> bool:
    return value > 0


def _now(info: Mapping[str, Any]) -> datetime:
    """Return the server's time, by which it drops what is too old."""
    return parse(info["ts"])
