"""Makes a node of a machine that has its address and its disk; whatever an earlier run did stays, and the rest is done."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.certificates import deliver_current
from nats_platform.node.configuration import Wanted, configure
from nats_platform.node.deliver_certificates import FAULTS, RefusedError
from nats_platform.node.install import (
    Archive,
    install_server,
    install_units,
    make_folders,
    make_user,
)
from nats_platform.node.server import SERVING, UNIT, Monitor, systemctl, wait_until
from nats_platform.node.settings import Settings

CURRENT = "current.json"
PAUSE_SECONDS = 20
# The others may be away too, and JetStream reads its disk first.
SERVE_SECONDS = 300


def boot_at_last(settings: Settings, *, attempts: int, sleep: Callable[[float], None] = time.sleep) -> str:
    """Boot; try again where something does not answer, since at night nobody else would.

    Raises:
        RefusedError: It cannot go on, and could not for some minutes.
    """
    for attempt in range(1, attempts):
        try:
            return boot(settings)
        except FAULTS as error:
            _tell(f"attempt {attempt} of {attempts}: {error}")
            sleep(PAUSE_SECONDS)
    return boot(settings)


def boot(settings: Settings) -> str:
    """Install, fetch, configure, start, prove; say how it ended.

    Raises:
        RefusedError: It cannot go on. The same command takes up where this one stopped.
    """
    if subprocess.run(["mountpoint", "--quiet", str(settings.data)], timeout=10, check=False).returncode != 0:
        raise RefusedError(f"{settings.data} is no mount point: the data disk is not there")
    wanted = read_current(settings)
    try:
        server = Archive.from_plain(wanted["server"])
        configuration = Wanted.from_plain(wanted["configuration"][settings.node])
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError(
            f"{CURRENT} does not say what {settings.node} is: {type(error).__name__}: {error}"
        ) from error
    installed = install_server(settings, server)
    make_user(settings)
    make_folders(settings)
    _tell(f"certificates: {deliver_current(settings)}")
    _tell(f"configuration: {configure(settings, configuration)}")
    install_units(settings)
    systemctl("start", UNIT)
    wait_until(lambda: _not_serving(settings), seconds=SERVE_SECONDS)
    # Now that it runs, what it serves can be proved, and the release that was staged is taken for good.
    _tell(f"certificates: {deliver_current(settings)}")
    return f"booted: {settings.node}, version {wanted.get('version')}, server {installed}"


def read_current(settings: Settings) -> dict[str, Any]:
    """Return what the cluster's bucket says that there is to install.

    Raises:
        RefusedError: It says nothing yet.
    """
    try:
        plain: dict[str, Any] = json.loads(Bucket(settings.bucket, Aws(settings.region)).read(CURRENT))
    except ValueError as error:
        raise RefusedError(f"{CURRENT} in {settings.bucket} is no JSON: {error}") from error
    return plain


def _not_serving(settings: Settings) -> str:
    """Return what is wrong where this node does not serve yet."""
    monitor = Monitor(settings.monitor)
    if wrong := monitor.fault(SERVING):
        return wrong
    name = monitor.get("/varz")["server_name"]
    return "" if name == settings.node else f"a server of the name {name} answers at {settings.monitor}"


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
