"""What is read from the `.proto` files, against what the compiler of protobuf reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from proto.comments import comments

ROOT = Path(__file__).parents[3]


def test_comments_are_what_the_compiler_of_protobuf_finds(tmp_path: Path) -> None:
    target = tmp_path / "all.pb"
    files = sorted(str(path) for path in (ROOT / "proto/gaming").rglob("*.proto"))
    arguments = [f"--proto_path={ROOT / 'proto'}", "--include_source_info", f"--descriptor_set_out={target}", *files]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    found: dict[str, str] = {}
    described = FileDescriptorSet.FromString(target.read_bytes()).file
    for file in described:
        for place in file.source_code_info.location:
            name = named(file, list(place.path)) if place.leading_comments else None
            if name:
                found[name] = " ".join(line.strip() for line in place.leading_comments.strip().split("\n"))
    assert {name: text for file in described for name, text in comments(file.name).items() if text} == found


def named(file: Any, path: list[int]) -> str | None:
    """Return the full name of what a place in a file declares, by the numbers of descriptor.proto."""
    match path:
        case [4, message]:
            return f"{file.package}.{file.message_type[message].name}"
        case [4, message, 2, field]:
            return f"{file.package}.{file.message_type[message].name}.{file.message_type[message].field[field].name}"
        case [4, message, 8, _]:  # a oneof: it has no name in JSON
            return None
        case [5, enum]:
            return f"{file.package}.{file.enum_type[enum].name}"
        case [5, enum, 2, value]:
            return f"{file.package}.{file.enum_type[enum].name}.{file.enum_type[enum].value[value].name}"
    return None


def test_nothing_is_said_of_a_file_that_is_not_ours() -> None:
    assert comments("google/protobuf/struct.proto") == {}
