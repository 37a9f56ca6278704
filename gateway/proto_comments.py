"""What the `.proto` files say of messages, fields and enums: generated code has no comments, and the files lie beside it.

Reads what our files are (a test holds them to it): one declaration a line, its comment in the lines above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_PACKAGE = re.compile(r"package ([\w.]+);")
_BLOCK = re.compile(r"(message|enum|oneof) (\w+) \{(\})?")
_MEMBER = re.compile(r"(?:optional |repeated )?(?:map<[^>]+>|[\w.]+) (\w+) = \d+[;\s]|(\w+) = -?\d+[;\s]")


def comments(files: Iterable[Path]) -> dict[str, str]:
    """Return what is said of each message, field, enum and value, by its full name; values by that of their enum and their own."""
    return dict(pair for file in files for pair in _of(file.read_text("utf-8").splitlines()))


def our_comments() -> dict[str, str]:
    """Return what the files in `proto/` say; nothing where they were not brought along."""
    root = Path(__file__).resolve().parent.parent / "proto" / "gaming"
    return comments(sorted(root.rglob("*.proto")))


def _of(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    scope: list[str] = []
    said: list[str] = []
    for line in map(str.strip, lines):
        if line.startswith("//"):
            said.append(line.removeprefix("//").strip())
            continue
        if package := _PACKAGE.match(line):
            scope = [package[1]]
        elif block := _BLOCK.match(line):
            kind, name, is_closed = block.groups()
            # The members of a oneof are fields of the message around it.
            scope.append("" if kind == "oneof" else name)
            if kind != "oneof":
                yield _name(scope), " ".join(said)
            if is_closed:
                scope.pop()
        elif line.startswith("}"):
            scope.pop()
        elif member := _MEMBER.match(line):
            yield f"{_name(scope)}.{member[1] or member[2]}", " ".join(said)
        said = []


def _name(scope: Iterable[str]) -> str:
    return ".".join(filter(None, scope))
