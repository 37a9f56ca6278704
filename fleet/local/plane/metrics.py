"""What ECS and Container Insights measure of services: how busy their tasks are, and how many run.

Reported once a minute, in its middle: at its edge, two reports would fall into one minute and none into the next. The number of
tasks is told again each time that it changes, so that a dip is seen however short it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

ECS = "AWS/ECS"
INSIGHTS = "ECS/ContainerInsights"
_UNITS_A_CPU = 1024
_MIB = 1024 * 1024
_MOST_DATA = 500  # of one request; AWS takes a thousand


@dataclass(frozen=True, slots=True)
class TaskUse:
    """What a task that runs has used, and what it may use."""

    id: str
    cpu_seconds: float
    """Since it was started."""
    memory_bytes: int
    cpu_units: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class ServiceUse:
    """A service and its tasks that run."""

    cluster: str
    name: str
    tasks: Sequence[TaskUse]


class TaskMetrics:
    """Remembers what was told, and says what is to be told."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._changes: list[dict[str, Any]] = []
        self._minute: int | None = None
        self._cpu: dict[str, tuple[float, float]] = {}

    def count(self, cluster: str, name: str, running: int, now: float) -> None:
        """Take the number of tasks that run; a change is told of, even when it is over before the next telling."""
        if self._counts.get((cluster, name)) != running:
            self._counts[cluster, name] = running
            self._changes.append(_datum("RunningTaskCount", cluster, name, "Count", now, [running]))

    def due(self, services: Iterable[ServiceUse], now: float, minute_seconds: float) -> dict[str, list[dict[str, Any]]]:
        """Return the datapoints that are to be put now, by namespace.

        Args:
            services: All that there are.
            now: Seconds since 1970.
            minute_seconds: How long a minute takes.
        """
        data: dict[str, list[dict[str, Any]]] = {INSIGHTS: self._changes, ECS: []}
        self._changes = []
        minute = math.floor(now / minute_seconds - 0.5)
        if minute != self._minute:
            services = list(services)
            data[INSIGHTS] += [
                _datum("RunningTaskCount", service.cluster, service.name, "Count", now, [len(service.tasks)])
                for service in services
            ]
            data[ECS] += [datum for service in services for datum in self._busy(service, now)]
            self._minute = minute
            self._cpu = {task.id: (now, task.cpu_seconds) for service in services for task in service.tasks}
        return {namespace: found for namespace, found in data.items() if found}

    def _busy(self, service: ServiceUse, now: float) -> Iterable[dict[str, Any]]:
        """Return how busy the tasks are, a value for each: their number is the samples'."""
        cpu = [
            100 * (task.cpu_seconds - used) / (now - at) / (task.cpu_units / _UNITS_A_CPU)
            for task in service.tasks
            # Of one that has just been started nothing is known but its first minute's work, which is no use of it.
            for at, used in [self._cpu.get(task.id, (math.inf, 0.0))]
            if at < now
        ]
        memory = [100 * task.memory_bytes / (task.memory_mib * _MIB) for task in service.tasks]
        for name, values in (("CPUUtilization", cpu), ("MemoryUtilization", memory)):
            if values:
                yield _datum(name, service.cluster, service.name, "Percent", now, values)


def _datum(metric: str, cluster: str, name: str, unit: str, now: float, values: Sequence[float]) -> dict[str, Any]:
    dimensions = {"ClusterName": cluster, "ServiceName": name}
    return {
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Timestamp": now,
        "Unit": unit,
        "Values": [round(max(0.0, float(value)), 3) for value in values],
    }


def put(cloudwatch: CloudWatchClient, data: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Put datapoints, as many at a time as a request takes."""
    for namespace, found in data.items():
        for begin in range(0, len(found), _MOST_DATA):
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=found[begin : begin + _MOST_DATA])  # type: ignore[arg-type]  # made above
