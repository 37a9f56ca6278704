"""How a fault is told."""

from __future__ import annotations

import pytest

from catalog import CatalogError, Fault
from catalog.faults import did_you_mean, in_order, key_text, listed, shown


def fault(line: int | None = 3, column: int | None = 5, **more: str) -> Fault:
    return Fault("catalog.yaml", line, column, more.get("key", "a.b"), more.get("message", "is wrong"))


def test_fault_is_told_with_its_place() -> None:
    assert str(fault()) == "catalog.yaml:3:5: a.b: is wrong"


def test_fault_of_a_whole_file_has_no_place() -> None:
    assert str(fault(None, None, key="")) == "catalog.yaml: is wrong"


def test_warning_says_that_it_is_one() -> None:
    assert str(Fault("f", 1, 2, "a", "is odd", "warning")) == "f:1:2: warning: a: is odd"


def test_fault_as_json_takes_it() -> None:
    assert fault().as_dict() == {
        "file": "catalog.yaml",
        "line": 3,
        "column": 5,
        "key": "a.b",
        "message": "is wrong",
        "severity": "error",
    }


def test_error_tells_all_its_faults() -> None:
    error = CatalogError([fault(1), fault(2)])

    assert len(error.faults) == 2
    assert str(error).count("\n") == 1


def test_order_is_the_files_and_each_fault_stands_once() -> None:
    assert [one.line for one in in_order([fault(9), fault(2), fault(None, None), fault(9)])] == [None, 2, 9]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("services", "a-nats", "cpu"), "services.a-nats.cpu"),
        (("routes", 2, "path"), "routes[2].path"),
        ((0, 1), "[0][1]"),
        (("nats", "serves", "a.b", "reply"), "nats.serves[a.b].reply"),
        (("tags", ""), "tags[]"),
    ],
)
def test_key_is_written_as_a_reader_would(path: tuple[str | int, ...], text: str) -> None:
    assert key_text(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), (True, "true"), (3, "3"), ("a\nb", r"'a\nb'"), ({}, "a mapping"), ([], "a list")],
)
def test_value_is_told_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_value_is_told_in_short() -> None:
    assert len(shown("x" * 10_000_000)) < 70


@pytest.mark.parametrize(("values", "text"), [([], "nothing"), ([1], "1"), ([1, 2], "1 or 2"), ("abc", "a, b or c")])
def test_list_reads_as_a_sentence(values: list[object], text: str) -> None:
    assert listed(values) == text


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [("cpuu", "; did you mean 'cpu'?"), ("get", "; did you mean 'GET'?"), ("zzz", ""), ("c" * 1_000_000, "")],
)
def test_suggestion_is_near(given: str, suggestion: str) -> None:
    assert did_you_mean(given, ["cpu", "memory", "GET"]) == suggestion
