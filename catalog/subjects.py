"""What patterns of subjects have in common; a `>` stands at the end only, for one word or more."""

from __future__ import annotations

from collections.abc import Container


def patterns_over(subject: str) -> list[str]:
    """Return every pattern that covers a subject (or another pattern), itself first; `a.>` covers `a.b` and `a.b.>`."""
    words = subject.split(".")
    # `a.b.>` is covered by `a.>`, and `a.b` is not covered by `a.b.>`, which wants a word more.
    return [
        subject,
        *(".".join([*words[:depth], ">"]) for depth in range(len(words) - 1, 0, -1) if words[depth:] != [">"]),
    ]


def first_covering(patterns: Container[str], subject: str) -> str | None:
    """Return the closest pattern that covers a subject; none where no one does."""
    return next((pattern for pattern in patterns_over(subject) if pattern in patterns), None)
