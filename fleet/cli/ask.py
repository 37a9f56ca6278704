"""Ask before something is changed that cannot be taken back."""

from __future__ import annotations

import sys

import typer

from fleet.errors import InputError


def confirm(question: str) -> bool:
    """Return whether the user says yes.

    Raises:
        InputError: Nobody is there to answer.
    """
    check_somebody_answers()
    return typer.confirm(question, err=True)


def check_somebody_answers() -> None:
    """Refuse to begin what would have to ask where nobody can answer.

    Raises:
        InputError: There is no terminal.
    """
    if not sys.stdin.isatty():
        raise InputError(
            "there is no terminal to ask on, and nobody has said yes beforehand\n  with make: YES=1   with fleet: --yes"
        )
