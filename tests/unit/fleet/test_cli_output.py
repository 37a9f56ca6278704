"""What every command prints with: tables, colours, JSON, and how errors end."""

from __future__ import annotations

import io
import json

import pytest
import typer

from catalog import CatalogError, Fault
from fleet.cli.errors import InputError, WantingError, told
from fleet.cli.output import result_json, styled, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_table_is_aligned_and_ends_no_line_in_spaces() -> None:
    text = table(("NAME", "SIZE", "NOTE"), [("a", 5, ""), ("bcd", 1024, "big")], right=[1])

    assert text.splitlines() == ["NAME  SIZE  NOTE", "a        5", "bcd   1024  big"]


def test_table_without_rows_has_its_headers() -> None:
    assert table(("A", "B"), []) == "A  B"


@pytest.mark.parametrize(
    ("variables", "is_styled"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_styles_follow_the_terminal_and_its_user(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, is_styled: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert styled("bad", "red", Terminal()) == ("\x1b[31mbad\x1b[0m" if is_styled else "bad")


def test_no_style_without_a_terminal() -> None:
    assert styled("bad", "red", io.StringIO()) == "bad"


def test_json_keeps_letters(capsys: pytest.CaptureFixture[str]) -> None:
    result_json({"name": "naïve"})

    out = capsys.readouterr().out
    assert "naïve" in out
    assert json.loads(out) == {"name": "naïve"}


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (WantingError("two are missing"), 1, "error: two are missing\n"),
        (InputError("no such thing"), 2, "error: no such thing\n"),
        (CatalogError([Fault("f", 1, 2, "a", "is odd")]), 2, "f:1:2: a: is odd\n"),
    ],
)
def test_errors_of_the_user_end_with_a_message_and_a_code(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    with pytest.raises(typer.Exit) as ended, told():
        raise error

    assert ended.value.exit_code == code
    assert capsys.readouterr() == ("", message)


def test_errors_of_ours_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError


def test_exit_of_a_command_is_left_alone() -> None:
    with pytest.raises(typer.Exit) as ended, told():
        raise typer.Exit(3)

    assert ended.value.exit_code == 3
