"""What is wrong with a file: every fault with its place, and how it is told.

CatalogError        a file cannot be used; carries every fault that was found in it
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]
KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 60
_MOST_COMPARED = 500


class Position(NamedTuple):
    """A place in a text; line and column count from 1, the offset from 0."""

    line: int
    column: int
    offset: int = 0


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, or with severity `warning` something that deserves a look."""

    file: str
    line: int | None
    """Missing where the file as a whole is at fault: it is not there, or cannot be read."""
    column: int | None
    key: str
    """Key that the fault is about, such as `services.auth-nats.cpu`; empty where it is about none."""
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        told = f"{self.key}: {self.message}" if self.key else self.message
        return f"{place}: {told}" if self.severity == "error" else f"{place}: warning: {told}"

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the fault as JSON takes it."""
        return asdict(self)


class CatalogError(Exception):
    """A catalog or an environment cannot be used."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def key_text(path: KeyPath) -> str:
    """Return a path as a reader writes it: `services.a-nats.routes[2].path`; keys with dots stand in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int) or "." in part or not part:
            text += f"[{part}]" if isinstance(part, int) else f"[{_shortened(part)}]"
        else:
            text += f".{_shortened(part)}" if text else _shortened(part)
    return text


def fault_at(
    file: Path | str, position: Position | None, path: KeyPath, message: str, severity: Severity = "error"
) -> Fault:
    """Return a fault at a position; without one it is about the file as a whole."""
    line, column = (position.line, position.column) if position else (None, None)
    return Fault(str(file), line, column, key_text(path), message, severity)


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults in the order of the file, each once."""
    unique = dict.fromkeys(faults)
    return tuple(sorted(unique, key=lambda fault: (fault.file, fault.line or 0, fault.column or 0)))


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, on one line, in YAML's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(_shortened(value))
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return _shortened(str(value))


def listed(values: Iterable[object], conjunction: str = "or") -> str:
    """Return values as a sentence lists them: `a, b or c`."""
    *first, last = [str(value) for value in values] or ["nothing"]
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` where one of the allowed words is near, otherwise nothing."""
    from difflib import get_close_matches  # noqa: PLC0415  # only faults need it, and most catalogs have none

    words = {word.lower(): word for word in islice(allowed, _MOST_COMPARED)}
    near = get_close_matches(given[:_LONGEST_SHOWN].lower(), list(words), n=1, cutoff=0.6)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
