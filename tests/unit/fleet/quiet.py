"""Progress that is taken down and not printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Notes:
    """Takes what a step tells."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.notes: list[str] = []

    def outcome(self, text: str) -> None:
        self.outcomes.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Quiet:
    """Takes down steps by their titles."""

    def __init__(self) -> None:
        self.steps: dict[str, Notes] = {}
        self.said: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Notes]:
        self.steps[title] = Notes()
        yield self.steps[title]

    def note(self, text: str) -> None:
        self.said.append(text)
