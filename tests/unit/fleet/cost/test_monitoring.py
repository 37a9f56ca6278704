"""Alarms are counted by the metrics that they look at, and metrics by what makes them."""

from __future__ import annotations

import json

import pytest

from fleet.cost.monitoring import SERVICE_METRICS
from sdk.metrics import _UNITS, NAMESPACE
from tests.unit.fleet.cost.templates import Body, alarm, base_usd, body, only, report, service, task


def stat(identity: str, period: int = 60, namespace: str = "AWS/SNS") -> dict[str, object]:
    metric = {"Namespace": namespace, "MetricName": identity, "Dimensions": []}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}


@pytest.mark.parametrize(
    ("properties", "usd"),
    [
        pytest.param({"Namespace": "AWS/ECS", "MetricName": "M", "Period": 60}, 0.10, id="one metric"),
        pytest.param({"Namespace": "AWS/ECS", "MetricName": "M", "Period": "300"}, 0.10, id="a number as a text"),
        pytest.param({"Namespace": "AWS/ECS", "MetricName": "M", "Period": 10}, 0.30, id="high resolution"),
        pytest.param(
            {"Metrics": [{"Id": "e", "Expression": "a / b"}, stat("a"), stat("b")]}, 0.20, id="two in an expression"
        ),
        pytest.param(
            {"Metrics": [{"Id": "e", "Expression": "a"}, stat("a", 30)]}, 0.30, id="a fast one in an expression"
        ),
        pytest.param(
            {"Metrics": [{"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(a, 2)"}, stat("a")]}, 0.30, id="anomaly"
        ),
    ],
)
def test_an_alarm_costs_by_its_metrics_and_how_often_they_are_looked_at(
    properties: dict[str, object], usd: float
) -> None:
    assert base_usd({"A": alarm(**properties)}) == pytest.approx(usd)


def cluster(mode: str) -> Body:
    return body("AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": mode}])


@pytest.mark.parametrize(
    ("mode", "containers", "metrics"),
    [
        pytest.param("enabled", [{}], 12 + 15 + 10, id="standard"),
        pytest.param("enhanced", [{"HealthCheck": {}}], 26 + 29 + 24 + 2 * 48, id="enhanced"),
        pytest.param("enhanced", [{}], 26 + 28 + 23 + 2 * 46, id="enhanced, no health check"),
        pytest.param("enhanced", [{"HealthCheck": {}}, {}], 26 + 36 + 31 + 2 * 62, id="enhanced, two containers"),
    ],
)
def test_container_insights_cost_by_cluster_service_and_family_and_enhanced_by_task_and_container_too(
    mode: str, containers: list[Body], metrics: int
) -> None:
    found = report({"Cluster": cluster(mode), "Task": task(ContainerDefinitions=containers), "Service": service(2)})

    (line,) = [line for line in found.merged if line.what.startswith("Container Insights")]
    assert line.quantity == metrics
    assert line.usd == pytest.approx(metrics * (0.30 if mode == "enabled" else 0.07))
    assert line.doubt == "estimated count"


def test_a_cluster_without_container_insights_costs_nothing() -> None:
    assert base_usd({"A": cluster("disabled"), "B": body("AWS::ECS::Cluster")}) == 0


def test_a_service_writes_as_many_metrics_as_the_sdk_does() -> None:
    assert len(_UNITS) == SERVICE_METRICS
    assert (
        only(report({"Task": task(), "Service": service()}), "metrics of services, 6 each").quantity == SERVICE_METRICS
    )


def test_a_metric_of_ours_is_counted_once_however_often_it_is_looked_at() -> None:
    own = {"Namespace": "GamingSystem", "MetricName": "unhealthy", "Dimensions": [{"Name": "Service", "Value": "nats"}]}
    rows = [
        ["GamingSystem", "unhealthy", "Service", "nats", {"label": "the same"}],
        ["GamingSystem", "unhealthy", "Service", "other"],
        ["AWS/SNS", "free"],
        [NAMESPACE, "Requests", "Service", "counted with the services"],
    ]
    shown = json.dumps(
        {"widgets": [{"type": "metric", "properties": {"metrics": rows}}, {"type": "text", "properties": {}}]}
    )
    found = report({
        "A": alarm(**own, Period=60),
        "B": alarm(**own, Period=300),
        "C": alarm(Metrics=[stat("in_an_expression", namespace="GamingSystem")]),
        "D": body("AWS::CloudWatch::Dashboard", DashboardBody={"Fn::Join": ["", [shown[:20], shown[20:]]]}),
    })  # fmt: skip

    assert only(found, "metrics of NATS and certificates").quantity == 3
