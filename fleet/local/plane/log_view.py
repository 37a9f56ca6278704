"""What processes of the plane have said: the ends of their logs, and what comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.local.plane.client import RunningPlane

_LOOK_SECONDS = 0.5
_MOST_BYTES = 256 * 1024
_ALL_LINES = 1_000_000


class _Tail:
    """One log, from where it was left off."""

    def __init__(self, path: Path, last: int) -> None:
        self._path = path
        self._last = last
        self._offset: int | None = None
        self._rest = b""

    def _begin(self, size: int) -> int:
        if self._offset is None:
            return max(0, size - _MOST_BYTES)
        return self._offset if self._offset <= size else 0  # it was emptied meanwhile

    def lines(self) -> list[str]:
        """Return the whole lines that are new: at first the last few."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                begins = self._offset is None
                file.seek(self._begin(size))
                content = self._rest + file.read()
                self._offset = file.tell()
        except OSError:
            return []
        *whole, self._rest = content.split(b"\n")
        lines = [line.decode(errors="replace") for line in whole]
        return lines[len(lines) - min(self._last, len(lines)) :] if begins else lines


def log_lines(plane: RunningPlane, name: str, *, last: int, follow: bool) -> Iterator[str]:
    """Yield lines of what processes of a name have said, and go on with what comes if told to.

    Raises:
        InputError: Nothing has that name.
    """
    tails: dict[str, _Tail] = {}
    lines_shown = last
    while True:
        for label, path in _logs(plane.ask("status"), name).items():
            # One that begins while we look on is shown from its beginning.
            tail = tails.setdefault(label, _Tail(path, lines_shown))
            for line in tail.lines():
                yield f"{label}  {line}"
        if not follow:
            return
        lines_shown = _ALL_LINES
        time.sleep(_LOOK_SECONDS)


def _logs(status: Mapping[str, Any], name: str) -> dict[str, Path]:
    services = {service["name"]: service for service in status["tasks"]["services"]}
    found = {
        task["id"][:8]: Path(task["log"])
        for service in services.values()
        for task in [*service["stopped"], *service["tasks"]]
        if name in {service["name"], task["id"], task["id"][:8]}
    }
    rows = [row for part in status.values() if isinstance(part, Mapping) for row in part.get("rows") or ()]
    found |= {row["name"]: Path(row["log"]) for row in rows if name in {row["name"], row["kind"]} and row.get("log")}
    if not found and name not in services:
        others = ", ".join(sorted(row["name"] for row in rows if row.get("log")))
        raise InputError(
            f"nothing is called {name!r}; there are the services of `fleet local ps`, ids of their tasks"
            + (f", and {others}" if others else "")
        )
    return found
