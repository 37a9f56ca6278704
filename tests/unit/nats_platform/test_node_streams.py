"""What a change of a stream would lose, and how the catalog's words become JetStream's."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from nats.errors import NoRespondersError

from nats_platform.node import jetstream, wanted_streams
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.go_time import parse
from nats_platform.node.jetstream import ATTEMPTS, ApiError, JetStream, UnansweredError
from nats_platform.node.losses import losses, matches
from nats_platform.node.streams import Changes, bring_about

DAY_SECONDS = 86_400
PLAIN = {
    "subjects": ["orders.>"],
    "max_bytes": 1000,
    "max_age_seconds": 10 * DAY_SECONDS,
    "max_message_bytes": None,
    "retention": "limits",
    "discard": "old",
    "duplicate_window_seconds": 120,
}
CONSUMER = {
    "stream": "ORDERS",
    "filter_subjects": ["orders.paid"],
    "ack_wait_seconds": 30,
    "max_deliver": 5,
    "max_ack_pending": 100,
}


def stream(**changes: Any) -> dict[str, Any]:
    return wanted_streams.streams({"streams": {"ORDERS": {**PLAIN, **changes}}}, 3)["ORDERS"]


def bucket(**changes: Any) -> dict[str, Any]:
    plain = {"max_bytes": 1000, "history": 5, "ttl_seconds": None, **changes}
    return wanted_streams.streams({"buckets": {"carts": plain}}, 3)["KV_carts"]


def info(config: dict[str, Any], **state: Any) -> dict[str, Any]:
    """Return what JetStream says of a stream of five days' messages, 800 bytes in all."""
    whole = {"messages": 8, "bytes": 800, "first_ts": "2026-07-24T10:00:00.123456789Z", **state}
    return {"config": config, "state": whole, "ts": "2026-07-29T10:00:00.5Z"}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (stream(), None),
        (stream(max_bytes=800), None),
        (stream(max_bytes=799), "max_bytes 799 is less than the 800 bytes"),
        (stream(max_age_seconds=6 * DAY_SECONDS), None),
        (stream(max_age_seconds=4 * DAY_SECONDS), "max_age 345600 s is less than the age of the oldest message"),
        (stream(max_age_seconds=None), None),
        (stream(retention="workqueue"), "retention workqueue for limits makes it anew without its 8 messages"),
        (stream(subjects=["orders.paid"]), "it holds messages of orders.made, which it would not keep any more"),
        (stream(subjects=["orders.paid", "orders.made"]), None),
        (stream(discard="new"), None),
        (stream(max_message_bytes=1), None),
    ],
)
def test_only_a_change_that_would_drop_what_is_held_is_a_loss(wanted: dict[str, Any], told: str | None) -> None:
    found = list(losses(wanted, info(stream()), ["orders.paid", "orders.made"]))

    assert found == [] if told is None else (len(found) == 1 and told in found[0])


def test_all_that_is_kept_is_on_the_disks_of_three_nodes_with_its_room_set_aside() -> None:
    kept = [{key: each[key] for key in ("storage", "num_replicas", "max_bytes")} for each in (stream(), bucket())]

    assert kept == [{"storage": "file", "num_replicas": 3, "max_bytes": 1000}] * 2
    assert (stream()["retention"], stream()["discard"], bucket()["discard"]) == ("limits", "old", "new")


def test_an_empty_stream_has_nothing_to_lose() -> None:
    wanted = stream(max_bytes=1, retention="interest", subjects=["other.>"])

    assert not list(losses(wanted, info(stream(), messages=0, bytes=0), []))


def test_less_history_of_a_bucket_is_a_loss_and_more_is_none() -> None:
    assert list(losses(bucket(history=1), info(bucket()), [])) == [
        "max_msgs_per_subject 1 for 5 drops what is older",
    ]
    assert not list(losses(bucket(history=6), info(bucket()), []))


