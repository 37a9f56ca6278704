"""What a node sends to CloudWatch: numbers that are right after a restart too, and the log in batches that are taken."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nats_platform.node import journal, metrics
from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import RefusedError
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


# --- what is measured --------------------------------------------------------------------------------------------------------

NOON = 1_785_326_400.0  # 2026-07-29T12:00:00Z


class Told:
    """A server's monitoring, of a node that is well but for what a test says."""

    def __init__(self) -> None:
        self.unhealthy = ""
        self.routes = ["nats-2", "nats-2", "nats-3"]
        self.leader = "nats-2"
        self.stored = 0
        self.lags = [0]
        """How far a replica is behind, look by look, and as the last time for ever."""

    def fault(self, path: str) -> str:
        assert path == "/healthz"
        return self.unhealthy

    def get(self, path: str) -> Any:
        return {
            "/varz": varz(0, "2026-07-29T12:00:00Z"),
            "/jsz": self._jsz() if path.startswith("/jsz") else None,
            "/connz": {"connections": []},
            "/routez": {"routes": [{"remote_name": name} for name in self.routes]},
        }[path.partition("?")[0]]

    def _jsz(self) -> dict[str, Any]:
        lag = self.lags.pop(0) if len(self.lags) > 1 else self.lags[0]
        stream = {"cluster": {"leader": "nats-1", "replicas": [{"name": "nats-3", "lag": lag}]}}
        return {
            "meta_cluster": {"leader": self.leader},
            "storage": self.stored,
            "config": {"max_storage": 400},
            "account_details": [{"stream_detail": [stream]}],
        }


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the monitoring says; the machine has a quarter of its disk left, and there is no backup."""
    told = Told()
    monkeypatch.setattr(metrics, "Monitor", lambda _: told)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=400, f_bavail=100))
    monkeypatch.setattr(Bucket, "find", lambda *_: None)
    return told


def measured(memory: metrics.Memory | None = None, now: float = NOON) -> dict[str, float]:
    found = metrics.measure(SETTINGS, memory or metrics.Memory(), now, sleep=lambda _: None)
    return {name: value for numbers in found.values() for name, value in numbers.items()}


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ({}, "routes_missing", 0),
        ({"routes": ["nats-2", "nats-2"]}, "routes_missing", 1),
        ({"routes": []}, "routes_missing", 2),
        ({}, "leaderless", 0),
        ({"leader": ""}, "leaderless", 1),
        ({}, "unhealthy", 0),
        ({"unhealthy": "/healthz answers 503"}, "unhealthy", 1),
        ({"stored": 300}, "store_used_percent", 75),
        ({}, "disk_used_percent", 75),
        ({"lags": [3]}, "replica_lag", 3),
        ({"lags": [7, 5, 2, 5, 9]}, "replica_lag", 2),
        ({"lags": [3, 0]}, "replica_lag", 0),
    ],
    ids=json.dumps,
)
def test_each_number_tells_of_what_its_alarm_is_for(
    told: Told, change: dict[str, Any], name: str, value: float
) -> None:
    vars(told).update(change)

    assert measured()[name] == value


@pytest.mark.usefixtures("told")
def test_numbers_that_were_sent_are_not_sent_again_because_the_log_was_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, root=tmp_path)
    sent: list[str] = []
    monkeypatch.setattr(Aws, "put_events", lambda _, __, stream, ___: sent.append(stream))
    monkeypatch.setattr(metrics, "ship", lambda *_: refused())
    monkeypatch.setattr(Told, "get", lambda self, path, get=Told.get: {**get(self, path), "slow_consumers": 4})

    with pytest.raises(RefusedError, match="AccessDenied"):
        metrics.send_metrics(settings, now=NOON)

    assert sent == ["nats-1/metrics"]
    assert metrics.Memory.load(settings.state / "metrics.json").slow_consumers == 4


def refused() -> bytes:
    raise RefusedError("AccessDenied")


def test_the_memory_in_use_is_what_the_kernel_cannot_give() -> None:
    assert metrics._memory_used("MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 200 kB\n") == 80  # noqa: SLF001 - the kernel's own cannot be set


@pytest.mark.usefixtures("told")
def test_the_age_of_the_last_backup_is_told_in_hours_and_the_bucket_seldom_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def find(_: object, key: str) -> bytes:
        asked.append(key)
        return b'{"completed_at": "2026-07-29T09:00:00Z"}'

    monkeypatch.setattr(Bucket, "find", find)
    memory = metrics.Memory()

    ages = [measured(memory, NOON + seconds)["backup_age_hours"] for seconds in (0, 360, 720)]

    assert ages == [3, 3.1, 3.2]
    assert asked == ["backups/latest.json"] * 2


@pytest.mark.usefixtures("told")
def test_a_cluster_without_any_backup_tells_how_long_it_has_run_without() -> None:
    assert measured()["backup_age_hours"] == 2


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("body", ["no JSON", "{}", None])
def test_a_bucket_that_does_not_tell_leaves_the_last_backup_that_is_known_and_it_grows_old(
    monkeypatch: pytest.MonkeyPatch, body: str | None
) -> None:
    def find(*_: object) -> bytes:
        return refused() if body is None else body.encode()

    monkeypatch.setattr(Bucket, "find", find)

    assert measured(metrics.Memory(backup=NOON - 14 * 3600))["backup_age_hours"] == 14


# --- the log -----------------------------------------------------------------------------------------------------------------


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


def journalctl(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    path = folder / "journalctl"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_of_a_flood_each_run_takes_so_many_lines_and_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = json.dumps({"MESSAGE": "refused", "__REALTIME_TIMESTAMP": "1000", "__CURSOR": "c"})
    journalctl(monkeypatch, tmp_path, f"while echo '{line}'; do :; done")
    monkeypatch.setattr(journal, "LINES", 10)
    sent: list[int] = []
    monkeypatch.setattr(Aws, "put_events", lambda *words: sent.append(len(words[-1])))

    assert journal.ship(Aws("eu-west-1"), "group", "stream", "") == "c"
    assert sent == [10]


def test_a_journal_that_cannot_be_read_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    journalctl(monkeypatch, tmp_path, "echo 'No journal files were found.' >&2; exit 1")

    with pytest.raises(RefusedError, match="journalctl: No journal files were found"):
        journal.ship(Aws("eu-west-1"), "group", "stream", "")
