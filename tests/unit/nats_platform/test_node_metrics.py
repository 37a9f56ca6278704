"""What a node sends to CloudWatch: numbers that are right after a restart too, and the log in batches that are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nats_platform.node import journal, metrics
from nats_platform.node.settings import Settings

SETTINGS = Settings.told({
    "NODE": "nats-1", "NODES": "nats-1 nats-2 nats-3", "ENVIRONMENT": "test", "REGION": "eu-west-1", "BUCKET": "a",
    "CERTIFICATES_BUCKET": "b", "NODE_DOMAIN": "nats.acme.internal", "LOG_GROUP": "/nats/test",
})  # fmt: skip


def varz(slow: int, now: str, start: str = "2026-07-29T10:00:00Z") -> dict[str, Any]:
    return {"slow_consumers": slow, "start": start, "now": now}


def closed(reason: str, stop: str, ip: str = "10.0.0.7") -> dict[str, str]:
    return {"reason": reason, "stop": stop, "ip": ip}


def test_a_number_that_grows_is_sent_as_what_came_since_the_last_run() -> None:
    memory = metrics.Memory()
    first = metrics.since_last(memory, varz(3, "2026-07-29T10:01:00Z"), [])
    second = metrics.since_last(memory, varz(5, "2026-07-29T10:02:00Z"), [])

    assert (first["slow_consumers"], second["slow_consumers"]) == (3, 2)


def test_a_server_that_started_anew_counts_from_nothing() -> None:
    memory = metrics.Memory()
    metrics.since_last(memory, varz(9, "2026-07-29T10:01:00Z"), [])

    after = metrics.since_last(memory, varz(1, "2026-07-29T10:05:00Z", start="2026-07-29T10:04:00Z"), [])

    assert after["slow_consumers"] == 1


def test_who_was_refused_is_counted_once_and_who_left_is_not() -> None:
    memory = metrics.Memory()
    ends = [
        closed("Authentication Failure", "2026-07-29T10:00:30.5Z"),
        closed("TLS Handshake Failure", "2026-07-29T10:00:31Z"),
        closed("Client Closed", "2026-07-29T10:00:32Z"),
        closed("TLS Handshake Failure", "2026-07-29T10:00:33Z", ip="127.0.0.1"),  # our own look at the port
    ]
    first = metrics.since_last(memory, varz(0, "2026-07-29T10:01:00Z"), ends)
    second = metrics.since_last(memory, varz(0, "2026-07-29T10:02:00Z"), ends)

    assert (first["authentication_failures"], second["authentication_failures"]) == (2, 0)


def test_a_memory_that_is_damaged_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text('{"unknown": 1}')

    assert metrics.Memory.load(path) == metrics.Memory()
    assert metrics.Memory.load(tmp_path / "none") == metrics.Memory()


def test_lag_is_what_the_leaders_say_alone() -> None:
    def led_by(leader: str, lag: int) -> dict[str, Any]:
        return {"cluster": {"leader": leader, "replicas": [{"name": "nats-3", "lag": lag}]}}

    streams = [{**led_by("nats-1", 4), "consumer_detail": [led_by("nats-1", 6)]}, led_by("nats-2", 99)]

    assert metrics.lags({"account_details": [{"stream_detail": streams}]}, "nats-1") == [4, 6]


def test_a_line_has_two_dimensions_and_its_numbers_beside() -> None:
    line = metrics.line(SETTINGS, "nats", {"routes_missing": 0.0}, now=1.5)

    declared = line["_aws"]["CloudWatchMetrics"][0]
    assert line["_aws"]["Timestamp"] == 1500
    assert declared["Dimensions"] == [["Environment", "Service"]]
    assert [metric["Name"] for metric in declared["Metrics"]] == ["routes_missing"]
    assert (line["Environment"], line["Service"], line["routes_missing"]) == ("test", "nats", 0.0)


def lines(*texts: str) -> list[dict[str, Any]]:
    """Return lines of a journal, the later ones with earlier times: clocks are set."""
    return [
        {"MESSAGE": text, "__REALTIME_TIMESTAMP": str((1000 - index) * 1000), "__CURSOR": f"c{index}"}
        for index, text in enumerate(texts)
    ]


def test_the_log_goes_in_the_order_of_time_and_the_cursor_is_that_of_the_last_line() -> None:
    ((batch, cursor),) = journal.batches(lines("one", "two"))

    assert batch == [(999, "two"), (1000, "one")]
    assert cursor == "c1"


@pytest.mark.parametrize(
    ("limit", "value"),
    [("BATCH_LINES", 2), ("BATCH_BYTES", 2 * (3 + 26)), ("BATCH_MILLISECONDS", 1)],
    ids=["by lines", "by bytes", "by time"],
)
def test_a_long_log_is_cut_into_batches(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(journal, limit, value)

    found = list(journal.batches(lines("one", "two", "six")))

    assert [(len(batch), cursor) for batch, cursor in found] == [(2, "c1"), (1, "c2")]


def test_a_line_without_text_or_of_endless_text_is_sent_all_the_same() -> None:
    as_bytes: dict[str, Any] = {**lines("")[0], "MESSAGE": [1, 2]}  # the journal's own way to write what is no text
    odd = [*lines(""), as_bytes, *lines("x" * 100_000)]

    ((batch, _),) = journal.batches(odd)

    assert [len(text) for _, text in batch] == [len("(no text)")] * 2 + [journal.LINE_BYTES]
    assert json.dumps(batch)
