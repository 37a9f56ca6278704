"""How logic tells what it is doing, without knowing where that is printed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Step(Protocol):
    """Something under way."""

    def outcome(self, text: str) -> None:
        """Say how it ended; without, it is just done."""

    def note(self, text: str) -> None:
        """Tell something while it goes on."""


class Progress(Protocol):
    """Takes steps and tells of them."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Begin a step, which ends with the `with` block."""

    def note(self, text: str) -> None:
        """Tell something between steps."""
