"""The server on this machine, as its monitoring on loopback and systemd show it."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats_platform.node.deliver_certificates import ANSWER_SECONDS, SERVER_NAME, RefusedError, last_line

UNIT = "nats-server.service"
SERVING = "/healthz?js-enabled-only=true"
EVERYTHING = "/healthz"
_DIGEST = re.compile(r"\((sha256:[0-9a-f]{64})\)")


@dataclass(frozen=True)
class Monitor:
    """What the server tells on loopback."""

    address: str

    def get(self, path: str) -> Any:
        """Return what it tells.

        Raises:
            OSError: It does not answer, or with an error.
        """
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.address}{path}", timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)

    def fault(self, path: str) -> str:
        """Ask for its health; return what is wrong, empty where nothing is."""
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            with error:
                return f"{path} answers {error.code}: {_reason(error.read())}"
        except OSError as error:
            return f"{path} does not answer: {error}"
        return ""


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body).get("error"))
    except (ValueError, AttributeError):
        return body.decode(errors="replace")[:200]


def tried(program: Path, config: Path) -> str:
    """Have a server read a configuration; return the digest that it will show once it runs on it.

    Raises:
        RefusedError: It refuses it.
    """
    done = subprocess.run(
        [str(program), "-t", "-c", str(config)], capture_output=True, text=True, timeout=30, check=False
    )
    told = done.stderr + done.stdout
    if done.returncode != 0:
        raise RefusedError(f"{SERVER_NAME} refuses {config.name}: {last_line(told)}")
    found = _DIGEST.search(told)
    if found is None:
        raise RefusedError(f"{SERVER_NAME} does not tell the digest of {config.name}: {last_line(told)}")
    return found[1]


def systemctl(*words: str, seconds: float = 60) -> None:
    """Have systemd do something.

    Raises:
        RefusedError: It did not.
    """
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise RefusedError(f"systemctl {' '.join(words)}: {last_line(done.stderr)}")


def wait_until(
    fault: Callable[[], str],
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until nothing is wrong any more.

    Raises:
        RefusedError: Something still is when the time is up.
    """
    end = clock() + seconds
    while wrong := fault():
        if clock() > end:
            raise RefusedError(f"{wrong}; waited for {seconds:g} s")
        sleep(0.2)


def meta_leader(monitor: Monitor) -> str:
    """Return who leads the cluster's own affairs; empty where nobody does.

    Raises:
        OSError: The server does not answer.
    """
    return str((monitor.get("/jsz").get("meta_cluster") or {}).get("leader") or "")


def leads(monitor: Monitor, node: str) -> bool:
    """Tell whether a node leads the cluster's own affairs; one that does not answer leads nothing."""
    try:
        return meta_leader(monitor) == node
    except OSError:
        return False


def peers(routez: Mapping[str, Any]) -> list[str]:
    """Return the nodes that there are routes to, each once: a route is several connections."""
    return sorted({str(route["remote_name"]) for route in routez.get("routes") or []})


def without(nodes: Sequence[str], node: str) -> list[str]:
    """Return the other nodes."""
    return sorted(set(nodes) - {node})
