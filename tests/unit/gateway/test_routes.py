"""Routes: the right one is found, and what is no route is refused."""

from __future__ import annotations

import json

import pytest

from catalog.contract import gateway_routes
from gateway.problems import Problem
from gateway.routes import Routes
from sdk import ConfigurationError, Contract, Endpoint, Event
from tests.gateway_world import CATALOG, GATEWAY, contract_of

QUEST = "gaming.game.v1.GetQuestRequest"
CONTRACT = Contract(
    calls={
        subject: Endpoint(subject, QUEST, "gaming.game.v1.GetQuestReply", 1.0, idempotent=True)
        for subject in ("quest.get", "quest.best", "quest.drop")
    },
    subscribes={"events.>": Event("events.>", "gaming.infrastructure.v1.Event")},
)


def routes(*entries: tuple[str, str, str]) -> Routes:
    plain = [
        {"method": method, "path": path, "subject": subject, "allow": ["player"]} for method, path, subject in entries
    ]
    return Routes.from_json(json.dumps(plain), CONTRACT)


QUESTS = routes(
    ("GET", "/v1/quests/{quest_id}", "quest.get"),
    ("DELETE", "/v1/quests/{quest_id}", "quest.drop"),
    ("GET", "/v1/quests/best", "quest.best"),
    ("GET", "/v1/{quest_id}/best/all", "quest.best"),
)


@pytest.mark.parametrize(
    ("method", "path", "subject", "values"),
    [
        ("GET", b"/v1/quests/q-1", "quest.get", ["q-1"]),
        ("HEAD", b"/v1/quests/q-1", "quest.get", ["q-1"]),
        ("GET", b"/v1/quests/best", "quest.best", []),
        ("GET", b"/v1/quests/a%2Fb%20c", "quest.get", ["a/b c"]),
        ("GET", b"/v1/%71uests/..", "quest.get", [".."]),
        ("GET", b"/v1/quests/best/all", "quest.best", ["quests"]),
    ],
)
def test_a_request_finds_its_route(method: str, path: bytes, subject: str, values: list[str]) -> None:
    route, found = QUESTS.find(method, path)
    assert route.endpoint is not None
    assert (route.endpoint.subject, found) == (subject, values)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", b"/", 404),
        ("GET", b"", 404),
        ("GET", b"/v1/quests", 404),
        ("GET", b"/v1/quests/", 404),
        ("GET", b"/v1/quests/q-1/", 404),
        ("GET", b"//v1/quests/q-1", 404),
        ("GET", b"/V1/quests/q-1", 404),
        ("GET", b"/v1/quests/%ff", 400),
        ("POST", b"/v1/quests/q-1", 405),
        ("TRACE", b"/v1/quests/q-1", 405),
    ],
)
def test_what_is_no_route_is_refused(method: str, path: bytes, status: int) -> None:
    with pytest.raises(Problem) as caught:
        QUESTS.find(method, path)
    assert caught.value.status == status


def test_a_wrong_method_is_told_which_are_right() -> None:
    with pytest.raises(Problem) as caught:
        QUESTS.find("POST", b"/v1/quests/q-1")
    assert dict(caught.value.headers) == {b"allow": b"DELETE, GET, HEAD, OPTIONS"}


def test_every_route_of_the_catalog_is_taken() -> None:
    assert len(Routes.from_json(gateway_routes(CATALOG), contract_of(GATEWAY)).all) == len(CATALOG.routes)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"subject": "quest.none"}, "quest.none is not in the contract's `calls`"),
        ({"subject": None, "events": "told.>"}, "told.> is not in its `subscribes`"),
        ({"path": "/v1/{name}"}, f"{QUEST} has no field name that is one string"),
        ({"allow": []}, "nobody may use it"),
        ({"subject": None, "events": "events.>", "method": "POST"}, "events are heard by GET"),
        ({"events": "events.>"}, "has one of subject and events"),
        ({"method": "FETCH"}, "is no route"),
        ({"path": 3}, "is no route"),
    ],
)
def test_what_leads_nowhere_is_refused_at_the_start(entry: dict[str, object], told: str) -> None:
    plain = {"method": "GET", "path": "/v1/quests", "subject": "quest.get", "allow": ["player"]} | entry
    with pytest.raises(ConfigurationError, match=told.replace("(", r"\(").replace(">", ">").replace(".", r"\.")):
        Routes.from_json(json.dumps([plain]), CONTRACT)


def test_two_routes_that_look_alike_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there are two such routes"):
        routes(("GET", "/v1/{quest_id}", "quest.get"), ("GET", "/v1/{quest_id}", "quest.best"))


@pytest.mark.parametrize("text", ["", "{", "{}x", "3", '["a"]', '[{"method": "GET"}]'])
def test_what_is_no_list_of_routes_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_ROUTES is not the JSON of routes"):
        Routes.from_json(text, CONTRACT)
