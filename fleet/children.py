"""Run other programs so that none outlives us, none runs for ever, and no line of theirs is lost."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_GRACE_SECONDS = 5
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended."""

    code: int
    lines: tuple[str, ...]
    """Everything that it printed, on stdout and stderr."""
    timed_out: bool = False


def run_child(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    deadline_seconds: float,
    log: Path,
    on_line: Callable[[str], None] | None = None,
    on_silence: Callable[[float], None] | None = None,
) -> Ended:
    """Run a program to its end, or to the end of its time; it ends with us, whatever ends us.

    Args:
        command: Program and arguments.
        directory: Where it runs.
        environment: Its whole process environment.
        deadline_seconds: Time after which it is ended, with everything that it started.
        log: File that its output is copied to.
        on_line: Called with each line of output.
        on_silence: Called about twice a second with the seconds since the start, while nothing is printed.
    """
    started = time.monotonic()
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        file.write(f"{line}\n")
        if on_line:
            on_line(line)

    with log.open("w", encoding="utf-8") as file:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            for line in _lines(child):
                elapsed = time.monotonic() - started
                if elapsed > deadline_seconds:
                    end_child(child)
                    return Ended(child.returncode, tuple(lines), timed_out=True)
                if line is not None:
                    take(line)
                elif on_silence:
                    on_silence(elapsed)
        except BaseException:
            end_child(child)
            raise
        finally:
            if child.stdout:
                child.stdout.close()
    return Ended(child.returncode, tuple(lines))


def _lines(child: subprocess.Popen[bytes]) -> Iterator[str | None]:
    """Yield each line that a program prints, and None now and then while it prints nothing, until it has ended."""
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    os.set_blocking(child.stdout.fileno(), False)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=_LOOK_SECONDS):
                yield None
                # A grandchild may hold the pipe open after the program itself has ended.
                if child.poll() is not None:
                    break
                continue
            piece = child.stdout.read()
            if piece == b"":
                break
            *whole, rest = (rest + (piece or b"")).split(b"\n")
            yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
    child.wait()


def end_child(child: subprocess.Popen[bytes]) -> None:
    """End a program and everything that it started: asked first, forced after a few seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    child.wait()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make of SIGTERM and SIGHUP what Ctrl-C is already, an exception, so that children end with us."""

    def interrupt(number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
