"""The clock of a worker: it wakes within a tenth of a millisecond, where the event loop's own timers are up to one late."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from typing import Protocol

_CLOCK_MONOTONIC = 1
_NONBLOCK_AND_CLOSED_ON_EXEC = os.O_NONBLOCK | os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0
_BILLION = 1_000_000_000


class Clock(Protocol):
    """Time, in seconds; only differences mean something."""

    def now(self) -> float:
        """Return the time."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Wait until a time, not a moment less."""
        ...


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class LoopClock:
    """The clock of the running event loop, with a timer of the kernel's where there is one (Linux).

    One sleeper at a time, which the schedule is.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Future[None] | None = None
        self._timer = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            # From Python 3.13 on `os.timerfd_create` is the same.
            self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_AND_CLOSED_ON_EXEC)
        if self._timer >= 0:
            self._loop.add_reader(self._timer, self._woken)

    def now(self) -> float:
        """Return the time."""
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        """Wait until a time."""
        left = moment - time.monotonic()
        if left <= 0:
            return
        if self._timer < 0:
            await asyncio.sleep(left)
            return
        self._due = self._loop.create_future()
        nanoseconds = max(1, int(left * _BILLION))
        value = _Timespec(nanoseconds // _BILLION, nanoseconds % _BILLION)
        self._libc.timerfd_settime(self._timer, 0, ctypes.byref(_Timer(_Timespec(0, 0), value)), None)
        try:
            await self._due
        finally:
            self._due = None

    def close(self) -> None:
        """Give the timer back."""
        if self._timer >= 0:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = -1

    def _woken(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:  # an older wake-up that was read already
            return
        if self._due is not None and not self._due.done():
            self._due.set_result(None)
