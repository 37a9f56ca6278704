"""The stacks as a whole: which there are, what they lean on, and what none of them may hold."""

from __future__ import annotations

import graphlib
import json
import re
from collections import Counter
from typing import Any

import pytest

from catalog import load_environment, names
from catalog.load import environment_names
from tests import limits
from tests.synthesis import Fleet, changed, small_catalog, small_fleet, strings, synthesise

FOUNDATIONS = ["images", "network", "monitoring", "certificates", "nats", "cache"]
SERVICES = [f"services-{group}" for group in ("core-ai", "game", "infrastructure", "specialized", "gateway")]


def needed(fleet: Fleet, part: str) -> set[str]:
    """Return the parts whose stacks are deployed before this one."""
    prefix = fleet.stack_name("")
    dependencies = fleet.stack(part).get("dependencies", [])
    return {name.removeprefix(prefix) for name in dependencies if not name.endswith(".assets")}


def test_there_is_a_stack_a_foundation_and_a_stack_a_group(fleet: Fleet) -> None:
    assert list(fleet.templates) == FOUNDATIONS + SERVICES


def test_a_group_may_have_more_stacks_than_one(small: Fleet) -> None:
    assert list(small.templates) == [*FOUNDATIONS, "services-game", "services-game-2", "services-gateway"]


def test_a_service_stands_in_the_stack_that_its_entry_names(small: Fleet) -> None:
    parts = {name: service.part for name, service in small.of_service("AWS::ECS::Service").items()}
    assert parts == {
        "world-state-nats": "services-game",
        "state-manager-nats": "services-game",
        "story-teller-nats": "services-game-2",
        "http-nats-gateway": "services-gateway",
    }


def test_stacks_are_named_by_environment_and_part(fleet: Fleet) -> None:
    stacks = [name for name, body in fleet.manifest["artifacts"].items() if body["type"].endswith(":stack")]
    assert stacks == [f"gaming-system-{fleet.environment.name}-{part}" for part in fleet.templates]


def test_no_stack_waits_for_itself(fleet: Fleet) -> None:
    order = graphlib.TopologicalSorter({part: needed(fleet, part) for part in fleet.templates})
    assert set(order.static_order()) == set(fleet.templates)


@pytest.mark.parametrize(
    ("part", "before"),
    [
        ("images", set()),
        ("network", set()),
        ("monitoring", set()),
        ("certificates", {"network", "monitoring"}),
        ("nats", {"network", "monitoring", "certificates"}),
        ("cache", {"network", "monitoring"}),
    ],
)
def test_a_foundation_needs_little(prod: Fleet, part: str, before: set[str]) -> None:
    assert needed(prod, part) == before


def test_services_come_after_everything_that_they_lean_on(fleet: Fleet) -> None:
    for part in SERVICES:
        assert needed(fleet, part) == set(FOUNDATIONS)


def test_no_services_stack_needs_another(fleet: Fleet) -> None:
    for part in SERVICES:
        assert not [other for other in needed(fleet, part) if other.startswith("services-")]


def test_every_stack_is_in_the_environments_region(fleet: Fleet) -> None:
    for part in fleet.templates:
        assert fleet.stack(part)["environment"] == f"aws://unknown-account/{fleet.environment.region}"


def test_an_environment_may_belong_to_one_account() -> None:
    environment = load_environment("prod").model_copy(update={"account": "123456789012"})
    fleet = synthesise(small_catalog(), environment)
    assert {fleet.stack(part)["environment"] for part in fleet.templates} == {"aws://123456789012/us-east-1"}


def test_templates_are_bound_to_no_account_where_the_environment_names_none(fleet: Fleet) -> None:
    assert re.search(r"\b[0-9]{12}\b", json.dumps(dict(fleet.templates))) is None


def test_every_stack_has_the_tags_of_platform_and_environment() -> None:
    environment = load_environment("prod").model_copy(update={"tags": {"cost-centre": "games"}})
    fleet = synthesise(small_catalog(), environment)
    for part in fleet.templates:
        assert fleet.stack(part)["properties"]["tags"] == {
            "platform": "gaming-system",
            "environment": "prod",
            "part": part,
            "cost-centre": "games",
        }


def test_every_function_is_ours(fleet: Fleet) -> None:
    """Some flags and helpers of the CDK bring functions along that run on Node."""
    foreign = [
        function.logical_id
        for function in fleet.resources("AWS::Lambda::Function")
        if not (function["Runtime"].startswith("python3.") and function["Handler"].startswith("functions."))
    ]
    assert foreign == []


