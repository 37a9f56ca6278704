"""Print: results to stdout, everything else to stderr; colour only on a terminal whose user wants it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

import typer

Format = Literal["text", "json"]

_RESET = "\x1b[0m"
_STYLES = {"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m"}


def new_app(help_text: str) -> typer.Typer:
    """Return a Typer app for one lazily loaded command or group of `fleet`, without what costs time at the start."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def result(text: str) -> None:
    """Print a result to stdout."""
    typer.echo(text)


def result_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a result to stdout as JSON."""
    import json  # noqa: PLC0415  # 3 ms that the text format need not pay

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Print something that is no result to stderr."""
    typer.echo(text, err=True)


def error_text(text: str) -> str:
    """Return a message marked as an error."""
    return f"{styled('error:', 'red', sys.stderr)} {text}"


def styled(text: str, style: Literal["bold", "dim", "red", "green", "yellow"], stream: TextIO | None = None) -> str:
    """Return a text in a style, where the stream (stdout) shows styles."""
    return f"{_STYLES[style]}{text}{_RESET}" if _shows_styles(stream or sys.stdout) else text


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> str:
    """Return rows as aligned text.

    Args:
        headers: The columns' names.
        rows: The cells.
        right: Indices of the columns that are aligned to the right.
    """
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    aligned_right = frozenset(right)
    lines = [
        "  ".join(
            cell.rjust(width) if column in aligned_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([styled(lines[0], "bold"), *lines[1:]])


def _shows_styles(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
