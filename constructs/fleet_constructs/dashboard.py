"""The dashboard of the fleet: a row for NATS, one for the cache, and a row a group, with replicas, CPU and memory of its services."""

from __future__ import annotations

from typing import Any

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.nats_scripts import METRICS_NAMESPACE

FULL_WIDTH = 24
GRAPHS_IN_ROW = 3
HEADER_HEIGHT = 2
GRAPH_HEIGHT = 6


def dashboard_body(catalog: Catalog, environment: Environment) -> dict[str, Any]:
    """Return the dashboard as CloudWatch takes it.

    Everything in it is a literal name, so that the dashboard never holds on to a service's stack.
    """
    row_height = HEADER_HEIGHT + GRAPH_HEIGHT
    widgets = [*_nats(environment), *_cache(environment, row_height)]
    top = 2 * row_height
    for group, description in ((name, group.description) for name, group in catalog.groups.items()):
        enabled = [service for service in catalog.enabled if service.group == group]
        off = [service for service in catalog.disabled if service.group == group]
        lines = [f"## {group}: {description}", *(f"*{service.name}* is disabled: {service.reason}" for service in off)]
        widgets.append(_widget("text", 0, top, FULL_WIDTH, HEADER_HEIGHT, {"markdown": "\n\n".join(lines)}))
        top += HEADER_HEIGHT
        if enabled:
            graphs = (
                _graph("Running tasks", _replicas(environment), enabled, environment),
                _graph("CPU utilisation, %", ("AWS/ECS", "CPUUtilization", "Average"), enabled, environment),
                _graph("Memory utilisation, %", ("AWS/ECS", "MemoryUtilization", "Average"), enabled, environment),
            )
            width = FULL_WIDTH // GRAPHS_IN_ROW
            widgets += [
                _widget("metric", column * width, top, width, GRAPH_HEIGHT, graph)
                for column, graph in enumerate(graphs)
            ]
            top += GRAPH_HEIGHT
    return {"widgets": widgets}


def _nats(environment: Environment) -> list[dict[str, Any]]:
    """Return the row of the cluster: the worst of its machines at each moment, as the alarms see it."""
    width = FULL_WIDTH // GRAPHS_IN_ROW
    header = {
        "markdown": "## NATS: the worst of the three machines; fewer than three reports a minute is one that is down"
    }
    graphs: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
        ("Machines that report", "SampleCount", {"nats": ("routes_missing",)}),
        (
            "Disk, memory and store in use, %",
            "Maximum",
            {"nats": ("disk_used_percent", "memory_used_percent"), "nats-jetstream": ("store_used_percent",)},
        ),
        (
            "Faults",
            "Maximum",
            {
                "nats": ("routes_missing", "slow_consumers", "authentication_failures"),
                "nats-jetstream": ("leaderless", "replica_lag", "unhealthy"),
            },
        ),
    )
    return [
        _widget("text", 0, 0, FULL_WIDTH, HEADER_HEIGHT, header),
        *(
            _widget("metric", column * width, HEADER_HEIGHT, width, GRAPH_HEIGHT, _platform_graph(*graph, environment))
            for column, graph in enumerate(graphs)
        ),
    ]


def _cache(environment: Environment, top: int) -> list[dict[str, Any]]:
    """Return the row of the cache: each of its nodes."""
    width = FULL_WIDTH // GRAPHS_IN_ROW
    group = names.cluster(environment.name)
    graphs = {
        "CPU of engine and machine, memory in use, %": (
            "EngineCPUUtilization",
            "CPUUtilization",
            "DatabaseMemoryUsagePercentage",
        ),
        "Connections": ("CurrConnections",),
        "Evictions, seconds behind the primary": ("Evictions", "ReplicationLag"),
    }
    widgets = [_widget("text", 0, top, FULL_WIDTH, HEADER_HEIGHT, {"markdown": "## Cache: each node"})]
    for column, (title, metrics) in enumerate(graphs.items()):
        graph = _graph_of(
            title,
            "Average",
            [
                [
                    "AWS/ElastiCache",
                    name,
                    "CacheClusterId",
                    f"{group}-{member}",
                    "CacheNodeId",
                    "0001",
                    {"label": f"{name} {member}"},
                ]
                for name in metrics
                for member in environment.cache.members
            ],
            environment,
        )
        widgets.append(_widget("metric", column * width, top + HEADER_HEIGHT, width, GRAPH_HEIGHT, graph))
    return widgets


def _graph_of(title: str, statistic: str, metrics: list[list[Any]], environment: Environment) -> dict[str, Any]:
    return {
        "title": title,
        "view": "timeSeries",
        "region": environment.region,
        "stat": statistic,
        "period": 60,
        "yAxis": {"left": {"min": 0}},
        "metrics": metrics,
    }


def _platform_graph(
    title: str, statistic: str, metrics: dict[str, tuple[str, ...]], environment: Environment
) -> dict[str, Any]:
    return _graph_of(
        title,
        statistic,
        [
            [METRICS_NAMESPACE, name, "Environment", environment.name, "Service", service, {"label": name}]
            for service, of_service in metrics.items()
            for name in of_service
        ],
        environment,
    )


def _replicas(environment: Environment) -> tuple[str, str, str]:
    if environment.monitoring.container_insights:
        return ("ECS/ContainerInsights", "RunningTaskCount", "Minimum")
    return ("AWS/ECS", "CPUUtilization", "SampleCount")


def _graph(
    title: str, metric: tuple[str, str, str], services: list[Service], environment: Environment
) -> dict[str, Any]:
    namespace, metric_name, statistic = metric
    cluster = names.cluster(environment.name)
    return _graph_of(
        title,
        statistic,
        [
            [namespace, metric_name, "ClusterName", cluster, "ServiceName", service.name, {"label": service.name}]
            for service in services
        ],
        environment,
    )


def _widget(kind: str, x: int, y: int, width: int, height: int, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}
