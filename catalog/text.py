"""A text that is changed at a few places and written in one step."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path

from catalog.faults import CatalogError, fault_at
from catalog.nodes import Node
from catalog.source import Source

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextFile:
    """A file's text, the changes to it, and how it is written back."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._lines = source.text.splitlines(keepends=True)
        self._changes: list[tuple[int, int, str]] = []
        self.eol = "\r\n" if self._lines[0].endswith("\r\n") else "\n"

    def is_flow(self, node: Node) -> bool:
        """Tell whether a mapping stands in braces."""
        return self._text[node.start.offset] == "{"

    def last_line(self, node: Node) -> int:
        """Return the index of the line that a value ends in."""
        return self._text.count("\n", 0, self._end(node))

    def block_end(self, mapping: Node, key: str, root: Node) -> int:
        """Return the index of the line after a member of a mapping; blank lines and comments that follow are not its own."""
        start = mapping.keys[key]
        followers = [*mapping.keys.values(), *root.keys.values()]
        end = min((place.line - 1 for place in followers if place.line > start.line), default=len(self._lines))
        while end > start.line and self._is_between_members(self._lines[end - 1], start.column):
            end -= 1
        return end

    def has_blank_line_before(self, line: int) -> bool:
        """Tell whether a blank line stands above a line and the comments above it."""
        while line > 0 and self._lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line > 0 and not self._lines[line - 1].strip()

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace what stands between two offsets."""
        self._changes.append((start, end, text))

    def replace_value(self, node: Node, text: str) -> None:
        """Replace a value."""
        self.replace(node.start.offset, self._end(node), text)

    def insert_lines(self, index: int, lines: list[str]) -> None:
        """Insert lines above the line of that index."""
        offset = self._offset(index)
        text = "".join(f"{line}{self.eol}" for line in lines)
        if index == len(self._lines) and not self._text.endswith("\n"):
            text = self.eol + text.removesuffix(self.eol)
        self.replace(offset, offset, text)

    def remove_lines(self, start: int, end: int) -> None:
        """Remove the lines from one index up to another."""
        self.replace(self._offset(start), self._offset(end), "")

    def remove_flow_members(self, mapping: Node, keys: Collection[str]) -> None:
        """Remove members of a mapping in braces, with the commas that part them from those that stay."""
        members = list(mapping.value)
        starts = [mapping.keys[key].offset for key in members]
        ends = [self._end(mapping.value[key]) for key in members]
        index = 0
        while index < len(members):
            first = index
            while index < len(members) and members[index] in keys:
                index += 1
            if index == first:
                index += 1
            elif index < len(members):
                self.replace(starts[first], starts[index], "")
            else:
                self.replace(ends[first - 1] if first else starts[first], ends[-1], "")

    def result(self) -> str:
        """Return the text with all changes; those at the same place stand in the order in which they were made."""
        text = self._text
        for start, end, new in sorted(self._changes, key=lambda change: change[:2], reverse=True):
            text = text[:start] + new + text[end:]
        return text if self._text.endswith("\n") else text.removesuffix(self.eol)

    def write(self, text: str) -> None:
        """Write a text in the file's place: all of it or nothing, with the file's mode.

        Raises:
            CatalogError: The file has changed since it was read, or cannot be written.
        """
        content = (_BYTE_ORDER_MARK if self._source.has_byte_order_mark else b"") + text.encode("utf-8")
        file = self._source.file.resolve()  # a link stays one
        try:
            _replace(file, content, expected=self._source)
        except OSError as error:
            told = f"cannot be written: {error.strerror or error}; nothing was changed"
            raise CatalogError([fault_at(self._source.file, None, (), told)]) from error

    def _end(self, node: Node) -> int:
        """Return where a value's last character ends; for a block scalar the parser counts the line end too."""
        return node.start.offset + len(self._text[node.start.offset : node.end].rstrip())

    def _offset(self, index: int) -> int:
        return sum(map(len, self._lines[:index]))

    @staticmethod
    def _is_between_members(line: str, key_column: int) -> bool:
        bare = line.lstrip()
        return not bare or (bare.startswith("#") and len(line) - len(bare) < key_column)


def _replace(file: Path, content: bytes, *, expected: Source) -> None:
    mode = stat.S_IMODE(file.stat().st_mode)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        if file.read_bytes().decode("utf-8").removeprefix("\ufeff") != expected.text:
            told = "has changed while it was being edited; nothing was written, try again"
            raise CatalogError([fault_at(expected.file, None, (), told)])
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
