"""Generate the Python code of the messages: `python -m proto.generate [--check]`.

`--check` writes nothing and exits 1 where the committed code is not what the `.proto` files give.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
GENERATED = SOURCES / "generated"
COMMAND = "python -m proto.generate"

# protoc imports other messages from the root of the protobuf packages; ours lie below this package.
_IMPORT = re.compile(r"^(from|import) (gaming[.\s])", re.MULTILINE)


class GenerateError(Exception):
    """The messages cannot be generated; the text is for whoever wrote them."""


def main(arguments: list[str] | None = None) -> int:
    """Generate, or compare, and return the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Generate the Python code of the protobuf messages.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the code is out of date")
    options = parser.parse_args(arguments)
    try:
        wanted = generated_code(SOURCES)
    except GenerateError as error:
        print(error, file=sys.stderr)
        return 2
    stale = differences(wanted, GENERATED)
    if options.check:
        for name in stale:
            print(f"proto/generated/{name} is out of date", file=sys.stderr)
        if stale:
            print(f"run `{COMMAND}` and commit what it writes", file=sys.stderr)
        return 1 if stale else 0
    write(wanted, GENERATED)
    print(f"{len(stale)} of {len(wanted)} files changed")
    return 0


def generated_code(sources: Path) -> dict[str, str]:
    """Return the generated files, by their path below `proto/generated/`.

    Raises:
        GenerateError: protoc or its plugin refuses a file, or is not installed.
    """
    protos = sorted(path.relative_to(sources).as_posix() for path in sources.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        _run_protoc(sources, protos, Path(folder))
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {
            path.relative_to(folder).as_posix(): _IMPORT.sub(r"\1 proto.generated.\2", path.read_text("utf-8"))
            for path in files
        }


def differences(wanted: dict[str, str], folder: Path) -> list[str]:
    """Return the files that are missing, differ or should not be there."""
    found = {path.relative_to(folder).as_posix(): path for path in _code_in(folder)}
    return sorted(
        name
        for name in wanted.keys() | found.keys()
        if name not in wanted or name not in found or found[name].read_text("utf-8") != wanted[name]
    )


def write(wanted: dict[str, str], folder: Path) -> None:
    """Make the folder hold exactly these files."""
    for path in _code_in(folder):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _code_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in {".py", ".pyi"}]


def _run_protoc(sources: Path, protos: list[str], target: Path) -> None:
    # The plugin of the interpreter that runs this, not of whatever environment comes first on PATH.
    plugin = shutil.which("protoc-gen-mypy", path=str(Path(sys.executable).parent))
    if plugin is None:
        raise GenerateError("protoc-gen-mypy is missing beside this Python: install requirements.txt")
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"--proto_path={sources}",
        f"--plugin=protoc-gen-mypy={plugin}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
        *protos,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenerateError(done.stderr.strip())


if __name__ == "__main__":
    sys.exit(main())
