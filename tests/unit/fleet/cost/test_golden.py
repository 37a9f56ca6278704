"""Lines whose sums are known from elsewhere: AWS's price list by way of Infracost and Karpenter, and the report that there was before."""

from __future__ import annotations

import pytest

from tests.unit.fleet.cost.templates import (
    Body,
    alarm,
    base_usd,
    body,
    cache,
    machines,
    report,
    service,
    task,
    tasks_usd,
)

ROOT_DISK = {"VolumeSize": 8, "VolumeType": "gp3"}
SUBNETS = ["a", "b", "c"]
KEY = body("AWS::KMS::Key")


@pytest.mark.parametrize(
    ("bodies", "usd"),
    [
        pytest.param(machines("m6i.xlarge", 3), 420.48, id="the old report's NATS"),
        pytest.param({str(n): alarm() for n in range(66)}, 6.60, id="the old report's alarms"),
        pytest.param({"A": body("AWS::EC2::NatGateway")}, 32.85, id="NAT gateway"),
        pytest.param({"A": body("AWS::EC2::EIP")}, 3.65, id="public address"),
        pytest.param(
            {"A": body("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internal", Subnets=SUBNETS)},
            16.43,
            id="ALB",
        ),
        pytest.param(
            {"A": body("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internet-facing", Subnets=SUBNETS)},
            16.43 + 3 * 3.65,
            id="ALB on the internet, with an address in each zone",
        ),
        pytest.param(
            {"A": body("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=SUBNETS)},
            21.90,
            id="endpoint in 3 zones",
        ),
        pytest.param({"A": body("AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway")}, 0, id="gateway endpoint"),
        pytest.param({"A": cache("cache.t4g.medium", "redis")}, 2 * 47.45, id="Redis, primary and replica"),
        pytest.param({"A": cache("cache.t4g.medium", "valkey")}, 2 * 37.96, id="Valkey, a fifth less"),
        pytest.param({"A": cache("cache.m7g.large", "redis", 3, 1)}, 692.04, id="Redis, three shards of two"),
        pytest.param(machines("m7g.medium", 3, ROOT_DISK), 89.35 + 1.92, id="machines with root disks"),
        pytest.param(machines("m7g.medium", 1, Monitoring={"Enabled": True}), 29.78 + 2.10, id="metrics by the minute"),
        pytest.param(
            {"A": body("AWS::EC2::Volume", Size=40, VolumeType="gp3", Iops=4000, Throughput=225)},
            3.20 + 5 + 4,
            id="disk with more operations and throughput than the included",
        ),
        pytest.param({"A": body("AWS::CloudWatch::Dashboard", DashboardBody='{"widgets": []}')}, 3, id="dashboard"),
        pytest.param({"A": KEY, "B": KEY, "C": body("AWS::SecretsManager::Secret")}, 2.40, id="keys and secrets"),
        pytest.param({"A": body("AWS::Route53::HostedZone")}, 0.50, id="hosted zone"),
    ],
)
def test_what_is_deployed_costs_what_it_is_known_to_cost(bodies: dict[str, Body], usd: float) -> None:
    assert base_usd(bodies) == pytest.approx(usd, abs=0.011)


@pytest.mark.parametrize(
    ("definition", "usd"),
    [
        pytest.param(task(256, 512, "X86_64"), 9.01, id="smallest on x86"),
        pytest.param(task(256, 512, None), 9.01, id="x86 where nothing is said"),
        pytest.param(task(256, 512, "ARM64"), 7.21, id="smallest on ARM, a fifth less"),
        pytest.param(task(1024, 2048, "X86_64"), 36.04, id="1 vCPU and 2 GB on x86"),
        pytest.param(task(256, 512, "ARM64", EphemeralStorage={"SizeInGiB": 30}), 7.21 + 0.81, id="10 GB more disk"),
    ],
)
def test_a_task_costs_what_its_size_and_processor_cost(definition: Body, usd: float) -> None:
    assert tasks_usd({"Task": definition, "Service": service()}) == pytest.approx(usd, abs=0.011)


def test_a_service_is_one_of_the_gateway_where_the_load_balancer_leads_to_it() -> None:
    plain = report({"Task": task(), "Service": service()})
    gateway = report({"Task": task(), "Service": service(LoadBalancers=[{"ContainerName": "main"}])})

    assert [line.part for line in (*plain.lines, *gateway.lines) if line.prices[0].startswith("fargate")] == [
        "services",
        "gateway",
    ]


def test_a_service_that_scales_has_its_least_tasks_and_room_for_the_most() -> None:
    scaled = {"Fn::Join": ["", ["service/", "cluster", "/", {"Fn::GetAtt": ["Service", "Name"]}]]}
    target = body("AWS::ApplicationAutoScaling::ScalableTarget", MinCapacity=2, MaxCapacity=6, ResourceId=scaled)
    policy = body("AWS::ApplicationAutoScaling::ScalingPolicy", PolicyType="TargetTrackingScaling")
    bodies = {"Task": task(), "Service": service(None), "Target": target, "Policy": policy}

    assert tasks_usd(bodies) == pytest.approx(2 * 7.21, abs=0.011)
    assert report(bodies).scaled_out_usd == pytest.approx(4 * 7.20875)
    (alarms,) = [line for line in report(bodies).lines if line.prices == ("alarm.standard",)]
    assert alarms.usd == pytest.approx(0.20)
