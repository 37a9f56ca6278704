"""What watches: alarms, dashboards, Container Insights, and the metrics that our own code writes into its logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.cost.charge import Charge, monthly
from fleet.cost.compute import least_tasks
from fleet.cost.resources import Resource, Resources, UnreadableError, number

# What sdk/metrics.py writes for each service, whoever asks for it; a test compares.
SERVICE_METRICS = 6
SERVICE_NAMESPACE = "GamingSystem/Services"
_AWS_NAMESPACES = ("AWS/", "ECS/")
_HIGH_RESOLUTION_SECONDS = 60
_ANOMALY_METRICS = 3
_ALARMS_A_TRACKING_POLICY = 2

# How many metrics Container Insights makes on Fargate, by AWS's CloudWatch guide (its two pages of metrics for Amazon ECS); no
# template says it. In the standard form ten for the cluster, each service and each family of tasks: CPU, memory and ephemeral
# storage (used and reserved), network and storage (in and out). Enhanced observability adds three shares in use and, of containers,
# a CPU share and network; it has all of these for each task too, and seven of each container, eight where it has a health check.
_STANDARD_EACH = 10
_ENHANCED_EACH = 16
_ENHANCED_CONTAINER = 7
# Of each task they are there twice: by its service, and by its family.
_VIEWS_OF_A_TASK = 2
# Counts, in both forms: deployments, task sets, and tasks wanted, pending and running; services and tasks.
_SERVICE_COUNTS = 5
_CLUSTER_COUNTS = 2
_STANDARD_ASSUMED = "by AWS's guide 12 metrics for the cluster, 15 for a service, 10 for a family of tasks"
_ENHANCED_ASSUMED = "by AWS's guide 26 metrics for the cluster, 29 for a service, 24 for a family of tasks, and 48 for a task with one container"


def alarm(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield an alarm, which is paid for by the metrics that it looks at."""
    queries = resource.properties.get("Metrics")
    metrics, period = (1, resource.number("Period")) if queries is None else _math(queries)
    fast = period < _HIGH_RESOLUTION_SECONDS
    yield Charge(
        "monitoring",
        "alarms, high resolution" if fast else "alarms, by metric",
        metrics,
        "metric",
        monthly("alarm.high_resolution" if fast else "alarm.standard"),
        service=_service_of(resource, resources),
    )


def _math(queries: list[Mapping[str, Any]]) -> tuple[int, float]:
    """Return how many metrics an alarm over an expression is billed for, and the shortest of their periods."""
    stats = [query["MetricStat"] for query in queries if "MetricStat" in query]
    if not stats:
        raise UnreadableError("Metrics hold no metric")
    banded = any("ANOMALY_DETECTION_BAND" in str(query.get("Expression", "")) for query in queries)
    periods = [number("Period", stat.get("Period")) for stat in stats]
    return len(stats) * (_ANOMALY_METRICS if banded else 1), min(periods)


def _service_of(resource: Resource, resources: Resources) -> str | None:
    for dimension in resource.properties.get("Dimensions", []):
        if dimension.get("Name") == "ServiceName":
            value = dimension["Value"]
            return value if isinstance(value, str) else resources.referred(resource, value).text("ServiceName")
    return resource.service


