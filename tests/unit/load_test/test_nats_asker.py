"""What a worker makes of a plan before it asks, and of a connection that is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from load_test.clock import LoopClock
from load_test.measurements import DISCONNECTED
from load_test.nats_asker import NatsAsker
from load_test.plan import Plan, Stage, Target
from sdk.errors import ConfigurationError

TARGET = Target(
    "quest-system-nats",
    "quest.get",
    "gaming.game.v1.GetQuestRequest",
    "gaming.game.v1.GetQuestReply",
    2.0,
    1.0,
    ({"quest_id": "lost-lantern"}, {"questId": "wolf-song"}),
)
PLAN = Plan(
    run="r",
    environment="test",
    catalog_digest="",
    seed=1,
    workers=1,
    stages=(Stage("rate", 1, 1, 1),),
    targets=(TARGET,),
    max_in_flight=1,
)


async def test_without_a_connection_a_request_fails_at_once() -> None:
    asker = NatsAsker(PLAN, ["nats://localhost:1"], None)

    failure = await asker.ask(0, 0)

    assert failure is not None
    assert failure.kind == DISCONNECTED


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (replace(TARGET, bodies=({"quest": "x"},)), 'quest.get: Message type .* has no field named "quest"'),
        (replace(TARGET, request="gaming.game.v1.GetQestRequest"), "no message is called .* did you mean"),
    ],
)
async def test_a_body_that_is_none_is_told_before_anything_is_asked(target: Target, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        NatsAsker(replace(PLAN, targets=(target,)), ["nats://localhost:1"], None)


async def test_the_clock_wakes_never_before_its_time() -> None:
    clock = LoopClock()
    early = []

    for milliseconds in (0.0, 0.05, 1.0, 3.0):
        moment = clock.now() + milliseconds / 1000
        await clock.sleep_until(moment)
        early.append(moment - clock.now() > 0)

    clock.close()
    assert early == [False] * 4
