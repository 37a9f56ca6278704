"""The cost report on the real templates: everything is counted, and production's base is within its budget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from catalog import load_environment
from fleet.cost.lines import Line
from fleet.cost.prices import load_prices
from fleet.cost.report import Report, make_report
from fleet.cost.resources import Resources
from tests.synthesis import ROOT, Fleet, changed, synthesise, whole_catalog, whole_fleet
from tests.unit.fleet.cost.templates import TODAY

BOOK = load_prices()


def reckoned(fleet: Fleet, templates: Mapping[str, Any] | None = None) -> Report:
    environment = fleet.environment
    resources = Resources(fleet.templates if templates is None else templates)
    return make_report(environment.name, environment.region, resources, environment.cost, BOOK, TODAY)


def line(report: Report, what: str) -> Line:
    (found,) = [line for line in report.merged if line.what == what]
    return found


def test_every_resource_of_every_environment_is_counted_free_or_left_out_on_purpose(fleet: Fleet) -> None:
    report = reckoned(fleet)

    assert report.gaps == ()
    assert {gap.type for gap in report.left_out} == {"AWS::EC2::FlowLog", "AWS::SNS::Topic"}


def test_quantities_are_those_of_the_templates(fleet: Fleet) -> None:
    report = reckoned(fleet)
    metrics = {
        "alarms, by metric": len(fleet.resources("AWS::CloudWatch::Alarm")),
        "metrics of services, 6 each": 22 * 6,
    }

    assert sum(line.quantity for line in report.lines if line.part in {"services", "gateway"}) == 44
    assert {what: line(report, what).quantity for what in metrics} == metrics
    assert line(report, "metrics of NATS and certificates").quantity == 17
    assert line(report, "secrets").quantity == len(fleet.resources("AWS::SecretsManager::Secret"))
    assert (
        any(line.what == "Container Insights" for line in report.lines)
        == fleet.environment.monitoring.container_insights
    )


def test_each_service_is_paid_for_by_its_own_name(fleet: Fleet) -> None:
    report = reckoned(fleet)
    tasks = Counter(line.service for line in report.lines if line.part in {"services", "gateway"})
    alarms = Counter(line.service for line in report.lines if line.what == "alarms, by metric" and line.service)

    assert set(tasks) == set(alarms) == {service.name for service in fleet.catalog.enabled}
    assert set(alarms.values()) == {3}


def test_spot_is_where_the_environment_has_it(fleet: Fleet) -> None:
    spot = sum(line.quantity for line in reckoned(fleet).lines if line.most_usd > line.least_usd)
    assert spot == {"prod": 0, "local": 0, "staging": 22, "dev": 44}[fleet.environment.name]


def test_production_keeps_its_base_within_900_usd(prod: Fleet) -> None:
    report = reckoned(prod)

    assert report.budget_usd == 900
    assert report.is_within_budget, report.verdict


def test_the_budget_has_room_for_the_service_that_waits() -> None:
    catalog = changed(whole_catalog(), "language-system-nats", enabled=True)
    report = reckoned(synthesise(catalog, load_environment("prod")))

    assert sum(line.quantity for line in report.lines if line.part in {"services", "gateway"}) == 46
    assert report.is_within_budget, report.verdict


def test_what_the_report_says_follows_the_templates_and_not_the_environment(prod: Fleet) -> None:
    report, larger = reckoned(prod), reckoned(prod, with_sizes(prod, machine="m7g.large"))

    assert larger.base_usd - report.base_usd == pytest.approx(89.352)


def with_sizes(fleet: Fleet, **sizes: str | int) -> dict[str, Any]:
    """Return an environment's templates with other sizes."""
    text = {part: json.dumps(template) for part, template in fleet.templates.items()}
    nats, cache = fleet.environment.nats, fleet.environment.cache
    changes = {
        "machine": (f'"InstanceType": "{nats.instance_type}"', '"InstanceType": "{}"'),
        "disk": (f'"Size": {nats.volume_gib},', '"Size": {},'),
        "cache": (f'"CacheNodeType": "{cache.node_type}"', '"CacheNodeType": "{}"'),
        "insights": ('"Name": "containerInsights", "Value": "enabled"', '"Name": "containerInsights", "Value": "{}"'),
    }
    for name, size in sizes.items():
        before, after = changes[name]
        assert any(before in one for one in text.values())
        text = {part: one.replace(before, after.replace("{}", str(size))) for part, one in text.items()}
    return {part: json.loads(one) for part, one in text.items()}


def test_the_figures_in_the_document_are_those_of_the_report() -> None:
    document = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    for name in ("prod", "staging", "dev", "local"):
        report = reckoned(whole_fleet(name))
        assert f"| {name} | {report.base_usd:,.2f} | {report.total_usd:,.2f} |" in document
    prod = whole_fleet("prod")
    roomy = reckoned(prod, with_sizes(prod, machine="m7g.large", disk=50, cache="cache.m7g.large"))
    large = reckoned(prod, with_sizes(prod, cache="cache.r7g.xlarge"))
    unwatched = reckoned(prod, with_sizes(prod, insights="disabled"))
    enhanced = reckoned(prod, with_sizes(prod, insights="enhanced"))
    assert f"| base | {reckoned(prod).base_usd:,.2f} | {roomy.base_usd:,.2f} | {large.base_usd:,.2f} |" in document
    assert f"| `monitoring.container_insights: false` | {unwatched.base_usd:,.2f} |" in document
    assert f"{enhanced.base_usd:,.2f} with enhanced observability" in document
