"""Metrics of this node and its server's log, to CloudWatch Logs: the one door there is, since no endpoint for metrics exists.

Numbers that only grow are sent as what came since the last run, which `run/nats-agent/metrics.json` remembers. A server that does
not answer gives no numbers of its own but `unhealthy`: who counts the samples of `routes_missing` counts the nodes that live.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import FAULTS, write
from nats_platform.node.go_time import parse
from nats_platform.node.journal import ship
from nats_platform.node.server import EVERYTHING, Monitor, peers, without
from nats_platform.node.settings import LATEST_BACKUP, Settings

NAMESPACE = "GamingSystem"
SERVER = "nats"
JETSTREAM = "nats-jetstream"
# How a connection ended that was not let in.
REFUSED = ("Authentication Failure", "Authentication Timeout", "TLS Handshake Failure", "Authentication Expired")
_ITSELF = "127.0.0.1"
BACKUP_LOOK_SECONDS = 600
_JETSTREAM = "/jsz?accounts=1&streams=1&consumers=1&raft=1"
_LOOKS = 5
_PAUSE_SECONDS = 0.2
Numbers = dict[str, float]


@dataclass
class Memory:
    """What the last run left for this one."""

    slow_consumers: int = 0
    started: str = ""
    """When the server started whose numbers these are."""
    looked_at: str = ""
    """The server's time at the last look."""
    backup: float = 0.0
    """When the last backup was complete, in seconds since 1970; 0 where none is known."""
    backup_looked_at: float = 0.0
    cursor: str = ""
    """The last line of the log that was sent."""

    @classmethod
    def load(cls, path: Path) -> Memory:
        """Read it; what cannot be read is forgotten."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep it for the next run."""
        write(path, json.dumps(vars(self)))


def send_metrics(settings: Settings, *, now: float | None = None) -> dict[str, Numbers]:
    """Measure, send, and send what the server logged; return what was measured.

    Raises:
        RefusedError: CloudWatch did not take it.
    """
    now = time.time() if now is None else now
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.state / "metrics.json"
    memory = Memory.load(path)
    measured = measure(settings, memory, now)
    aws = Aws(settings.region)
    events = [(int(now * 1000), json.dumps(line(settings, service, measured[service], now))) for service in measured]
    aws.put_events(settings.log_group, f"{settings.node}/metrics", events)
    memory.save(path)
    memory.cursor = ship(aws, settings.log_group, f"{settings.node}/server", memory.cursor)
    memory.save(path)
    return measured


def line(settings: Settings, service: str, numbers: Numbers, now: float) -> dict[str, Any]:
    """Return what CloudWatch makes metrics of: the embedded metric format."""
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Environment", "Service"]],
        "Metrics": [{"Name": name} for name in numbers],
    }
    return {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [declared]},
        "Environment": settings.environment,
        "Service": service,
        "Node": settings.node,
        **numbers,
    }


def measure(
    settings: Settings, memory: Memory, now: float, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Numbers]:
    """Return the numbers of both services, and have the memory hold what the next run needs."""
    monitor = Monitor(settings.monitor)
    disk = os.statvfs(settings.data)
    server: Numbers = {
        "disk_used_percent": _percent(disk.f_blocks - disk.f_bavail, disk.f_blocks),
        "memory_used_percent": _memory_used(Path("/proc/meminfo").read_text(encoding="ascii")),
    }
    jetstream: Numbers = {"unhealthy": float(bool(monitor.fault(EVERYTHING)))}
    try:
        varz, jsz = monitor.get("/varz"), monitor.get(_JETSTREAM)
        behind = _stays_behind(monitor, jsz, settings.node, sleep)
        closed = monitor.get("/connz?state=closed&sort=stop&limit=10000")["connections"]
        missing = set(without(settings.nodes, settings.node)) - set(peers(monitor.get("/routez")))
    except OSError:
        return {SERVER: server, JETSTREAM: jetstream}
    server.update(since_last(memory, varz, closed), routes_missing=float(len(missing)))
    jetstream.update(
        leaderless=float(not (jsz.get("meta_cluster") or {}).get("leader")),
        store_used_percent=_percent(jsz["storage"], jsz["config"]["max_storage"]),
        replica_lag=float(behind),
    )
    jetstream["backup_age_hours"] = _backup_age_hours(settings, memory, now, parse(varz["start"]).timestamp())
    return {SERVER: server, JETSTREAM: jetstream}


def since_last(memory: Memory, varz: Mapping[str, Any], closed: list[dict[str, Any]]) -> Numbers:
    """Return what came since the last look, or since the server started where that is later."""
    before = memory.slow_consumers if memory.started == varz["start"] else 0
    since = parse(memory.looked_at or varz["start"])
    refused = [each for each in closed if _is_refused(each) and parse(each["stop"]) > since]
    memory.slow_consumers, memory.started, memory.looked_at = varz["slow_consumers"], varz["start"], varz["now"]
    return {
        "slow_consumers": float(varz["slow_consumers"] - before),
        "authentication_failures": float(len(refused)),
    }


def _is_refused(connection: Mapping[str, Any]) -> bool:
    """Tell whether somebody was not let in; who looks at this machine's own port from itself shows no certificate on purpose."""
    return connection.get("reason") in REFUSED and connection.get("ip") != _ITSELF


def lags(jsz: Mapping[str, Any], node: str) -> list[int]:
    """Return how far each replica is behind, of what this node leads: what others tell of one another is old."""
    kept = [
        each
        for account in jsz.get("account_details") or []
        for stream in account.get("stream_detail") or []
        for each in (stream, *(stream.get("consumer_detail") or []))
    ]
    clusters = [each.get("cluster") or {} for each in kept]
    return [
        replica.get("lag", 0)
        for cluster in clusters
        if cluster.get("leader") == node
        for replica in cluster.get("replicas") or []
    ]


def _stays_behind(monitor: Monitor, jsz: Mapping[str, Any], node: str, sleep: Callable[[float], None]) -> int:
    """Return how far replicas are behind at the best of some looks: under load something is on its way at any moment."""
    least = max(lags(jsz, node), default=0)
    for _ in range(_LOOKS - 1):
        if not least:
            break
        sleep(_PAUSE_SECONDS)
        least = min(least, max(lags(monitor.get(_JETSTREAM), node), default=0))
    return least


def _backup_age_hours(settings: Settings, memory: Memory, now: float, started: float) -> float:
    """Return the age of the last backup; where none is known, since when the server runs without, so that its alarm comes all the same.

    The bucket is asked now and then only, and what it said last holds while it does not answer.
    """
    if now - memory.backup_looked_at >= BACKUP_LOOK_SECONDS:
        with contextlib.suppress(*FAULTS):
            found = Bucket(settings.bucket, Aws(settings.region)).find(LATEST_BACKUP)
            memory.backup = parse(json.loads(found)["completed_at"]).timestamp() if found else 0.0
        memory.backup_looked_at = now
    return round((now - (memory.backup or started)) / 3600, 2)


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _memory_used(meminfo: str) -> float:
    kib = {name: float(rest.split()[0]) for name, _, rest in (each.partition(":") for each in meminfo.splitlines())}
    return _percent(kib["MemTotal"] - kib["MemAvailable"], kib["MemTotal"])