def test_every_custom_resource_is_made_by_a_function_of_ours(fleet: Fleet) -> None:
    for resource in fleet.resources():
        if resource.type.startswith("Custom::") or resource.type == "AWS::CloudFormation::CustomResource":
            assert fleet.followed(resource.part, resource["ServiceToken"]).type == "AWS::Lambda::Function"


def test_nothing_is_reported_to_cdks_makers(fleet: Fleet) -> None:
    assert fleet.resources("AWS::CDK::Metadata") == []


def test_a_disabled_service_has_a_repository_and_nothing_else(fleet: Fleet) -> None:
    (service,) = fleet.catalog.disabled
    for resource in fleet.resources():
        if resource.type in {"AWS::ECR::Repository", "AWS::CloudWatch::Dashboard"}:
            continue
        assert not [text for text in strings(resource.body) if service.name in text], resource.logical_id
    repository = f"gaming-system-{fleet.environment.name}/{service.name}"
    assert fleet.one("AWS::ECR::Repository", RepositoryName=repository)


def test_a_disabled_service_leaves_its_stack_standing() -> None:
    """A stack that left the app would leave its resources behind, since a deployment removes no stack."""
    catalog = changed(small_catalog(), "story-teller-nats", enabled=False, reason="rests")
    fleet = synthesise(catalog, load_environment("prod"))
    assert [resource.type for resource in fleet.resources() if resource.part == "services-game-2"] == ["AWS::IAM::Role"]


def dashboard(fleet: Fleet) -> list[dict[str, Any]]:
    body = fleet.one("AWS::CloudWatch::Dashboard")["DashboardBody"]
    widgets: list[dict[str, Any]] = json.loads(body)["widgets"]
    return widgets


def test_the_dashboard_has_a_row_for_nats_one_for_the_cache_and_one_a_group(fleet: Fleet) -> None:
    headings = [w["properties"]["markdown"].partition(":")[0] for w in dashboard(fleet) if w["type"] == "text"]
    assert headings == ["## NATS", "## Cache", *(f"## {group}" for group in fleet.catalog.groups)]


def test_the_dashboard_shows_tasks_cpu_and_memory_of_every_service(fleet: Fleet) -> None:
    shown = Counter(
        metric[5]
        for widget in dashboard(fleet)
        if widget["type"] == "metric"
        for metric in widget["properties"]["metrics"]
        if metric[2] == "ClusterName"
    )
    assert shown == {service.name: 3 for service in fleet.catalog.enabled}


def test_the_dashboard_says_why_a_service_is_off(prod: Fleet) -> None:
    texts = "".join(widget["properties"]["markdown"] for widget in dashboard(prod) if widget["type"] == "text")
    assert "*language-system-nats* is disabled: complex proto imports" in texts


def test_the_dashboard_counts_tasks_as_the_alarm_does(fleet: Fleet) -> None:
    counted = {
        (widget["properties"]["metrics"][0][0], widget["properties"]["stat"])
        for widget in dashboard(fleet)
        if widget["properties"].get("title") == "Running tasks"
    }
    insights = fleet.environment.monitoring.container_insights
    assert counted == {("ECS/ContainerInsights", "Minimum") if insights else ("AWS/ECS", "SampleCount")}


def test_the_dashboards_widgets_do_not_lie_on_one_another(fleet: Fleet) -> None:
    cells = Counter(
        (x, y)
        for widget in dashboard(fleet)
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    )
    assert cells.most_common(1)[0][1] == 1
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("environment", environment_names())
def test_aws_takes_every_name_text_and_tag(environment: str) -> None:
    assert limits.faults(small_fleet(environment)) == []


def test_aws_takes_every_name_text_and_tag_of_the_whole_fleet(fleet: Fleet) -> None:
    assert limits.faults(fleet) == []


def test_security_groups_have_room_for_their_rules(fleet: Fleet) -> None:
    assert max(limits.rules_of_groups(fleet).values()) <= limits.MAX_RULES_OF_GROUP // 2


def test_the_certificates_bucket_has_a_legal_name_in_every_environment_and_region() -> None:
    longest = names.certificates_bucket("e" * names.LONGEST_ENVIRONMENT_NAME, "1" * 12, "ap-southeast-1")
    assert len(longest) <= 63