def scaling_policy(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield the alarms that AWS makes for a policy that tracks a target."""
    del resources
    if resource.text("PolicyType") == "TargetTrackingScaling":
        what = f"alarms of scaling, {_ALARMS_A_TRACKING_POLICY} a policy"
        yield Charge(
            "monitoring", what, _ALARMS_A_TRACKING_POLICY, "metric", monthly("alarm.standard"), service=resource.service
        )


def dashboard(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield a dashboard."""
    del resource, resources
    yield Charge("monitoring", "dashboards", 1, "dashboard", monthly("dashboard"))


def cluster(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield Container Insights, as the cluster has it."""
    settings = {item.get("Name"): item.get("Value") for item in resource.properties.get("ClusterSettings", [])}
    mode = settings.get("containerInsights", "disabled")
    if mode not in {"enabled", "enhanced"}:
        return
    enhanced = mode == "enhanced"
    what, key = (
        ("Container Insights, enhanced", "metric.enhanced") if enhanced else ("Container Insights", "metric.custom")
    )

    def metrics(count: int, service: str | None = None) -> Charge:
        return Charge(
            "monitoring", what, count, "metric", monthly(key), service=service, is_estimate=True,
            assumption=_ENHANCED_ASSUMED if enhanced else _STANDARD_ASSUMED,
        )  # fmt: skip

    whole = _CLUSTER_COUNTS + (_ENHANCED_EACH + _ENHANCED_CONTAINER + 1 if enhanced else _STANDARD_EACH)
    yield metrics(whole)
    for service in resources.of("AWS::ECS::Service"):
        if tasks := least_tasks(service, resources):
            each = _of_one(service, resources) if enhanced else _STANDARD_EACH
            views = 2 + (_VIEWS_OF_A_TASK * tasks if enhanced else 0)
            yield metrics(_SERVICE_COUNTS + views * each, service.text("ServiceName"))


def _of_one(service: Resource, resources: Resources) -> int:
    """Return how many metrics enhanced observability has of a service, of its family, and of each of its tasks in either view."""
    definition = resources.referred(service, service.properties.get("TaskDefinition"))
    containers = definition.properties.get("ContainerDefinitions", [])
    return _ENHANCED_EACH + sum(_ENHANCED_CONTAINER + ("HealthCheck" in container) for container in containers)


def own_metrics(resources: Resources) -> Iterator[Charge]:
    """Yield the metrics that our code writes: six a service, and those of the platform that an alarm or the dashboard looks at."""
    terms = monthly("metric.custom")
    for service in resources.of("AWS::ECS::Service"):
        yield Charge(
            "monitoring", f"metrics of services, {SERVICE_METRICS} each", SERVICE_METRICS, "metric", terms,
            service=service.text("ServiceName"), assumption="every service is built on sdk/, which writes them",
        )  # fmt: skip
    watched = {*_watched_by_alarms(resources), *_shown(resources)}
    if watched:
        yield Charge("monitoring", "metrics of NATS and certificates", len(watched), "metric", terms)


def _watched_by_alarms(resources: Resources) -> Iterator[str]:
    for resource in resources.of("AWS::CloudWatch::Alarm"):
        p = resource.properties
        queried = [query["MetricStat"]["Metric"] for query in p.get("Metrics", []) if "MetricStat" in query]
        for metric in queried or [p]:
            if _is_own(metric.get("Namespace", "")):
                dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
                yield _identity(metric["Namespace"], metric["MetricName"], dimensions)


def _shown(resources: Resources) -> Iterator[str]:
    """Yield what dashboards show; what of their text only the deployment knows is no metric of ours."""
    for resource in resources.of("AWS::CloudWatch::Dashboard"):
        body = resource.properties.get("DashboardBody")
        pieces = body["Fn::Join"][1] if isinstance(body, Mapping) and "Fn::Join" in body else [body]
        text = "".join(piece if isinstance(piece, str) else "deployed" for piece in pieces)
        for widget in json.loads(text)["widgets"]:
            for row in widget.get("properties", {}).get("metrics", []):
                namespace, name, *rest = [item for item in row if isinstance(item, str)]
                if _is_own(namespace):
                    yield _identity(namespace, name, dict(zip(rest[::2], rest[1::2], strict=True)))


def _is_own(namespace: str) -> bool:
    return not namespace.startswith(_AWS_NAMESPACES) and namespace not in {"", SERVICE_NAMESPACE}


def _identity(namespace: str, name: str, dimensions: Mapping[str, Any]) -> str:
    return json.dumps([namespace, name, sorted(dimensions.items())])
