"""A file's text: read whole, and refused where it is not text that an editor shows as it is."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from catalog.faults import START, CatalogError, Position, fault_at

MAX_BYTES = 10 * 1000 * 1000

_BYTE_ORDER_MARK = "\ufeff"
# Everything that YAML does not print, the line breaks that only YAML 1.1 knows (editors would count lines otherwise),
# a carriage return alone, and the marks that make a line read differently from what it says.
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\r(?!\n)"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A file and its text, without a byte order mark."""

    file: Path
    text: str
    has_byte_order_mark: bool = False

    @property
    def lines(self) -> int:
        """The number of lines, an unfinished last one included."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


def read_source(file: Path) -> Source:
    """Read a file of the catalog.

    Raises:
        CatalogError: There is no such file, or it cannot be a catalog.
    """
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _refused(file, "is a folder; a file is wanted")
        if not stat.S_ISREG(status.st_mode):
            raise _refused(file, "is no ordinary file")
        if status.st_size > MAX_BYTES:
            raise _refused(file, f"has {status.st_size / 1e6:.1f} MB; at most {MAX_BYTES // 1_000_000} MB are read")
        content = file.read_bytes()
    except FileNotFoundError:
        raise _refused(file, "there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _refused(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return decoded(file, content)


def decoded(file: Path, content: bytes) -> Source:
    """Return the text of a file's content.

    Raises:
        CatalogError: The content is empty, or not text.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        what = "is binary" if b"\0" in content else f"is not UTF-8: byte 0x{content[error.start]:02x} cannot stand here"
        raise _refused(file, what, _position(before, len(before))) from None
    marked = text.startswith(_BYTE_ORDER_MARK)
    text = text.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip():
        raise _refused(file, "is empty", START)
    if odd := _FORBIDDEN.search(text):
        what = "is binary: it holds a NUL character" if odd[0] == "\0" else _control_character(odd[0])
        raise _refused(file, what, _position(text, odd.start()))
    return Source(file, text, marked)


def _control_character(character: str) -> str:
    return f"the control character U+{ord(character):04X} cannot stand in a text file"


def _position(text: str, offset: int) -> Position:
    line_start = text.rfind("\n", 0, offset) + 1
    return Position(text.count("\n", 0, offset) + 1, offset - line_start + 1, offset)


def _refused(file: Path, message: str, position: Position | None = None) -> CatalogError:
    return CatalogError([fault_at(file, position, (), message)])
