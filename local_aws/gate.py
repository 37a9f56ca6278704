"""The gate between work and the saving of state: what is written must not catch a piece of work half-way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets pieces of work through together, and a save only when none is inside.

    There are two kinds of work. A step is one call of a resource's handler; new steps wait once a save asks to begin, or a
    busy deployment would never let it. A request is one HTTP request; it waits only while a save runs, since a step makes
    requests of its own and could otherwise never end.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._wanted = 0
        self._closed = False
        self._turn = threading.Lock()

    @property
    def is_wanted(self) -> bool:
        """Whether a save runs, or waits to."""
        return self._wanted > 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Hold the gate for one step of a stack operation."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed and not self._wanted)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold the gate for one request."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @contextmanager
    def closed(self, patience_seconds: float) -> Iterator[bool]:
        """Close the gate, and say whether the work inside had ended within the patience given.

        One at a time. Must not be called by a thread that is inside.
        """
        with self._turn:
            deadline = time.monotonic() + patience_seconds
            with self._changed:
                self._wanted += 1
                is_empty = self._changed.wait_for(lambda: not self._inside, max(0.0, deadline - time.monotonic()))
                self._closed = True
            try:
                yield is_empty
            finally:
                with self._changed:
                    self._closed = False
                    self._wanted -= 1
                    self._changed.notify_all()
