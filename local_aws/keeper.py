"""Keeps the state on disk: at the end of every stack operation, and soon after any other request that changed something."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from local_aws.gate import Gate

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_QUIET_SECONDS = 0.5
_LATEST_SECONDS = 5.0


class Keeper:
    """Decides when to save.

    Args:
        gate: kept closed while a save runs.
        save: writes everything.
    """

    def __init__(self, gate: Gate, save: Callable[[], None]) -> None:
        self._gate = gate
        self._save = save
        self._changed = threading.Condition()
        self._dirty_since: float | None = None
        self._touched = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to save after requests."""
        self._thread.start()

    def stop(self) -> None:
        """Save for the last time."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_SECONDS)
        self.commit(lambda: None)

    def commit(self, change: Callable[[], None]) -> None:
        """Make a change and save it, so that nobody sees the change before it is on disk."""
        with self._gate.closed(_PATIENCE_SECONDS):
            change()
            with self._changed:
                self._dirty_since = None
            try:
                self._save()
            except Exception:  # a full disk must not make a good deployment a failed one; the next change tries again
                log.exception("the state could not be saved: a restart would lose what is deployed since the last time")

    def touch(self) -> None:
        """Say that something has changed, which is to be saved before long."""
        with self._changed:
            self._touched = time.monotonic()
            if self._dirty_since is None:
                self._dirty_since = self._touched
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._dirty_since is not None)
                if self._stopped:
                    return
                while not self._stopped and self._dirty_since is not None and (rest := self._rest()) > 0:
                    self._changed.wait(rest)
                if self._stopped or self._dirty_since is None:
                    continue
            self.commit(lambda: None)

    def _rest(self) -> float:
        """Return how long to wait still: until requests pause, but not for ever."""
        if self._dirty_since is None:
            return 0.0
        return min(self._touched + _QUIET_SECONDS, self._dirty_since + _LATEST_SECONDS) - time.monotonic()
