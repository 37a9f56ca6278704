"""The gate of a roll: whether the cluster is whole again, and stays so.

One good answer says little: after a crash `/healthz` turns good, bad and good again within three seconds, and the first time before
the replicas have caught up.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nats_platform.node import replicas
from nats_platform.node.certificates import provisioner_context
from nats_platform.node.deliver_certificates import FAULTS, RefusedError
from nats_platform.node.jetstream import connected
from nats_platform.node.server import EVERYTHING, Monitor, leads, peers, without
from nats_platform.node.settings import Settings

LOOKS = 10
Observe = Callable[[], "list[str]"]


def wait_for_gate(
    observe: Observe,
    *,
    seconds: float,
    span_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Look until nothing was wrong for a while; return what still was when the time was up, nothing where all is well."""
    end = clock() + seconds
    good_since, looks = clock(), 0
    while True:
        found = observe()
        if found:
            looks = 0
        else:
            good_since, looks = (good_since, looks + 1) if looks else (clock(), 1)
            if looks >= LOOKS and clock() - good_since >= span_seconds:
                return []
        if clock() >= end:
            return found or [f"all was well only for the last {clock() - good_since:.0f} s of {seconds:g}"]
        sleep(span_seconds / LOOKS)


@dataclass
class Cluster:
    """The cluster as this node sees it, and as the leaders of its streams do."""

    settings: Settings
    _context: ssl.SSLContext | None = field(default=None, repr=False)

    def observe(self) -> list[str]:
        """Return everything that is wrong now."""
        monitor = Monitor(self.settings.monitor)
        if fault := monitor.fault(EVERYTHING):
            return [fault]
        try:
            found = [*_routes(self.settings, monitor), *_meta(self.settings, monitor)]
            if self._context is None:
                self._context = provisioner_context(self.settings)
            return found + asyncio.run(self._replicas(self._context))
        except FAULTS as error:
            return [str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"]

    async def _replicas(self, context: ssl.SSLContext) -> list[str]:
        async with connected(self.settings, context) as jetstream:
            return await replicas.findings(jetstream)


def gate(settings: Settings, *, seconds: float, span_seconds: float) -> dict[str, Any]:
    """Wait for the gate; return how it ended."""
    found = wait_for_gate(Cluster(settings).observe, seconds=seconds, span_seconds=span_seconds)
    return {
        "good": not found,
        "node": settings.node,
        "is_meta_leader": leads(Monitor(settings.monitor), settings.node),
        "findings": found,
    }


def _routes(settings: Settings, monitor: Monitor) -> list[str]:
    missing = sorted(set(without(settings.nodes, settings.node)) - set(peers(monitor.get("/routez"))))
    return [f"no route to {', '.join(missing)}"] if missing else []


def _meta(settings: Settings, monitor: Monitor) -> list[str]:
    meta = monitor.get("/jsz").get("meta_cluster") or {}
    found = [] if meta.get("leader") else ["JetStream has no meta leader"]
    size, expected = meta.get("cluster_size"), len(settings.nodes)
    if size != expected:
        found.append(f"JetStream's cluster has the size {size}, not {expected}")
    # The leader alone knows how the others follow; what they tell of one another is old.
    followers = meta.get("replicas") or [] if meta.get("leader") == settings.node else []
    lost = [peer["name"] for peer in followers if peer.get("offline") or not peer.get("current")]
    return [*found, *(f"{name} does not follow the meta leader" for name in lost)]
