"""Metrics in log lines: the embedded metric format, which CloudWatch Logs makes metrics of when the lines arrive.

See https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html. A line that
does not keep to it is a line like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_aws.watch.samples import Metric, Sample

_MARK = '"_aws"'
_MOST_VALUES = 100
_MOST_DIMENSIONS = 30


def metrics_in(message: str) -> list[tuple[Metric, Sample]]:
    """Return the samples that a log line carries; none where it is no line of metrics."""
    if _MARK not in message:
        return []
    try:
        line = json.loads(message)
        at = float(line["_aws"]["Timestamp"]) / 1000
        directives = line["_aws"]["CloudWatchMetrics"]
        return [sample for directive in directives for sample in _of(line, directive, at)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _of(line: Mapping[str, Any], directive: Mapping[str, Any], at: float) -> Iterator[tuple[Metric, Sample]]:
    for dimensions in _dimensions(line, directive.get("Dimensions", [[]])):
        for metric in directive["Metrics"]:
            sample = _sample(line.get(metric["Name"]), at, metric.get("Unit") or "None")
            if sample:
                yield Metric.of(directive["Namespace"], metric["Name"], dimensions), sample


def _dimensions(line: Mapping[str, Any], sets: Sequence[Sequence[str]]) -> Iterator[dict[str, str]]:
    """Return the sets whose every dimension the line has a value for."""
    for names in sets:
        values = {name: line.get(name) for name in names}
        if len(values) <= _MOST_DIMENSIONS and all(isinstance(value, str) and value for value in values.values()):
            yield {name: str(value) for name, value in values.items()}


def _sample(value: Any, at: float, unit: str) -> Sample | None:
    """Return what a member says: a number, several of them, each with how often it came, or what they come to."""
    if isinstance(value, Mapping) and "Values" not in value:
        count, total, least, most = (float(value[name]) for name in ("Count", "Sum", "Min", "Max"))
        return Sample(at, count, total, least, most, unit) if count > 0 else None
    if isinstance(value, Mapping):
        values, counts = value["Values"], value.get("Counts") or [1] * len(value["Values"])
    else:
        values = value if isinstance(value, list) else [value]
        counts = [1] * len(values)
    usable = 0 < len(values) == len(counts) <= _MOST_VALUES and all(_is_number(one) for one in (*values, *counts))
    if not usable or sum(counts) <= 0:
        return None
    total = math.fsum(one * count for one, count in zip(values, counts, strict=True))
    return Sample(at, float(sum(counts)), total, float(min(values)), float(max(values)), unit)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
