"""ECS services: how they are deployed, bought, scaled and placed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.synthesis import Fleet, Resource, small_fleet

SERVICE = "AWS::ECS::Service"
ON_DEMAND = [{"CapacityProvider": "FARGATE", "Weight": 1}]
SPOT = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]


def spot_above(base: int) -> list[dict[str, Any]]:
    return [*SPOT, {"CapacityProvider": "FARGATE", "Base": base, "Weight": 0}]


def services(fleet: Fleet) -> dict[str, Resource]:
    return {service["ServiceName"]: service for service in fleet.resources(SERVICE)}


def security_groups(fleet: Fleet, service: Resource) -> set[str]:
    groups = service["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
    return {fleet.followed(service.part, group)["GroupDescription"] for group in groups}


def test_each_enabled_entry_is_one_service_of_its_name(fleet: Fleet) -> None:
    names = [service["ServiceName"] for service in fleet.resources(SERVICE)]
    assert sorted(names) == sorted(service.name for service in fleet.catalog.enabled)


def test_production_runs_22_services(prod: Fleet) -> None:
    assert len(services(prod)) == 22


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (
            "DeploymentConfiguration",
            {
                "DeploymentCircuitBreaker": {
                    "Enable": True,
                    "Rollback": True,
                    "ThresholdConfiguration": {"Type": "COUNT", "Value": 3},
                },
                "MinimumHealthyPercent": 100,
                "MaximumPercent": 200,
            },
        ),
        ("AvailabilityZoneRebalancing", "ENABLED"),
        ("PlatformVersion", "LATEST"),
        ("PropagateTags", "SERVICE"),
        ("EnableECSManagedTags", True),
        ("EnableExecuteCommand", False),
        ("LaunchType", None),
    ],
)
def test_every_service_is_deployed_alike(fleet: Fleet, name: str, value: Any) -> None:
    assert {service: body.properties.get(name) for service, body in services(fleet).items()} == dict.fromkeys(
        services(fleet), value
    )


def test_no_service_has_a_public_address(fleet: Fleet) -> None:
    addresses = {
        service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] for service in services(fleet).values()
    }
    assert addresses == {"DISABLED"}


def test_every_service_runs_in_every_private_subnet(fleet: Fleet) -> None:
    for service in services(fleet).values():
        subnets = service["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"]
        found = [fleet.followed(service.part, subnet) for subnet in subnets]
        assert {subnet.tags["aws-cdk:subnet-name"] for subnet in found} == {"private"}
        assert [subnet["AvailabilityZone"] for subnet in found] == fleet.environment.availability_zones


@pytest.mark.parametrize(
    ("environment", "capacity"),
    [
        # Spot shares of the entries: world-state 0, state-manager 50 of 3 tasks, story-teller 100 of 3 or more, gateway 0.
        ("prod", [ON_DEMAND, ON_DEMAND, ON_DEMAND, ON_DEMAND]),
        ("local", [ON_DEMAND, ON_DEMAND, ON_DEMAND, ON_DEMAND]),
        ("staging", [spot_above(1), spot_above(2), SPOT, spot_above(1)]),
        ("dev", [SPOT, SPOT, SPOT, SPOT]),
    ],
)
def test_capacity_follows_entry_and_environment(environment: str, capacity: list[Any]) -> None:
    found = services(small_fleet(environment))
    names = ["world-state-nats", "state-manager-nats", "story-teller-nats", "http-nats-gateway"]
    assert [found[name]["CapacityProviderStrategy"] for name in names] == capacity


def test_production_buys_no_spot(prod: Fleet) -> None:
    assert {str(service["CapacityProviderStrategy"]) for service in services(prod).values()} == {str(ON_DEMAND)}


def test_the_cluster_has_both_capacity_providers(fleet: Fleet) -> None:
    association = fleet.one("AWS::ECS::ClusterCapacityProviderAssociations")
    assert association["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_the_number_of_tasks_is_the_catalogs_unless_autoscaling_steers_it(fleet: Fleet) -> None:
    counts = {name: service.properties.get("DesiredCount") for name, service in services(fleet).items()}
    assert counts == {s.name: None if s.autoscaling else s.replicas for s in fleet.catalog.enabled}


def test_autoscaling_never_goes_below_two_tasks(fleet: Fleet) -> None:
    targets = fleet.resources("AWS::ApplicationAutoScaling::ScalableTarget")
    assert targets
    assert min(target["MinCapacity"] for target in targets) >= 2


def test_autoscaling_has_the_limits_and_the_target_of_the_catalog(small: Fleet) -> None:
    targets = {target.logical_id: target for target in small.resources("AWS::ApplicationAutoScaling::ScalableTarget")}
    found = {}
    for policy in small.resources("AWS::ApplicationAutoScaling::ScalingPolicy"):
        target = targets[policy["ScalingTargetId"]["Ref"]]
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        found[target.tags["service"]] = (target["MinCapacity"], target["MaxCapacity"], tracking["TargetValue"])
    assert found == {"story-teller-nats": (3, 9, 55), "http-nats-gateway": (2, 4, 60)}


def test_autoscaling_steers_the_service_itself(small: Fleet) -> None:
    for name, target in small.of_service("AWS::ApplicationAutoScaling::ScalableTarget").items():
        service = services(small)[name]
        cluster = small.one("AWS::ECS::Cluster").logical_id
        resource_id = small.text(target.part, target["ResourceId"])
        assert resource_id == f"service/${{network:{cluster}}}/${{{service.part}:{service.logical_id}.Name}}"


def test_only_a_gateway_has_a_grace_period(fleet: Fleet) -> None:
    graces = {
        name: service["HealthCheckGracePeriodSeconds"]
        for name, service in services(fleet).items()
        if "HealthCheckGracePeriodSeconds" in service.properties
    }
    assert graces == {"http-nats-gateway": 90}


@pytest.mark.parametrize(
    ("service", "groups"),
    [
        ("world-state-nats", {"Whatever talks to NATS: every service"}),
        ("state-manager-nats", {"Whatever talks to NATS: every service", "Services that use the cache"}),
        ("http-nats-gateway", {"Whatever talks to NATS: every service", "HTTP gateway"}),
    ],
)
def test_a_service_attaches_the_security_groups_that_it_needs(small: Fleet, service: str, groups: set[str]) -> None:
    assert security_groups(small, services(small)[service]) == groups


def test_every_resource_of_a_service_says_whose_it_is(small: Fleet) -> None:
    expected = {"service": "state-manager-nats", "group": "game", "owner": "identity", "compliance": "personal-data"}
    kinds = [SERVICE, "AWS::ECS::TaskDefinition", "AWS::IAM::Role", "AWS::SecretsManager::Secret"]
    for kind in kinds:
        assert small.of_service(kind)["state-manager-nats"].tags == expected
