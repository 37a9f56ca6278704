"""Whose turn it is: one change of certificates or configuration at a time, whoever asks for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from nats_platform.node.deliver_certificates import Machine, RefusedError, alone

WAIT_SECONDS = 100
_PAUSE_SECONDS = 0.5


@contextlib.contextmanager
def turn(
    machine: Machine,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Keep all others out until the block ends; wait while one of them is at work.

    Raises:
        RefusedError: It did not end.
    """
    end = clock() + WAIT_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(alone(machine))
                break
            except RefusedError:
                if clock() > end:
                    raise
                sleep(_PAUSE_SECONDS)
        yield
