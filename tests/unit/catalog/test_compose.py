"""YAML as the catalog reads it: 1.2, with the place of everything, and bounded."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from catalog import CatalogError
from catalog.compose import MAX_DEPTH, composed
from catalog.nodes import Node, plain
from catalog.scalars import resolved
from catalog.source import Source


def tree(text: str) -> Node:
    root, faults = composed(Source(Path("FILE"), text))
    assert faults == []
    return root


def refusal(text: str) -> str:
    with pytest.raises(CatalogError) as refused:
        composed(Source(Path("FILE"), text))
    return str(refused.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("NO", "NO"),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1e999", math.inf),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("-", "-"),
        (".", "."),
        ("١٢", "١٢"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(word: str, value: Any) -> None:
    assert resolved(word) == value
    assert type(resolved(word)) is type(value)


def test_not_a_number_is_one() -> None:
    assert math.isnan(float(resolved(".nan") or 0))


def test_quoted_words_stay_text() -> None:
    assert plain(tree("- \"1\"\n- 'true'\n- |-\n  null\n")) == ["1", "true", "null"]


def test_text_with_a_colon_in_braces() -> None:
    assert plain(tree("{digest: sha256:00, at: http://x/}")) == {"digest": "sha256:00", "at": "http://x/"}


def test_everything_knows_its_place() -> None:
    root = tree("a:\n  - b\n  - {c: d}\n\u00e9: 'f'\n")

    where = {node.path: (node.start.line, node.start.column) for node in walk(root)}
    assert where == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", 0): (2, 5),
        ("a", 1): (3, 5),
        ("a", 1, "c"): (3, 9),
        ("é",): (4, 4),
    }
    assert {key: (place.line, place.column) for key, place in root.keys.items()} == {"a": (1, 1), "é": (4, 1)}


def walk(node: Node) -> list[Node]:
    return [node, *(below for _, child in node for below in walk(child))]


def test_alias_stands_where_its_anchor_does() -> None:
    root = tree("a: &x {b: 1}\nc: *x\n")

    assert plain(root) == {"a": {"b": 1}, "c": {"b": 1}}
    assert root.value["c"].start.line == 1


def test_alias_as_key() -> None:
    assert plain(tree("- &x a\n- *x : b\n")) == ["a", {"a": "b"}]


def test_aliases_are_bounded() -> None:
    lists = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{above}: &{above} [{', '.join([f'*{below}'] * 10)}]\n"
        for below, above in zip("abcdefgh", "bcdefghi", strict=True)
    )
    began = time.monotonic()

    assert "aliases repeat more than 20,000 values" in refusal(lists)
    assert time.monotonic() - began < 1


def test_aliases_of_aliases_count_in_full() -> None:
    many = "a: &a [" + "x, " * 999 + "x]\nb: [" + "*a, " * 19 + "*a]\n"

    assert "aliases repeat" in refusal(many)
    assert len(plain(tree(many.replace(", *a]", "]")))["b"]) == 19


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded(opening: str) -> None:
    assert "nested deeper than 30 levels" in refusal(opening * 100_000)


def test_values_are_bounded() -> None:
    assert "a file holds at most 300,000 values, and here begins one more" in refusal("[" + "[],\n" * 400_000 + "]")


def test_depth_that_a_catalog_may_have() -> None:
    assert plain(tree("[" * MAX_DEPTH + "]" * MAX_DEPTH)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\n\tc: d\n", "FILE:2:1: broken YAML: a tab stands where only spaces may; indent with spaces"),
        (
            "a: [b\nc: d\n",
            "FILE:2:2: broken YAML: did not find expected ',' or ']', while parsing a flow sequence (line 1)",
        ),
        ("a: 'b\n", "FILE:1:4: broken YAML: a quote is never closed, while scanning a quoted scalar"),
        ("a: {b: c\n", "FILE:1:4: broken YAML: did not find expected ',' or '}', while parsing a flow mapping"),
        (
            "a: b: c\n",
            "FILE:1:5: broken YAML: a ':' stands where none may: put the text in quotes, or check the indentation",
        ),
        (
            "a: @b\n",
            "FILE:1:4: broken YAML: text that begins so must stand in quotes, while scanning for the next token",
        ),
        (
            "a: b\n c: d\n",
            "FILE:2:3: broken YAML: a ':' stands where none may: put the text in quotes, or check the indentation",
        ),
        ("%YAML 3.0\n---\na: b\n", "FILE:1:1: broken YAML: found incompatible YAML document"),
        (
            'a: "\\ud800"\n',
            "FILE:1:7: broken YAML: found invalid Unicode character escape code, while parsing a quoted scalar",
        ),
        ("---\na: 1\n---\nb: 2\n", "FILE:3:1: a second document begins here; a file holds one"),
        ("a: *b\n", "FILE:1:4: a: there is no anchor &b above"),
        ("&a [*a]\n", "FILE:1:5: [0]: the alias *a stands inside its own anchor"),
    ],
)
def test_what_is_not_yaml(text: str, message: str) -> None:
    assert refusal(text) == message


def test_faults_before_the_end_are_told_too() -> None:
    assert (
        refusal("a: 1\na: 2\nb: [\n").splitlines()[0]
        == "FILE:2:1: a: the key 'a' is given twice; the first stands in line 1"
    )


def test_tagged_values_are_refused_and_yet_read() -> None:
    root, faults = composed(Source(Path("FILE"), "a: !!int '1'\nb: !!python/none x\nc: !thing {d: e}\n"))

    assert plain(root) == {"a": 1, "b": "x", "c": {"d": "e"}}
    assert [fault.line for fault in faults] == [1, 2, 3]
