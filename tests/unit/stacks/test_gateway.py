"""The load balancer in front of the HTTP gateway."""

from __future__ import annotations

from typing import Any

import pytest

from catalog import load_environment
from tests.synthesis import Fleet, Resource, small_catalog, synthesise

LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"


def attributes(fleet: Fleet, resource: Resource, name: str) -> dict[str, str]:
    return {attribute["Key"]: fleet.text(resource.part, attribute["Value"]) for attribute in resource[name]}


def with_gateway(**changes: Any) -> Fleet:
    environment = load_environment("prod")
    gateway = environment.gateway.model_copy(update=changes)
    return synthesise(small_catalog(), environment.model_copy(update={"gateway": gateway}))


def test_it_is_internal_and_in_the_private_subnets(fleet: Fleet) -> None:
    balancer = fleet.one(LOAD_BALANCER)
    assert balancer["Scheme"] == "internal"
    subnets = [fleet.followed(balancer.part, subnet) for subnet in balancer["Subnets"]]
    assert {subnet.tags["aws-cdk:subnet-name"] for subnet in subnets} == {"private"}


def test_it_faces_the_internet_where_the_environment_says_so() -> None:
    fleet = with_gateway(internet_facing=True)
    balancer = fleet.one(LOAD_BALANCER)
    assert balancer["Scheme"] == "internet-facing"
    subnets = [fleet.followed(balancer.part, subnet) for subnet in balancer["Subnets"]]
    assert {subnet.tags["aws-cdk:subnet-name"] for subnet in subnets} == {"public"}


def test_it_speaks_https_alone(fleet: Fleet) -> None:
    assert [(listener["Port"], listener["Protocol"]) for listener in fleet.resources(LISTENER)] == [(443, "HTTPS")]


def test_it_speaks_tls_1_2_or_newer(fleet: Fleet) -> None:
    assert fleet.one(LISTENER)["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")


def test_the_certificate_is_a_parameter_of_the_account(fleet: Fleet) -> None:
    listener = fleet.one(LISTENER)
    (certificate,) = listener["Certificates"]
    parameter = fleet.templates[listener.part]["Parameters"][certificate["CertificateArn"]["Ref"]]
    assert parameter["Type"] == "AWS::SSM::Parameter::Value<String>"
    assert parameter["Default"] == f"/gaming-system/{fleet.environment.name}/gateway/certificate-arn"


def test_requests_are_recorded_in_the_networks_bucket(fleet: Fleet) -> None:
    found = attributes(fleet, fleet.one(LOAD_BALANCER), "LoadBalancerAttributes")
    bucket = fleet.one("AWS::S3::Bucket", part="network").logical_id
    assert found["access_logs.s3.enabled"] == "true"
    assert found["access_logs.s3.bucket"] == f"${{network:{bucket}}}"
    assert found["access_logs.s3.prefix"] == "load-balancer"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("routing.http.drop_invalid_header_fields.enabled", "true"),
        ("idle_timeout.timeout_seconds", "75"),
        ("deletion_protection.enabled", "true"),
    ],
)
def test_its_attributes_are_set(name: str, value: str) -> None:
    fleet = with_gateway(idle_timeout_seconds=75)
    assert attributes(fleet, fleet.one(LOAD_BALANCER), "LoadBalancerAttributes")[name] == value


def test_it_may_be_deleted_where_everything_may(fleet: Fleet) -> None:
    found = attributes(fleet, fleet.one(LOAD_BALANCER), "LoadBalancerAttributes")
    local = fleet.environment.name == "local"
    assert found["deletion_protection.enabled"] == ("false" if local else "true")


def test_its_targets_are_the_gateways_tasks(fleet: Fleet) -> None:
    group = fleet.one(TARGET_GROUP)
    service = fleet.one("AWS::ECS::Service", ServiceName="http-nats-gateway")
    assert fleet.plain(service.part, service["LoadBalancers"]) == [
        {
            "ContainerName": "http-nats-gateway",
            "ContainerPort": 8000,
            "TargetGroupArn": f"${{{group.part}:{group.logical_id}}}",
        }
    ]


def test_the_service_comes_after_its_listener(fleet: Fleet) -> None:
    service = fleet.one("AWS::ECS::Service", ServiceName="http-nats-gateway")
    assert fleet.one(LISTENER).logical_id in service.body["DependsOn"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TargetType", "ip"),
        ("Port", 8000),
        ("Protocol", "HTTP"),
        ("HealthCheckPath", "/health"),
        ("HealthCheckPort", "8080"),
        ("HealthCheckProtocol", "HTTP"),
        ("HealthCheckIntervalSeconds", 30),
        ("HealthCheckTimeoutSeconds", 5),
        ("UnhealthyThresholdCount", 3),
    ],
)
def test_traffic_and_health_have_ports_of_their_own(prod: Fleet, name: str, value: Any) -> None:
    assert prod.one(TARGET_GROUP)[name] == value


def test_a_task_finishes_its_requests_before_it_is_stopped(prod: Fleet) -> None:
    """A task is deregistered first; it must outlive that, and its stop time-out must outlive the delay."""
    delay = attributes(prod, prod.one(TARGET_GROUP), "TargetGroupAttributes")["deregistration_delay.timeout_seconds"]
    task = prod.of_service("AWS::ECS::TaskDefinition")["http-nats-gateway"]
    assert int(delay) < task["ContainerDefinitions"][0]["StopTimeout"]


def test_only_a_group_that_is_a_gateway_has_a_load_balancer(prod: Fleet) -> None:
    assert {resource.part for resource in prod.resources(LOAD_BALANCER, LISTENER, TARGET_GROUP)} == {"services-gateway"}
