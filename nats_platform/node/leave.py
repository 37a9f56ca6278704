"""Takes this node out of the cluster by lame duck, so that its machine may go: leaders step down, clients move over, it ends."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

from nats_platform.node.deliver_certificates import RefusedError, last_line
from nats_platform.node.server import UNIT, Monitor, leads, meta_leader
from nats_platform.node.settings import Settings

LEAVE_SECONDS = 140


def leave(settings: Settings) -> dict[str, Any]:
    """Stop the server by its unit, which is lame duck, and wait until it has ended.

    The server hands over whatever it leads before it sends its clients away; the meta leader is looked at, since a roll that takes
    it by surprise leaves the cluster without one for seconds.

    Raises:
        RefusedError: It did not end in time, or was killed.
    """
    led, handed_over = leads(Monitor(settings.monitor), settings.node), False
    end = time.monotonic() + LEAVE_SECONDS
    child = subprocess.Popen(
        ["systemctl", "stop", UNIT], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    )
    with child:
        while child.poll() is None:
            if time.monotonic() > end:
                child.kill()
                raise RefusedError(f"{UNIT} has not ended within {LEAVE_SECONDS} s")
            handed_over = handed_over or (led and _another_leads(settings))
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
        assert child.stderr is not None  # noqa: S101 - asked for above
        told = child.stderr.read()
    if child.returncode != 0:
        raise RefusedError(f"systemctl stop {UNIT}: {last_line(told)}")
    if (pid := settings.machine.pid()) is not None:
        raise RefusedError(f"{UNIT} has stopped, and its server still runs as process {pid}")
    return {"outcome": "left", "node": settings.node, "was_meta_leader": led, "handed_over": handed_over}


def _another_leads(settings: Settings) -> bool:
    try:
        return meta_leader(Monitor(settings.monitor)) not in {"", settings.node}
    except OSError:
        return False
