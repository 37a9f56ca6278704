"""How a command ends when it cannot do what was asked.

An error of `fleet.errors` is told in one message, a `CatalogError` that nobody caught fault by fault with exit code 2. Any
other exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from fleet.cli.output import error_text, say
from fleet.errors import EXIT_BAD_INPUT, EXIT_GOOD, EXIT_WANTING, FleetError, InputError, WantingError

__all__ = ["EXIT_BAD_INPUT", "EXIT_GOOD", "EXIT_WANTING", "FleetError", "InputError", "WantingError", "told"]


@contextmanager
def told() -> Iterator[None]:
    """Turn the errors that are the user's into a message and an exit code.

    Raises:
        typer.Exit: One of them was raised.
    """
    try:
        yield
    except FleetError as error:
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
