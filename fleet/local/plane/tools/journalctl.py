"""`journalctl`, as far as the machines' agent uses it: what the server of this machine logged, by lines, each with its cursor."""

from __future__ import annotations

import json
import os
import sys
import time

_LOG = "var/log/nats-server.log"
_SINCE_SECONDS = 3600.0
_TIME_PARTS = 3  # `[PID] DATE TIME [LEVEL] …`


def main(words: list[str]) -> int:
    """Print what was logged."""
    options = _options(words)
    try:
        lines = _lines(os.path.join(os.environ["MACHINE_ROOT"], _LOG), int(options.get("after-cursor") or 0))  # noqa: PTH118 - less to import
    except FileNotFoundError:
        return 0
    if "since" in options:
        lines = [line for line in lines if line[1] > time.time() - _SINCE_SECONDS]
    if "lines" in options:
        lines = lines[-int(options["lines"]) :]
    as_json = options.get("output") == "json"
    for end, at, text in lines:
        told = {"__CURSOR": str(end), "__REALTIME_TIMESTAMP": str(int(at * 1_000_000)), "MESSAGE": text}
        sys.stdout.write(f"{json.dumps(told) if as_json else text}\n")
    return 0


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, given, value = word.removeprefix("--").partition("=")
        options[name] = value if given or name == "no-pager" else next(rest, "")
    return options


def _lines(path: str, start: int) -> list[tuple[int, float, str]]:
    """Return the whole lines after a place in the log: where each ends, when it was written, and its text."""
    with open(path, "rb") as file:  # noqa: PTH123
        if start <= file.seek(0, os.SEEK_END):
            file.seek(start)
        else:  # it is another log by now
            start = file.seek(0)
        written = file.read()
        at = os.fstat(file.fileno()).st_mtime
    found = []
    for line in written.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        start += len(line)
        text = line.decode(errors="replace").rstrip()
        at = _time(text) or at
        found.append((start, at, text))
    return found


def _time(text: str) -> float | None:
    words = text.split(maxsplit=_TIME_PARTS)
    try:
        seconds, _, fraction = words[2].partition(".")
        return time.mktime(time.strptime(f"{words[1]} {seconds}", "%Y/%m/%d %H:%M:%S")) + float(f"0.{fraction or 0}")
    except (IndexError, ValueError):
        return None
