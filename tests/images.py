"""An image without an engine: what its Dockerfile copies, in a root of its own, and the very commands that the Dockerfile names.

Where we are root and mounts are ours to make, that root is real: read-only, without a shell, with nothing in it but the image's files, the
Python that runs the tests, and the libraries that it is linked with; and the process is user 10001. Elsewhere the same files are run by
whoever runs the tests, with no packages but the image's.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "images"
USER = 10001
BASE_PYTHON = Path(os.path.realpath(sys.executable))
_STDLIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
_BUILD_SECONDS = 120

# Everything below is mounted for one process and its children, and is gone with them.
_SEALED = """
set -e
mount --bind "$ROOT" "$ROOT"
for place in $MOUNTS; do mkdir -p "$ROOT$place"; mount --rbind "$place" "$ROOT$place"; done
mount -t tmpfs none "$ROOT$PREFIX/$STDLIB/site-packages"
mount -t tmpfs -o mode=1777 none "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
exec env -i $VARIABLES "$(command -v chroot)" --userspec=$USER_ID:$USER_ID --groups= "$ROOT" "$@"
"""


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile of ours: two stages, and every command in exec form."""

    path: Path
    instructions: Sequence[tuple[str, str]]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        """Read one."""
        lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ").splitlines()
        return cls(path, [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined)])

    def all(self, instruction: str) -> list[str]:
        """Return what stands behind an instruction, each time that it is given."""
        return [rest for word, rest in self.instructions if word == instruction]

    def command(self, instruction: str) -> list[str]:
        """Return a command in exec form."""
        (found,) = self.all(instruction)
        command: list[str] = json.loads(found[found.index("[") :])
        return command

    @property
    def variables(self) -> dict[str, str]:
        """What the image sets."""
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())


@dataclass(frozen=True)
class Image:
    """What the Dockerfile makes."""

    dockerfile: Dockerfile
    root: Path
    is_sealed: bool
    mounts: tuple[str, ...] = field(default=())

    def popen(
        self, command: Sequence[str], variables: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.Popen[str]:
        """Start a command in the image."""
        told = {**self.dockerfile.variables, **(variables or {})}
        program, *arguments = command
        assert program == "python"
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        if not self.is_sealed:
            told["PYTHONPATH"] = ":".join(f"{self.root}{part}" for part in told["PYTHONPATH"].split(":"))
            return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the options are subprocess's own
                [str(BASE_PYTHON), "-S", *arguments], env=told, cwd=self.root / "app", **options
            )
        given = {**told, "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib", "PATH": "/usr/local/bin"}
        shell = {
            **os.environ,
            "ROOT": str(self.root),
            "MOUNTS": " ".join(self.mounts),
            "PREFIX": sys.base_prefix,
            "STDLIB": _STDLIB,
            "USER_ID": str(USER),
        }
        # As arguments and not by the shell's splitting: a contract is JSON with blanks in it.
        script = _SEALED.replace("$VARIABLES", " ".join(f'"${{V{number}}}"' for number in range(len(given))))
        shell |= {f"V{number}": f"{name}={value}" for number, (name, value) in enumerate(given.items())}
        sealed = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(BASE_PYTHON)]
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the options are subprocess's own
            [*sealed, *arguments], env=shell, **options
        )

    def run(
        self, command: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the image to its end."""
        child = self.popen(command, variables)
        try:
            out, err = child.communicate(timeout=_BUILD_SECONDS)
        finally:
            child.kill()
            child.wait()
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def put(self, source: Path, place: str) -> None:
        """Lay files down for the image's user alone, as a mounted volume would have them."""
        target = Path(f"{self.root}{place}")
        shutil.copytree(source, target)
        if self.is_sealed:
            for path in (target, *target.rglob("*")):
                os.chown(path, USER, USER)


@contextmanager
def built(path: Path) -> Iterator[Image]:
    """Have an image until the block ends."""
    dockerfile = Dockerfile.read(path)
    is_sealed = can_seal()
    # Not below pytest's folders, which are for whoever runs the tests alone.
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for place in ("app", "tmp", "proc", "dev"):
            (root / place).mkdir()
        (root / "etc").mkdir()
        (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")  # as every engine gives it
        _build(dockerfile, root / "app")
        yield Image(dockerfile, root, is_sealed, _mounts() if is_sealed else ())


@functools.cache
def can_seal() -> bool:
    """Tell whether we may make mounts, and become another user."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


def ignored(name: str) -> bool:
    """Tell whether `.dockerignore` keeps a path from the build; the last line that fits decides."""
    decided = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        if any(fnmatch(part, pattern) for part in (name, name.split("/", 1)[0], Path(name).name)):
            decided = not line.startswith("!")
    return decided


def _build(dockerfile: Dockerfile, app: Path) -> None:
    """Do what the first stage does."""
    for word, rest in dockerfile.instructions:
        if word == "COPY" and not rest.startswith("--from"):
            source, target = rest.split()
            assert not ignored(source.rstrip("/")), f".dockerignore keeps {source} from the build"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, app / target)
        elif word == "RUN":
            command = json.loads(rest)
            if "pip" in command:
                _install(app / command[command.index("--requirement") + 1], app / "packages")
            else:
                subprocess.run([str(BASE_PYTHON), *command[1:]], cwd=app, check=True, timeout=_BUILD_SECONDS)


def _install(lock: Path, target: Path) -> None:
    """Lay down the packages of a lock as pip would, from those that are installed here: a test needs no network."""
    locked = re.findall(r"^([a-z0-9._-]+)==(\S+)( ; )?", lock.read_text("utf-8"), flags=re.MULTILINE)
    for name, version, condition in locked:
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            assert condition, f"{name} is not installed here"
            continue  # of another platform or Python
        assert installed.version == version, f"{name} {version} is locked, {installed.version} is installed"
        for file in installed.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                place = target / file
                place.parent.mkdir(parents=True, exist_ok=True)
                _lay(str(file.locate()), place)


def _lay(source: str, place: Path) -> None:
    """Link a file where that can be, for there are thousands, and nothing writes to them; else copy it."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy(source, place)


def _mounts() -> tuple[str, ...]:
    """Return what a process needs of this machine: Python, and the libraries that it is linked with."""
    libraries = [place for place in ("/lib", "/lib64", "/usr/lib") if Path(place).exists()]
    return tuple(dict.fromkeys(["/proc", "/dev", *libraries, sys.base_prefix]))
