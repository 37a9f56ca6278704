"""What the `.proto` files say of messages, fields and values: generated code has no comments.

Reads what our files are: one declaration a line, its comment in the lines above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).resolve().parent

_PACKAGE = re.compile(r"package ([\w.]+);")
_BLOCK = re.compile(r"(message|enum|oneof) (\w+) \{(\})?")
_MEMBER = re.compile(r"(?:optional |repeated )?(?:map<[^>]+>|[\w.]+) (\w+) = \d+[;\s]|(\w+) = -?\d+[;\s]")


@cache
def comments(file: str) -> dict[str, str]:
    """Return the comments of a file, such as `gaming/game/v1/quest.proto`, by full name; a value's is ENUM.VALUE.

    A file that is not ours has none.
    """
    path = SOURCES / file
    return dict(_of(path.read_text("utf-8").splitlines())) if path.is_file() else {}


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
            # The members of a oneof are fields of the message around it, and it has no name in JSON.
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
