"""The gate of a roll: it waits through a cluster that flaps, and does not let a replica that is behind pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nats_platform.node import gate, replicas
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.gate import LOOKS, wait_for_gate
from nats_platform.node.replicas import behind
from nats_platform.node.settings import Settings

MINUTE = 60.0
SPAN_SECONDS = Settings.gate_span_seconds


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def passed(answers: Sequence[str], *, seconds: float = MINUTE, look_seconds: float = 0.0) -> tuple[list[str], float]:
    """Return what the gate finds and when, in a cluster that answers so, look by look, and as the last time for ever."""
    time, left = Time(), list(answers)

    def observe() -> list[str]:
        time.sleep(look_seconds)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [answer] if answer else []

    return wait_for_gate(observe, seconds=seconds, span_seconds=SPAN_SECONDS, clock=time, sleep=time.sleep), time()


def test_a_cluster_that_is_well_passes_after_the_whole_span() -> None:
    found, at = passed([""])

    assert found == []
    assert at == SPAN_SECONDS


def test_one_good_answer_between_bad_ones_counts_for_nothing() -> None:
    # As after a crash: good, bad, good.
    found, at = passed(["503", "", "503", "503", ""])

    assert found == []
    assert at == 4 + SPAN_SECONDS


def test_a_fault_just_before_the_end_of_the_span_starts_it_anew() -> None:
    _, at = passed([*[""] * LOOKS, "503", ""])

    assert at > 2 * SPAN_SECONDS


def test_few_slow_answers_are_not_enough_even_over_a_long_time() -> None:
    _, at = passed([""], look_seconds=5)

    assert at == pytest.approx(LOOKS * 5 + (LOOKS - 1) * SPAN_SECONDS / LOOKS)


def test_a_cluster_that_stays_ill_is_given_up_with_what_is_wrong() -> None:
    found, at = passed(["no route to nats-2"])

    assert found == ["no route to nats-2"]
    assert at == MINUTE


def test_a_cluster_that_never_stops_flapping_is_given_up_although_it_ends_well() -> None:
    found, _ = passed([*["", "503"] * 31, ""], seconds=62)

    assert found != []


def info(*replicas: dict[str, Any], last: int = 100, leader: str = "nats-1") -> dict[str, Any]:
    return {"state": {"last_seq": last}, "cluster": {"leader": leader, "replicas": list(replicas)}}


def replica(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "current": True, "active": 1000, **changes}


FOLLOWS = replica("nats-2")


@pytest.mark.parametrize(
    ("now", "wrong"),
    [
        (info(FOLLOWS, replica("nats-3")), []),
        (info(FOLLOWS, replica("nats-3", current=False)), ["nats-3 is not current"]),
        (info(FOLLOWS, replica("nats-3", current=False, lag=7)), ["nats-3 is 7 behind"]),
        (info(FOLLOWS, replica("nats-3", current=False, offline=True)), ["nats-3 is offline"]),
        (info(FOLLOWS, replica("nats-3", active=3_000_000_000)), ["nats-3 is not current"]),
        (info(FOLLOWS), ["has 2 of 3 replicas"]),
        (info(FOLLOWS, replica("nats-3"), leader=""), ["has no leader"]),
        ({"state": {"last_seq": 1}}, ["has no leader"]),
    ],
    ids=["follows", "not current", "behind", "offline", "long unseen", "too few", "leaderless", "no cluster"],
)
def test_a_replica_that_does_not_follow_is_told_of(now: dict[str, Any], wrong: list[str]) -> None:
    assert behind(info(), now, 3) == wrong


def test_under_load_a_replica_follows_that_has_what_the_leader_had_before() -> None:
    now = info(FOLLOWS, replica("nats-3", current=False, lag=7), last=110)

    assert behind(info(last=100), now, 3) == []
    assert behind(info(last=105), now, 3) == ["nats-3 is 7 behind"]


def consumer(given: int, heard: int, **changes: Any) -> dict[str, Any]:
    place = {"delivered": {"consumer_seq": given}, "ack_floor": {"consumer_seq": heard}}
    return {**place, "cluster": {"leader": "nats-1", "replicas": [FOLLOWS, replica("nats-3", **changes)]}}


def test_a_consumer_comes_forward_by_what_it_gives_out_and_hears_of() -> None:
    assert behind(consumer(5, 5), consumer(9, 8, lag=7), 3) == []
    assert behind(consumer(5, 5), consumer(8, 8, lag=7), 3) == ["nats-3 is 7 behind"]


# --- what is looked at -------------------------------------------------------------------------------------------------------

SETTINGS = Settings.told({
    "NODE": "nats-1", "NODES": "nats-1 nats-2 nats-3", "ENVIRONMENT": "test", "REGION": "eu-west-1", "BUCKET": "a",
    "CERTIFICATES_BUCKET": "b", "NODE_DOMAIN": "nats.acme.internal", "LOG_GROUP": "/nats/test",
})  # fmt: skip
META = {"leader": "nats-1", "cluster_size": 3, "replicas": [replica("nats-2"), replica("nats-3")]}


class Kept:
    """JetStream with one stream and one consumer of it, each with its answers, of which the last is for ever."""

    def __init__(self, **answers: Sequence[dict[str, Any]]) -> None:
        whole = {"stream": [info(FOLLOWS, replica("nats-3"))], "consumer": [consumer(5, 5)]}
        self._answers = {kind: list(each) for kind, each in {**whole, **answers}.items()}

    async def streams(self) -> list[dict[str, Any]]:
        return [{**self._next("stream"), "config": {"name": "ORDERS", "num_replicas": 3}}]

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        return [{**self._next("consumer"), "name": f"of-{stream}", "config": {"num_replicas": 0}}]

    async def ask(self, subject: str) -> dict[str, Any]:
        return self._next({"STREAM.INFO.ORDERS": "stream", "CONSUMER.INFO.ORDERS.of-ORDERS": "consumer"}[subject])

    def _next(self, kind: str) -> dict[str, Any]:
        answers = self._answers[kind]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def observed(
    monkeypatch: pytest.MonkeyPatch,
    *,
    health: str = "",
    routes: Sequence[str] = ("nats-2", "nats-2", "nats-3"),
    meta: dict[str, Any] | None = None,
    kept: Kept | None = None,
) -> list[str]:
    """Return what the gate finds in a cluster that is whole, but for what is said."""

    class Told:
        def fault(self, path: str) -> str:
            assert path == "/healthz"
            return health

        def get(self, path: str) -> Any:
            return {"/routez": {"routes": [{"remote_name": name} for name in routes]}, "/jsz": {"meta_cluster": meta}}[
                path
            ]

    @asynccontextmanager
    async def connected(*_: object) -> AsyncIterator[Kept]:
        yield kept or Kept()

    meta = META if meta is None else meta
    monkeypatch.setattr(gate, "Monitor", lambda _: Told())
    monkeypatch.setattr(gate, "provisioner_context", lambda _: object())
    monkeypatch.setattr(gate, "connected", connected)
    monkeypatch.setattr(replicas, "_PAUSE_SECONDS", 0)
    return gate.Cluster(SETTINGS).observe()


def test_a_cluster_in_which_nothing_is_wrong_is_found_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert observed(monkeypatch) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"health": "/healthz answers 503"}, "/healthz answers 503"),
        ({"routes": ["nats-2", "nats-2"]}, "no route to nats-3"),
        ({"meta": {**META, "leader": ""}}, "JetStream has no meta leader"),
        ({"meta": {**META, "cluster_size": 4}}, "JetStream's cluster has the size 4, not 3"),
        (
            {"meta": {**META, "replicas": [replica("nats-2", current=False), replica("nats-3")]}},
            "nats-2 does not follow the meta leader",
        ),
        (
            {"meta": {**META, "replicas": [replica("nats-2"), replica("nats-3", offline=True)]}},
            "nats-3 does not follow the meta leader",
        ),
    ],
    ids=["health", "route", "meta leader", "cluster size", "follower", "offline follower"],
)
def test_whatever_is_wrong_keeps_the_gate_shut_by_itself(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], found: str
) -> None:
    assert observed(monkeypatch, **changes) == [found]


def test_what_others_tell_of_one_another_is_old_and_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        observed(monkeypatch, meta={**META, "leader": "nats-2", "replicas": [replica("nats-3", current=False)]}) == []
    )


def test_a_replica_that_stays_behind_keeps_the_gate_shut_and_one_that_catches_up_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, well = info(FOLLOWS, replica("nats-3", lag=7)), info(FOLLOWS, replica("nats-3"))

    assert observed(monkeypatch, kept=Kept(stream=[late])) == ["stream ORDERS: nats-3 is 7 behind"]
    assert observed(monkeypatch, kept=Kept(stream=[late, late, well])) == []


def test_a_consumer_whose_replica_stays_behind_keeps_the_gate_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert observed(monkeypatch, kept=Kept(consumer=[consumer(5, 5, lag=2)])) == [
        "consumer ORDERS.of-ORDERS: nats-3 is 2 behind"
    ]


def test_a_cluster_that_cannot_be_asked_keeps_the_gate_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unled(Kept):
        async def streams(self) -> list[dict[str, Any]]:
            raise RefusedError("nobody leads ORDERS")

    assert observed(monkeypatch, kept=Unled()) == ["nobody leads ORDERS"]
