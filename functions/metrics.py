"""Metrics that CloudWatch takes from a line of the log (the embedded metric format)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

NAMESPACE = "GamingSystem"
MAX_METRICS = 6  # a service; each is billed by itself


def print_metrics(
    *, environment: str, service: str, metrics: Mapping[str, float], now: Callable[[], float] = time.time
) -> None:
    """Print one line that CloudWatch makes metrics of, with the dimensions Environment and Service and no others.

    Raises:
        ValueError: There are more than a service may have.
    """
    if len(metrics) > MAX_METRICS:
        raise ValueError(f"{service}: {len(metrics)} metrics, at most {MAX_METRICS}")
    line = {
        "_aws": {
            "Timestamp": int(now() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Environment", "Service"]],
                    "Metrics": [{"Name": name} for name in metrics],
                }
            ],
        },
        "Environment": environment,
        "Service": service,
        **metrics,
    }
    print(json.dumps(line))  # noqa: T201 (what a function prints is its log)
