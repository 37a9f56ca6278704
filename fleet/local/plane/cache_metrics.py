"""What ElastiCache measures of each node of a cache, from what the local servers tell of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMESPACE = "AWS/ElastiCache"
NODE_ID = "0001"
PROCESSORS = 2
"""Of the machine that a node would have to itself, in the sizes that the local environment knows."""

Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server had counted at a moment."""

    process: int
    at: float
    cpu_seconds: float
    evicted: int
    refused: int


def sampled(process: int, info: Mapping[str, Any], cpu_seconds: float, now: float) -> Sample:
    """Take down what only grows; servers older than Valkey 7.2 count no refusals."""
    return Sample(process, now, cpu_seconds, int(info["evicted_keys"]), int(info.get("acl_access_denied_auth", 0)))


def measured(info: Mapping[str, Any], now: Sample, before: Sample | None) -> Numbers:
    """Return the numbers of one server.

    Args:
        info: What it answers to INFO.
        now: What it has counted by now.
        before: What it had counted at the last look; nothing for one that is new, or that was started again.
    """
    numbers: Numbers = {
        "CurrConnections": float(info["connected_clients"]),
        "DatabaseMemoryUsagePercentage": round(100 * info["used_memory"] / max(1, info["maxmemory"]), 2),
    }
    if info.get("role") == "slave":
        numbers["ReplicationLag"] = float(max(0, info.get("master_last_io_seconds_ago", 0)))
    if before and before.process == now.process and now.at > before.at:
        busy = (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at)
        numbers["EngineCPUUtilization"] = round(100 * busy, 2)
        numbers["CPUUtilization"] = round(100 * busy / PROCESSORS, 2)
        numbers["Evictions"] = float(now.evicted - before.evicted)
        numbers["AuthenticationFailures"] = float(now.refused - before.refused)
    return numbers


def metric_data(cluster: str, numbers: Numbers) -> list[dict[str, Any]]:
    """Return the numbers of one node as CloudWatch takes them."""
    dimensions = [{"Name": "CacheClusterId", "Value": cluster}, {"Name": "CacheNodeId", "Value": NODE_ID}]
    return [{"MetricName": name, "Dimensions": dimensions, "Value": value} for name, value in numbers.items()]
