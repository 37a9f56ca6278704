"""JSON, query and path become a message, or every fault is told with its place."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mapping import json_path, reply_json, request_message, written
from gateway.problems import Problem
from proto.generated.gaming.game.v1.quest_pb2 import QUEST_STATUS_ACTIVE, ListQuestsRequest, QuestProgress
from proto.generated.gaming.game.v1.session_pb2 import StartSessionRequest
from proto.generated.gaming.game.v1.state_pb2 import ListStateRequest, PutStateRequest
from proto.generated.gaming.game.v1.world_pb2 import UpdateEntityRequest
from proto.generated.gaming.infrastructure.v1.event_pb2 import Event, ListEventsRequest
from proto.generated.gaming.infrastructure.v1.weather_pb2 import SKY_FOG, SetWeatherRequest, Weather
from proto.messages import message_class, message_names


def refusal(kind: Any, body: Any = None, query: bytes = b"", **path: str) -> tuple[int, dict[str, str], str]:
    """Return status, faults by field, and detail of what is refused."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with pytest.raises(Problem) as caught:
        request_message(kind, path, query, data)
    problem = caught.value
    return problem.status, {each.field: each.description for each in problem.violations}, problem.detail


class TestBody:
    def test_fills_a_message_by_both_kinds_of_names(self) -> None:
        made = request_message(
            PutStateRequest, {}, b"", b'{"player_id": "p", "expectedRevision": 7, "value": {"a": [1]}}'
        )
        assert made == json_format.ParseDict(
            {"playerId": "p", "expectedRevision": 7, "value": {"a": [1]}}, PutStateRequest()
        )

    def test_may_be_empty(self) -> None:
        assert request_message(PutStateRequest, {"player_id": "p"}, b"", b"") == PutStateRequest(player_id="p")

    def test_gives_all_faults_at_once_with_their_paths(self) -> None:
        body = {
            "eventId": 5,
            "entity": {"kind": "ENTITY_KIND_DRAGON", "colour": "red"},
            "occurredAt": "yesterday",
            "extra": 1,
        }
        status, faults, _ = refusal(Event, body)
        assert status == 400  # an unknown field is the graver one
        assert faults == {
            "eventId": "is 5; it must be text",
            "entity.kind": 'is "ENTITY_KIND_DRAGON"; it must be one of ENTITY_KIND_UNSPECIFIED, ENTITY_KIND_PLAYER, '
            "ENTITY_KIND_NPC, ENTITY_KIND_BODY, ENTITY_KIND_ITEM, ENTITY_KIND_REGION, ENTITY_KIND_QUEST, ENTITY_KIND_SESSION",
            "entity.colour": "is no field; there is kind, id",
            "occurredAt": 'is "yesterday"; it must be a time such as 2026-01-31T12:00:00Z',
            "extra": "is no field; there is eventId, type, source, occurredAt, entity, payload",
        }

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (-1, "is -1; it must be a whole number from 0 to 4294967295"),
            (1.5, "is 1.5; it must be a whole number from 0 to 4294967295"),
            ("x", 'is "x"; it must be a whole number from 0 to 4294967295'),
            (True, "is true; it must be a whole number from 0 to 4294967295"),
            ([1], "is a list; it must be a whole number from 0 to 4294967295"),
            ("7" * 100, f'is "{"7" * 59}…; it must be a whole number from 0 to 4294967295'),
        ],
    )
    def test_a_value_of_the_wrong_type_is_a_422(self, value: object, told: str) -> None:
        assert refusal(PutStateRequest, {"expectedRevision": value})[:2] == (422, {"expectedRevision": told})

    @pytest.mark.parametrize("sky", [False, 0, 1.7, "1"])
    def test_what_the_library_takes_for_a_number_or_a_value_of_an_enum_is_none(self, sky: object) -> None:
        body = {"weather": {"sky": sky, "windSpeed": True}}
        status, faults, _ = refusal(SetWeatherRequest, body)
        assert (status, set(faults)) == (422, {"weather.sky", "weather.windSpeed"})

    def test_with_all_kinds_of_fields_is_taken_as_it_is(self) -> None:
        asked = SetWeatherRequest(weather=Weather(sky=SKY_FOG, wind_speed=1.5, visibility_metres=3))
        assert request_message(SetWeatherRequest, {}, b"", reply_json(asked)) == asked

    def test_a_fault_in_a_map_or_a_list_has_its_place(self) -> None:
        assert refusal(QuestProgress, {"doneByObjective": {"kill": 1, "find": -1}})[1].keys() == {
            "doneByObjective[find]"
        }
        assert refusal(QuestProgress, {"doneByObjective": [1]})[1] == {
            "doneByObjective": "is a list; it must be an object"
        }

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"{", "the body is not JSON"),
            (b"\xff{}", "the body is not UTF-8, at byte 0"),
            (b"[]", "the body is a list; it must be a JSON object"),
            (b"null", "the body is null; it must be a JSON object"),
            (b'{"a": 1, "a": 2}', "'a' is there twice"),
            (b'{"expectedRevision": NaN}', "NaN is no number of JSON"),
            (b'{"expectedRevision": ' + b"9" * 5000 + b"}", "the body is not JSON"),
            (b'{"value": {"a": -1e999}}', "-1e999 is more than a number holds"),
            (b"[" * 200_000, "the body is nested too deeply"),
        ],
    )
    def test_what_is_no_json_object_is_a_400(self, body: bytes, told: str) -> None:
        status, faults, detail = refusal(PutStateRequest, body)
        assert (status, faults) == (400, {})
        assert told in detail

    def test_what_is_nested_too_deeply_for_protobuf_is_a_422(self) -> None:
        body = b'{"value": {"a": ' + b"[" * 300 + b"]" * 300 + b"}}"
        assert refusal(PutStateRequest, body)[:2] == (
            422,
            {
                "value": "is an object; it must be an object of whole characters and 64-bit numbers, nested less than 100 deep"
            },
        )

    @pytest.mark.parametrize("values", ["0," * 400_000 + "0", "[0,0]," * 5_000 + "0", '{"a":0},' * 9_000 + "0"])
    def test_with_more_values_than_are_read_in_passing_is_a_413(self, values: str) -> None:
        status, faults, detail = refusal(PutStateRequest, f'{{"value": {{"a": [{values}]}}}}'.encode())
        assert (status, faults, detail) == (413, {}, "a body has at most 10000 values")

    def test_may_have_many_values(self) -> None:
        body = f'{{"value": {{"a": [{"0," * 9_990} 0]}}}}'.encode()
        message = request_message(PutStateRequest, {}, b"", body)
        assert isinstance(message, PutStateRequest)
        assert len(message.value["a"]) == 9_991  # type: ignore[arg-type]  # a list it is

    def test_half_a_character_is_a_422(self) -> None:
        assert refusal(PutStateRequest, b'{"key": "\\ud800"}')[:2] == (422, {"key": 'is "\\ud800"; it must be text'})

    def test_takes_no_query_beside_it(self) -> None:
        assert refusal(PutStateRequest, {}, b"key=a")[0] == 400

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["playerId", "key", "value", "x"]), inner),
        )
    )
    @settings(max_examples=100, derandomize=True, deadline=None)
    def test_whatever_comes_is_a_message_or_a_problem(self, body: object) -> None:
        try:
            data = json.dumps(body).encode()
            request_message(PutStateRequest, {"player_id": "p"}, b"", data)
        except Problem as problem:
            assert problem.status in {400, 422}  # noqa: PT017  # either is good, anything else is not
            problem.body("r", "t")


