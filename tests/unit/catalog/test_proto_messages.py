"""The scan of proto/ finds what the compiler finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.proto_messages import declared_messages, messages_in
from proto.messages import message_class, message_names

ROOT = Path(__file__).parents[3]
QUEST = ROOT / "tests" / "cases" / "bad" / "with_proto" / "proto"


def test_messages_have_their_own_fields() -> None:
    assert declared_messages(QUEST) == {
        "gaming.game.v1.GetQuestRequest": frozenset({"player_id", "quest_id", "number"}),
        "gaming.game.v1.GetQuestReply": frozenset(),
    }


def test_folder_that_is_not_there() -> None:
    assert declared_messages(ROOT / "nowhere") == {}


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("message A {}", {"A": set()}),
        ("package a.b; message A { string b = 1; }", {"a.b.A": {"b"}}),
        ("/* message B {} */ message A { string b = 1; // c = 2;\n }", {"A": {"b"}}),
        ('message A { string b = 1 [json_name = "} message C {"]; string c = 2; }', {"A": {"b", "c"}}),
        ("message A { enum E { option allow_alias = true; x = 0; } E e = 1; }", {"A": {"e"}}),
        ("enum E { x = 0; } message A { map<string, int32> m = 3; repeated A a = 4; }", {"A": {"m", "a"}}),
        ("message A { message B { string b = 1; } oneof o { B c = 2; } }", {"A": {"c"}}),
        ("message A {", {"A": set()}),
        ("}}} message A { int32 b = 1; }", {"A": {"b"}}),
    ],
)
def test_what_is_no_field_is_left_out(text: str, messages: dict[str, set[str]]) -> None:
    assert messages_in(text) == messages


def test_scan_agrees_with_the_generated_code() -> None:
    scanned = declared_messages(ROOT / "proto")

    assert set(scanned) == set(message_names())
    for name, fields in scanned.items():
        assert fields == set(message_class(name).DESCRIPTOR.fields_by_name)
