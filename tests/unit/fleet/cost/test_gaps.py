"""Nothing is left out in silence: what has no price, or cannot be read, is listed, and the budget is then not proven."""

from __future__ import annotations

import pytest

from fleet.cost.coverage import BY_USE, COUNTED, FREE, LEFT_OUT
from tests.unit.fleet.cost.templates import Body, alarm, body, cache, machines, report, service, task


@pytest.mark.parametrize(
    ("bodies", "told"),
    [
        ({"A": body("AWS::RDS::DBInstance"), "B": body("AWS::RDS::DBInstance")}, "AWS::RDS::DBInstance (2): no price for this type"),
        ({"A": body("Custom::Unknown")}, "Custom::Unknown (1): no price for this type"),
        (machines("p5.48xlarge"), "machines p5.48xlarge (1): the price book has no ec2.p5.48xlarge"),
        ({"A": cache("cache.x9g.large")}, "nodes cache.x9g.large, valkey (1): the price book has no cache.valkey.x9g.large"),
        ({"A": cache(engine="memcached")}, "nodes cache.t4g.small, memcached (1): the price book has no cache.memcached.t4g.small"),
        ({"A": body("AWS::EC2::Volume", Size=8, VolumeType="io2")}, "AWS::EC2::Volume (1): no price for disks of type io2"),
        (machines("m7g.medium", 1, {"VolumeSize": 8}), "AWS::EC2::Volume (1): no price for disks of type None"),
        (
            {"A": body("AWS::ElasticLoadBalancingV2::LoadBalancer", Type="network")},
            "AWS::ElasticLoadBalancingV2::LoadBalancer (1): no price for load balancers of type network",
        ),
        (
            {"A": body("AWS::EC2::VPCEndpoint", VpcEndpointType="GatewayLoadBalancer")},
            "AWS::EC2::VPCEndpoint (1): A: VpcEndpointType is GatewayLoadBalancer",
        ),
        (
            {"A": body("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds={"Ref": "Subnets"})},
            "AWS::EC2::VPCEndpoint (1): A: SubnetIds is no list of subnets",
        ),
        (
            {"Task": task(), "A": service(DesiredCount={"Ref": "Count"}, count=None)},
            'AWS::ECS::Service (1): A: DesiredCount is not plain: {"Ref": "Count"}',
        ),
        (
            {"A": service(task_definition="Elsewhere")},
            'AWS::ECS::Service (1): A: {"Ref": "Elsewhere"} leads to no resource of its stack',
        ),
        (
            {"Task": task(RuntimePlatform={"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, architecture=None), "A": service()},
            "AWS::ECS::Service (1): A: RuntimePlatform is not Linux",
        ),
        ({"A": alarm(Metrics=[{"Id": "e", "Expression": "SELECT 1"}])}, "AWS::CloudWatch::Alarm (1): A: Metrics hold no metric"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_listed_and_never_free(bodies: dict[str, Body], told: str) -> None:
    found = report(bodies, budget=900)

    assert [f"{gap.type} ({gap.count}): {gap.why}" for gap in found.gaps] == [told]
    assert not found.is_within_budget
    assert found.verdict.startswith("not proven: base ")


def test_a_gap_leaves_the_rest_counted() -> None:
    found = report({"A": body("AWS::RDS::DBInstance"), "B": body("AWS::KMS::Key")})

    assert found.base_usd == pytest.approx(1.0)
    assert found.is_within_budget  # without a budget, there is nothing to prove


def test_what_is_free_is_no_gap_and_what_is_left_out_is_told() -> None:
    found = report({kind: body(kind) for kind in (*FREE, *LEFT_OUT)}, budget=1)

    assert (found.lines, found.gaps) == ((), ())
    assert {(gap.type, gap.why) for gap in found.left_out} == set(LEFT_OUT.items())
    assert found.is_within_budget


def test_no_type_stands_in_two_tables() -> None:
    types = [*COUNTED, *BY_USE, *FREE, *LEFT_OUT]
    assert len(types) == len(set(types))
