"""What a load test asks when nobody says otherwise: valid requests of every subject, and none that changes the world."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from catalog import load_catalog
from fleet.load_test.bodies import _KNOWN, VARIANTS, Effect, bodies_of, effect_of, example, expanded
from fleet.load_test.planning import left_out
from proto.messages import message_class
from reference_service.validation import validate
from tests.nats_machines import ROOT

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
IDEMPOTENT = {name: subject.request for name, subject in CATALOG.subjects.items() if subject.idempotent}
EVERY_REQUEST = sorted({subject.request for subject in CATALOG.subjects.values()})
# Their comments ask for what no rule derives: a password, a signature, a time that is yet to come.
UNDERIVABLE = {
    "gaming.infrastructure.v1.IssueTokenRequest",
    "gaming.infrastructure.v1.NotifyPaymentRequest",
    "gaming.infrastructure.v1.CreateScheduleRequest",
}


def message(request: str, body: dict[str, object]) -> Message:
    return json_format.ParseDict(body, message_class(request)())


@pytest.mark.parametrize("request_name", sorted(set(IDEMPOTENT.values())))
def test_every_request_that_a_load_test_may_ask_is_valid(request_name: str) -> None:
    bodies = bodies_of(request_name)

    assert bodies
    for body in bodies:
        validate(message(request_name, body))


@pytest.mark.parametrize("request_name", [name for name in EVERY_REQUEST if name not in UNDERIVABLE])
def test_a_request_that_nobody_has_written_down_is_made_by_the_comments_of_its_fields(request_name: str) -> None:
    """As for a service that is added tomorrow."""
    for body in expanded([example(message_class(request_name).DESCRIPTOR)]):
        validate(message(request_name, body))


def test_no_request_is_written_down_for_a_message_that_nobody_asks() -> None:
    assert set(_KNOWN) <= set(IDEMPOTENT.values())


def test_by_default_nothing_is_asked_that_writes() -> None:
    assert set(left_out(CATALOG, writes=False)) == {
        "ai.model.activate",
        "capability.register",
        "event.publish",
        "knowledge.document.put",
        "performance.mode.set",
        "settings.put",
        "shard.assign",
        "time.scale.set",
        "weather.set",
    }


def test_what_changes_the_world_for_everybody_is_asked_by_a_scenario_only() -> None:
    assert set(left_out(CATALOG, writes=True)) == {"performance.mode.set", "time.scale.set"}


def test_a_message_whose_name_says_nothing_is_taken_for_one_that_changes_the_world() -> None:
    assert effect_of("gaming.game.v1.BurnEverythingRequest") is Effect.EVERYBODY
    assert effect_of("gaming.game.v1.GetAshesRequest") is Effect.NOTHING


def test_a_number_in_a_body_makes_several_of_it() -> None:
    bodies = expanded([{"key": "k-{n}", "deep": [{"key": "{n}"}], "count": 1}, {"key": "fixed"}])

    assert len(bodies) == VARIANTS + 1
    assert bodies[3] == {"key": "k-3", "deep": [{"key": "3"}], "count": 1}
    assert bodies[-1] == {"key": "fixed"}
