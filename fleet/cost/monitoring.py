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

# Metrics of Container Insights in its standard form: CPU, memory and ephemeral storage (used and reserved), network and storage
# (in and out) for the cluster, each service and each family of tasks; five counts more for a service, three for the cluster
# (AWS's CloudWatch guide, "Amazon ECS Container Insights metrics"). No template says how many AWS makes.
INSIGHTS_EACH = 10
INSIGHTS_SERVICE = INSIGHTS_EACH + 5
INSIGHTS_CLUSTER = INSIGHTS_EACH + 3
_INSIGHTS_ASSUMED = f"AWS makes {INSIGHTS_CLUSTER} metrics for the cluster, {INSIGHTS_SERVICE} for a service, {INSIGHTS_EACH} for a family of tasks"
_ENHANCED_ASSUMED = f"{_INSIGHTS_ASSUMED}, and {INSIGHTS_EACH} more for each task and each container"


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
    what = "Container Insights, enhanced" if enhanced else "Container Insights"
    terms = monthly("metric.enhanced" if enhanced else "metric.custom")
    assumed = _ENHANCED_ASSUMED if enhanced else _INSIGHTS_ASSUMED

    def metrics(count: int, service: str | None = None) -> Charge:
        return Charge("monitoring", what, count, "metric", terms, service=service, assumption=assumed, is_estimate=True)

    yield metrics(INSIGHTS_CLUSTER)
    for service in resources.of("AWS::ECS::Service"):
        tasks = least_tasks(service, resources)
        if not tasks:
            continue
        definition = resources.referred(service, service.properties.get("TaskDefinition"))
        containers = len(definition.properties.get("ContainerDefinitions", []))
        deeper = INSIGHTS_EACH * tasks * (1 + containers) if enhanced else 0
        yield metrics(INSIGHTS_SERVICE + INSIGHTS_EACH + deeper, service.text("ServiceName"))


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
