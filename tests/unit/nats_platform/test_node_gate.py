"""The gate of a roll: it waits through a cluster that flaps, and does not let a replica that is behind pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

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


def test_a_consumer_comes_forward_by_what_it_gives_out_and_hears_of() -> None:
    def consumer(given: int, heard: int, **changes: Any) -> dict[str, Any]:
        place = {"delivered": {"consumer_seq": given}, "ack_floor": {"consumer_seq": heard}}
        return {**place, "cluster": {"leader": "nats-1", "replicas": [FOLLOWS, replica("nats-3", **changes)]}}

    assert behind(consumer(5, 5), consumer(9, 8, lag=7), 3) == []
    assert behind(consumer(5, 5), consumer(8, 8, lag=7), 3) == ["nats-3 is 7 behind"]
