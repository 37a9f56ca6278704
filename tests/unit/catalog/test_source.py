"""Files that are no text, or no file: refused with a reason, and never read where their size says enough."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalog import CatalogError, check_catalog
from catalog.source import MAX_BYTES, read_source


def told(file: Path) -> str:
    (fault,) = check_catalog(file).faults
    return str(fault).replace(str(file), "FILE")


def written(folder: Path, content: bytes) -> Path:
    file = folder / "catalog.yaml"
    file.write_bytes(content)
    return file


def test_missing_file(tmp_path: Path) -> None:
    assert told(tmp_path / "catalog.yaml") == "FILE: there is no such file"


def test_folder(tmp_path: Path) -> None:
    assert told(tmp_path) == "FILE: is a folder; a file is wanted"


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    os.mkfifo(file)

    assert told(file) == "FILE: is no ordinary file"


def test_link_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.symlink_to(file)

    assert told(file) == "FILE: cannot be read: Too many levels of symbolic links"


def test_name_with_nul() -> None:
    assert told(Path("catalog\0.yaml")) == "FILE: cannot be read: embedded null byte"


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)

    assert told(written(tmp_path, b"groups: {}")) == "FILE: cannot be read: Permission denied"


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, b"")
    os.truncate(file, MAX_BYTES + 1_500_000)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))

    assert told(file) == "FILE: has 11.5 MB; at most 10 MB are read"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n", b"\xef\xbb\xbf", b"# nothing but a comment\n"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    assert told(written(tmp_path, content)) == "FILE:1:1: is empty"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\x00\x01\xff", "FILE:1:7: is binary"),
        (b"groups:\n  a\x00: b\n", "FILE:2:4: is binary: it holds a NUL character"),
        ("groups:\n".encode("utf-16"), "FILE:1:1: is binary"),
        ("groups: # für alle\n".encode("latin-1"), "FILE:1:12: is not UTF-8: byte 0xfc cannot stand here"),
        (b"a: \x1b[31m\n", "FILE:1:4: the control character U+001B cannot stand in a text file"),
        (b"a: b\r\nc: d\re: f\n", "FILE:2:5: the control character U+000D cannot stand in a text file"),
        ("a: b\u2028c: d\n".encode(), "FILE:1:5: the control character U+2028 cannot stand in a text file"),
        ("a: \u202eb\n".encode(), "FILE:1:4: the control character U+202E cannot stand in a text file"),
        ("a: b\nc: \ufeffd\n".encode(), "FILE:2:4: the control character U+FEFF cannot stand in a text file"),
    ],
)
def test_what_is_not_text(tmp_path: Path, content: bytes, message: str) -> None:
    assert told(written(tmp_path, content)) == message


def test_byte_order_mark_does_not_move_the_first_line(tmp_path: Path) -> None:
    file = written(tmp_path, b"\xef\xbb\xbfgroops: {}\n")

    assert read_source(file).has_byte_order_mark
    assert check_catalog(file).faults[0].column == 1


def test_refusal_is_an_error_with_its_faults(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as refused:
        read_source(tmp_path / "catalog.yaml")

    assert [fault.line for fault in refused.value.faults] == [None]
