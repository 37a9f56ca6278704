"""How a command ends when it cannot do what was asked.

    CliError            the command ends here, with one message and no traceback
    ├── WantingError    exit 1: it was looked at, and found wanting
    └── InputError      exit 2: bad input or usage

A `CatalogError` that nobody caught is told fault by fault and ends with 2. Any other exception is a fault of ours and keeps
its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from fleet.cli.output import error_text, say

EXIT_GOOD = 0
EXIT_WANTING = 1
EXIT_BAD_INPUT = 2


class CliError(Exception):
    """A command ends with a message on stderr and its exit code."""

    exit_code = EXIT_WANTING


class WantingError(CliError):
    """What was looked at is not as it should be."""


class InputError(CliError):
    """The user's input cannot be used."""

    exit_code = EXIT_BAD_INPUT


@contextmanager
def told() -> Iterator[None]:
    """Turn the errors that are the user's into a message and an exit code.

    Raises:
        typer.Exit: One of them was raised.
    """
    try:
        yield
    except CliError as error:
        say(error_text(str(error)))
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, typer.Abort):
        raise
    except _catalog_error() as error:
        say(str(error))
        raise typer.Exit(EXIT_BAD_INPUT) from None


def _catalog_error() -> type[Exception]:
    """Import late: only asked for when an exception is on its way, so that `fleet --help` does not load the model."""
    from catalog.faults import CatalogError  # noqa: PLC0415

    return CatalogError
