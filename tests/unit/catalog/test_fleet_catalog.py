"""The fleet that the order asks for: its 23 services, their contract, and the environments that they run in."""

from __future__ import annotations

from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from catalog import Environment, Service, check_catalog, load_catalog, load_environment

ROOT = Path(__file__).parents[3]
CATALOG = load_catalog(ROOT / "service_catalog.yaml")
SERVICES = list(CATALOG.services.values())
ENVIRONMENTS = {name: load_environment(name) for name in ("local", "dev", "staging", "prod")}

# The order's table, word for word.
ORDERED = {
    "core-ai": ["ai-integration-nats", "model-management-nats", "ai-router-nats"],
    "game": [
        "state-manager-nats",
        "quest-system-nats",
        "npc-behavior-nats",
        "world-state-nats",
        "orchestration-nats",
        "router-nats",
    ],
    "infrastructure": [
        "event-bus-nats",
        "time-manager-nats",
        "weather-manager-nats",
        "auth-nats",
        "settings-nats",
        "payment-nats",
    ],
    "specialized": [
        "performance-mode-nats",
        "capability-registry-nats",
        "knowledge-base-nats",
        "environmental-narrative-nats",
        "story-teller-nats",
        "body-broker-integration-nats",
        "language-system-nats",
    ],
    "gateway": ["http-nats-gateway"],
}
DISABLED = {"language-system-nats": "complex proto imports"}

# Fargate in us-east-1, in USD; a month is 730 hours, and Spot is planned at 60 % off.
ARM_VCPU_HOUR, ARM_GIB_HOUR, SPOT_DISCOUNT, HOURS = 0.03238, 0.00356, 0.6, 730


def by_name(service: Service) -> str:
    return service.name


def servers() -> dict[str, Service]:
    return {subject: service for service in SERVICES for subject in service.nats.serves}


def monthly_task_cost(environment: Environment) -> float:
    """Return what the enabled services' tasks cost a month, with Spot where it counts."""
    hourly = 0.0
    for service in CATALOG.enabled:
        cpu, memory = environment.task_size(service)
        share_of_price = 1 - SPOT_DISCOUNT * environment.spot_percent(service) / 100
        hourly += service.min_tasks * share_of_price * (cpu * ARM_VCPU_HOUR + memory * ARM_GIB_HOUR) / 1024
    return hourly * HOURS


class TestServices:
    def test_are_the_ordered_ones_in_their_groups_and_order(self) -> None:
        found = {group: [s.name for s in SERVICES if s.group == group] for group in CATALOG.groups}
        assert found == ORDERED
        assert list(found) == list(ORDERED)
        assert [service.name for service in SERVICES] == [name for group in ORDERED.values() for name in group]
        assert len(SERVICES) == 23

    def test_are_all_enabled_but_the_one_that_is_deferred(self) -> None:
        assert {service.name: service.reason for service in CATALOG.disabled} == DISABLED
        assert len(CATALOG.enabled) == 22

    def test_run_two_tasks_each(self) -> None:
        assert {service.min_tasks for service in CATALOG.enabled} == {2}
        assert sum(service.min_tasks for service in CATALOG.enabled) == 44

    @pytest.mark.parametrize("service", SERVICES, ids=by_name)
    def test_keep_the_ordered_alarm_thresholds(self, service: Service) -> None:
        alarms = service.alarms
        assert (alarms.cpu.max_percent, alarms.memory.max_percent, alarms.tasks.min_running) == (80, 80, 2)

    def test_stand_behind_the_load_balancer_only_in_the_gateway_group(self) -> None:
        assert [service.name for service in SERVICES if CATALOG.is_gateway(service)] == ["http-nats-gateway"]

    def test_run_the_reference_runtime_until_they_have_an_image(self) -> None:
        assert {(s.image.repository, s.image.tag, s.image.digest) for s in SERVICES if not CATALOG.is_gateway(s)} == {
            ("reference-service", "0.1.0", None)
        }

    def test_pass_the_check_without_a_warning(self) -> None:
        assert check_catalog(ROOT / "service_catalog.yaml").faults == ()