class TestPath:
    def test_gives_fields(self) -> None:
        assert request_message(PutStateRequest, {"key": "a b"}, b"", b"{}") == PutStateRequest(key="a b")

    def test_may_be_repeated_by_the_body_and_not_contradicted(self) -> None:
        assert request_message(PutStateRequest, {"key": "a"}, b"", b'{"key": "a"}') == PutStateRequest(key="a")
        status, faults, _ = refusal(PutStateRequest, {"playerId": "b"}, player_id="a")
        assert (status, set(faults)) == (400, {"playerId"})


class TestQuery:
    def test_gives_fields(self) -> None:
        made = request_message(
            ListEventsRequest, {}, b"type_prefix=a+b%26c&pageSize=5&since=2026-01-01T00:00:00Z", None
        )
        assert made == ListEventsRequest(type_prefix="a b&c", page_size=5, since=Timestamp(seconds=1_767_225_600))

    @pytest.mark.parametrize(
        ("query", "status", "field"),
        [
            (b"pageSize=x", 422, "pageSize"),
            (b"page=1", 400, "page"),
            (b"pageSize=1&page_size=2", 400, "pageSize"),
            (b"=", 400, ""),
        ],
    )
    def test_is_refused_with_the_field(self, query: bytes, status: int, field: str) -> None:
        assert (refusal(ListStateRequest, None, query)[0], *refusal(ListStateRequest, None, query)[1]) == (
            status,
            field,
        )

    def test_names_values_of_an_enum_and_does_not_count_them(self) -> None:
        made = request_message(ListQuestsRequest, {}, b"status=QUEST_STATUS_ACTIVE", None)
        assert made == ListQuestsRequest(status=QUEST_STATUS_ACTIVE)
        status, faults, _ = refusal(ListQuestsRequest, None, b"status=1")
        assert (status, faults["status"].partition(";")[0]) == (422, 'is "1"')

    def test_that_is_not_utf_8_is_a_400(self) -> None:
        assert refusal(ListStateRequest, None, b"keyPrefix=%ff")[0] == 400

    def test_cannot_hold_a_message(self) -> None:
        assert refusal(UpdateEntityRequest, None, b"entity=x")[:1] == (400,)


def test_a_reply_has_every_field_and_64_bits_as_text() -> None:
    assert json.loads(reply_json(ListStateRequest(key_prefix="ü"))) == {
        "playerId": "",
        "keyPrefix": "ü",
        "pageSize": 0,
        "pageToken": "",
    }


async def test_a_large_reply_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []

    def noted(message: Message) -> bytes:
        threads.append(threading.current_thread() is threading.main_thread())
        return reply_json(message)

    monkeypatch.setattr("gateway.mapping.reply_json", noted)
    small, large = ListStateRequest(player_id="p"), ListStateRequest(player_id="p" * 100_000)
    assert [json.loads(await written(each))["playerId"] for each in (small, large)] == ["p", "p" * 100_000]
    assert threads == [True, False]


@pytest.mark.parametrize("name", message_names())
def test_every_message_comes_back_from_what_is_written_of_it(name: str) -> None:
    kind = message_class(name)
    assert request_message(kind, {}, b"", reply_json(kind())) == kind()


@pytest.mark.parametrize(
    ("kind", "told", "shown"),
    [
        (StartSessionRequest, "player_id", "playerId"),
        (Event, "entity.id", "entity.id"),
        (Event, "occurred_at", "occurredAt"),
        (QuestProgress, "done_by_objective[a]", "doneByObjective[a]"),
        (Event, "who.knows[3]", "who.knows[3]"),
    ],
)
def test_a_path_of_a_service_is_told_in_the_names_of_json(kind: Any, told: str, shown: str) -> None:
    assert json_path(kind, told) == shown
