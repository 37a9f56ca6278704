"""The messages that proto/ declares, by a scan of its files: loading protobuf for their names would take longer than all else."""

from __future__ import annotations

import re
from pathlib import Path

_COMMENT_OR_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_PACKAGE = re.compile(r"\bpackage\s+([a-z0-9_.]+)\s*;")
_TOKEN = re.compile(
    r"\b(message|oneof|enum|extend|service)\s+([A-Za-z0-9_.]+)\s*\{|([{}])|\b([a-z][a-z0-9_]*)\s*=\s*\d+\s*[;\[]"
)


def declared_messages(folder: Path) -> dict[str, frozenset[str]]:
    """Return the fields of every top-level message that the folder's files declare, by the message's full name."""
    messages: dict[str, frozenset[str]] = {}
    for file in sorted(folder.rglob("*.proto")):
        messages.update(messages_in(file.read_text(encoding="utf-8", errors="replace")))
    return messages


def messages_in(text: str) -> dict[str, frozenset[str]]:
    """Return the fields of every top-level message of one file, by the message's full name."""
    bare = _COMMENT_OR_TEXT.sub(" ", text)
    package = _PACKAGE.search(bare)
    prefix = f"{package[1]}." if package else ""
    fields: dict[str, set[str]] = {}
    inside: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(bare):
        kind, name, brace, field = token.groups()
        if kind:
            inside.append((kind, name))
            if inside == [("message", name)]:
                fields[prefix + name] = set()
        elif brace == "{":
            inside.append(("", ""))
        elif brace:
            inside = inside[:-1]
        elif [kind for kind, _ in inside if kind != "oneof"] == ["message"]:
            fields[prefix + inside[0][1]].add(field)
    return {name: frozenset(names) for name, names in fields.items()}