class TestContract:
    def test_a_subject_is_served_once(self) -> None:
        count = Counter(subject for service in SERVICES for subject in service.nats.serves)
        assert [subject for subject, times in count.items() if times > 1] == []

    @pytest.mark.parametrize("service", SERVICES, ids=by_name)
    def test_what_is_called_is_served_by_another_enabled_service(self, service: Service) -> None:
        for subject in service.nats.calls:
            server = servers()[subject]
            assert server.enabled, subject
            assert server is not service, subject

    @pytest.mark.parametrize("service", [s for s in SERVICES if not CATALOG.is_gateway(s)], ids=by_name)
    def test_every_service_behind_the_gateway_answers_two_to_four_subjects(self, service: Service) -> None:
        assert 2 <= len(service.nats.serves) <= 4

    def test_services_do_not_call_in_a_circle(self) -> None:
        calls = {s.name: {servers()[subject].name for subject in s.nats.calls} for s in SERVICES}
        assert set(TopologicalSorter(calls).static_order()) == set(CATALOG.services)

    @pytest.mark.parametrize("service", [s for s in SERVICES if not CATALOG.is_gateway(s)], ids=by_name)
    def test_a_service_is_waited_for_longer_than_it_waits(self, service: Service) -> None:
        longest = max(subject.timeout_seconds for subject in service.nats.serves.values())
        waits = [servers()[called].nats.serves[called].timeout_seconds for called in service.nats.calls]
        assert all(wait < longest for wait in waits)

    def test_of_payments_only_reading_is_repeated(self) -> None:
        subjects = CATALOG.services["payment-nats"].nats.serves
        assert [name for name, subject in subjects.items() if subject.idempotent] == ["payment.get"]

    def test_two_routes_never_answer_the_same_request(self) -> None:
        def shape(path: str) -> tuple[str, ...]:
            return tuple("{}" if part.startswith("{") else part for part in path.split("/"))

        count = Counter((r.method, shape(r.path)) for service in SERVICES for r in service.routes)
        assert [route for route, times in count.items() if times > 1] == []

    def test_only_these_routes_are_open_to_everyone(self) -> None:
        routes = [route for service in SERVICES for route in service.routes]
        roles = {role for route in routes for role in route.allow}
        assert roles == {"anonymous", "player", "operator", "admin", "verifier"}
        assert {r.subject for r in routes if "anonymous" in r.allow} == {
            "auth.token.issue",
            "payment.notify",
            "time.get",
        }

    def test_the_verifier_reaches_every_service_with_a_route_and_changes_nothing(self) -> None:
        routes = [route for service in SERVICES for route in service.routes]
        named = {route.subject for route in routes if "verifier" in route.allow}
        assert named == {"ai.text.generate", "ai.inference.plan", "language.text.translate"}  # which keep nothing
        within_reach = {
            service.name
            for service in SERVICES
            for route in service.routes
            if route.method == "GET" or {"verifier", "anonymous"} & set(route.allow)
        }
        assert within_reach == {service.name for service in SERVICES if service.routes}


class TestEnvironments:
    @pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda environment: environment.name)
    def test_somebody_hears_of_alarms_by_mail(self, environment: Environment) -> None:
        assert "email" in {subscription.protocol for subscription in environment.alerts.subscriptions}
        assert environment.region == "us-east-1"
        assert not environment.gateway.internet_facing

    def test_address_ranges_of_those_in_aws_do_not_overlap(self) -> None:
        assert len({ENVIRONMENTS[name].network.cidr for name in ("dev", "staging", "prod")}) == 3

    def test_production_is_safe(self) -> None:
        prod = ENVIRONMENTS["prod"]
        assert prod.availability_zones == ["us-east-1a", "us-east-1b", "us-east-1c"]
        assert prod.monitoring.container_insights
        assert {prod.spot_percent(service) for service in CATALOG.enabled} == {0}
        assert not prod.destroy_data
        assert prod.nats.wait_for_nodes
        assert prod.cache.multi_az
        assert prod.cache.replicas_per_shard >= 1
        assert prod.cache.snapshot_retention_days >= 7

    def test_production_reaches_aws_by_endpoints_alone(self) -> None:
        network = ENVIRONMENTS["prod"].network
        assert network.nat_gateways == 0
        assert set(network.interface_endpoints) == {
            "ecr.api",
            "ecr.dkr",
            "logs",
            "secretsmanager",
            "ssm",
            "ssmmessages",
            "ec2",
        }

    def test_production_tells_by_three_ways_and_has_a_second_one(self) -> None:
        alerts = ENVIRONMENTS["prod"].alerts
        assert [subscription.protocol for subscription in alerts.subscriptions] == ["email", "sms", "https"]
        told = {subscription.parameter for subscription in alerts.subscriptions}
        assert alerts.fallback_subscriptions
        assert told.isdisjoint(subscription.parameter for subscription in alerts.fallback_subscriptions)

    def test_production_has_the_sizes_that_its_budget_is_made_of(self) -> None:
        prod = ENVIRONMENTS["prod"]
        assert (prod.nats.instance_type, prod.nats.volume_gib) == ("m7g.medium", 40)
        assert (prod.cache.node_type, prod.cache.shards, prod.cache.replicas_per_shard) == ("cache.t4g.medium", 1, 1)
        assert all(prod.task_size(service) == (service.cpu, service.memory) for service in CATALOG.enabled)
        # 22 services of the smallest size are 317 USD a month, 23 are 332; the whole base may be 900.
        assert monthly_task_cost(prod) < 345

    @pytest.mark.parametrize("name", ["dev", "staging"])
    def test_the_others_are_cheaper(self, name: str) -> None:
        environment = ENVIRONMENTS[name]
        assert len(environment.availability_zones) == 2
        assert not environment.monitoring.container_insights
        assert {environment.spot_percent(service) for service in CATALOG.enabled} <= {50, 100}
        assert monthly_task_cost(environment) < 0.75 * monthly_task_cost(ENVIRONMENTS["prod"])
        assert (environment.network.nat_gateways, environment.network.interface_endpoints) == (1, [])

    def test_nothing_is_kept_where_nothing_is_worth_it(self) -> None:
        assert {name for name, environment in ENVIRONMENTS.items() if environment.destroy_data} == {"dev", "local"}

    def test_local_has_the_resources_of_production(self) -> None:
        local, prod = ENVIRONMENTS["local"], ENVIRONMENTS["prod"]
        assert len(local.availability_zones) == len(prod.availability_zones)
        assert local.network.interface_endpoints == prod.network.interface_endpoints
        assert local.network.interface_endpoint_zones == prod.network.interface_endpoint_zones
        assert local.network.nat_gateways == prod.network.nat_gateways
        assert local.monitoring.container_insights == prod.monitoring.container_insights
        assert local.cache.multi_az == prod.cache.multi_az
        assert local.nats.wait_for_nodes
        assert local.cache.prove_passwords
        assert local.function_architecture == "host"