def test_a_bucket_is_the_stream_that_every_client_takes_for_one() -> None:
    config = bucket(ttl_seconds=60)

    assert config["subjects"] == ["$KV.carts.>"]
    assert config["max_msgs_per_subject"] == 5
    assert config["max_age"] == 60 * wanted_streams.NANOSECONDS
    assert config["duplicate_window"] == config["max_age"]  # it may not be longer than a value is kept
    assert {"allow_direct", "allow_rollup_hdrs", "deny_delete"} <= {
        key for key, value in config.items() if value is True
    }


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.*", True),
        ("a.b.c", "a.*", False),
        ("a.b.c", "a.>", True),
        ("a", "a.>", False),
        ("a.b.c", "*.b.>", True),
        ("a", ">", True),
    ],
)
def test_patterns_match_as_the_server_matches(subject: str, pattern: str, *, expected: bool) -> None:
    assert matches(subject, pattern) is expected


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-07-29T10:00:00Z", 0),
        ("2026-07-29T10:00:00.5Z", 500_000),
        ("2026-07-29T12:00:00.123456789+02:00", 123_456),
    ],
)
def test_times_of_go_are_read_whatever_they_have_behind_the_point(text: str, microsecond: int) -> None:
    assert parse(text).isoformat().startswith("2026-07-29T10:00:00")
    assert parse(text).microsecond == microsecond


# --- what the cluster cannot do just now -------------------------------------------------------------------------------------


class Asked:
    """Something to do, which ends as it is told to, and well after that."""

    def __init__(self, *endings: RefusedError) -> None:
        self.endings = list(endings)
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self.endings:
            raise self.endings.pop(0)


async def at_once(_: float) -> None: ...


NO_PEERS = ApiError(
    "STREAM.CREATE.A", {"code": 400, "err_code": 10005, "description": "no suitable peers for placement"}
)
UNAVAILABLE = ApiError("STREAM.CREATE.A", {"code": 503, "err_code": 10008, "description": "temporarily unavailable"})
WRONG = ApiError("STREAM.CREATE.A", {"code": 400, "err_code": 10052, "description": "invalid configuration"})


@pytest.mark.parametrize("error", [NO_PEERS, UNAVAILABLE, UnansweredError("no answer within 10 s")])
async def test_what_the_cluster_cannot_do_just_now_is_asked_for_again(error: RefusedError) -> None:
    changes, work = Changes(dry_run=False), Asked(error, error)

    await changes.make("stream A: made", work, at_once)

    assert (changes.changed, changes.refused, work.times) == (["stream A: made"], [], 3)


async def test_what_the_cluster_never_can_do_is_told_of_in_the_end() -> None:
    changes, work = Changes(dry_run=False), Asked(*[UNAVAILABLE] * ATTEMPTS)

    await changes.make("stream A: made", work, at_once)

    assert changes.refused == ["stream A: made: STREAM.CREATE.A: temporarily unavailable"]
    assert (changes.changed, work.times) == ([], ATTEMPTS)


async def test_what_is_wrong_is_asked_for_once() -> None:
    changes, work = Changes(dry_run=False), Asked(WRONG)

    await changes.make("stream A: made", work, at_once)

    assert (len(changes.refused), work.times) == (1, 1)


class Reluctant:
    """A connection that nobody answers on the first time that something is asked, as while a leader is chosen."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def request(self, subject: str, _: bytes, *, timeout: float) -> Any:  # noqa: ASYNC109 - as nats-py has it
        del timeout
        name = subject.removeprefix("$JS.API.").replace(".", "_")
        self.asked.append(name)
        if self.asked.count(name) == 1:
            raise NoRespondersError
        missing = {"missing": ["ORDERS"], "total": 1}
        is_leaderless = name == "STREAM_LIST" and self.asked.count(name) == 2
        return SimpleNamespace(data=json.dumps(missing if is_leaderless else self.answers[name]).encode())


async def test_a_cluster_that_has_just_lost_a_node_is_asked_again_until_it_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jetstream, "PAUSE_SECONDS", 0)
    asked = {"streams": {"ORDERS": {**PLAIN, "subjects": ["orders.paid"]}}, "consumers": {"billing": CONSUMER}}
    ((_, config),) = wanted_streams.consumers(asked)
    connection: Any = Reluctant(
        STREAM_LIST={"total": 1, "streams": [info(stream())]},
        STREAM_INFO_ORDERS=info(stream(), subjects={"orders.made": 1}),
        CONSUMER_INFO_ORDERS_billing={"name": "billing", "config": config},
        CONSUMER_LIST_ORDERS={"total": 1, "consumers": [{"name": "billing"}]},
    )

    changes = await bring_about(JetStream(connection), asked, replicas=3, dry_run=False)

    assert (changes.changed, changes.kept, len(changes.refused)) == ([], [], 1)
    assert "it holds messages of orders.made" in changes.refused[0]
    assert {name: connection.asked.count(name) for name in connection.answers} == {
        "STREAM_LIST": 3,
        "STREAM_INFO_ORDERS": 2,
        "CONSUMER_INFO_ORDERS_billing": 2,
        "CONSUMER_LIST_ORDERS": 2,
    }
