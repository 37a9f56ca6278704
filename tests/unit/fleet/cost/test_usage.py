"""What follows from use: each assumption changes the report, and none is reckoned with where nothing can be used so."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cost import Cost, Usage
from fleet.cost.run import assumed
from fleet.cost.usage import crossings
from fleet.errors import InputError
from tests.unit.fleet.cost.templates import NOTHING_USED, Body, body, cache, report, service, task

SPOT = {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}
DEPLOYED: dict[str, Body] = {
    "Cluster": body("AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enabled"}]),
    "Task": task(),
    "Service": service(2, SPOT),
    "Logs": body("AWS::Logs::LogGroup", RetentionInDays=30),
    **{zone: body("AWS::EC2::Volume", Size=8, VolumeType="gp3", AvailabilityZone=zone) for zone in ("a", "b", "c")},
    "Cache": cache(SnapshotRetentionLimit=7),
    "Endpoint": body("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=["a"]),
    "Balancer": body("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internet-facing", Subnets=["a"]),
    "Bucket": body("AWS::S3::Bucket"),
    "Repository": body("AWS::ECR::Repository"),
    "Function": body("AWS::Lambda::Function", Architectures=["arm64"]),
}
COSTS = {
    "log_gb": 0.50 + 0.03 * 30 / (730 / 24),
    "insights_log_gb": 0.50,
    "nats_gb": 2 * 0.01 * 10 / 3,
    "aws_gb": 0.01,
    "internet_gb": 0.09,
    "load_balancer_units": 5.84,
    "cache_gb": 6 * 0.085,
    "image_gb": 0.10,
    "bucket_gb": 0.023,
    "function_gb_seconds": 0.0000133334,
    "spot_discount_percent": -2 * 7.20875 / 100,
}  # fmt: skip


def used(**amounts: float) -> Usage:
    return NOTHING_USED.model_copy(update=amounts)


def test_the_table_has_every_assumption() -> None:
    assert COSTS.keys() == Usage.model_fields.keys()


@pytest.mark.parametrize("key", COSTS)
def test_each_assumption_costs_what_one_more_of_it_costs(key: str) -> None:
    before = getattr(NOTHING_USED, key)
    more = report(DEPLOYED, usage=used(**{key: before + 1})).total_usd - report(DEPLOYED).total_usd

    assert more == pytest.approx(COSTS[key])


@pytest.mark.parametrize("key", sorted(COSTS.keys() - {"spot_discount_percent"}))
def test_use_is_never_part_of_the_base_and_costs_nothing_where_nothing_is_deployed(key: str) -> None:
    usage = used(**{key: 1000})

    assert report(DEPLOYED, usage=usage).base_usd == report(DEPLOYED).base_usd
    assert report({}, usage=usage).total_usd == 0


def test_what_goes_through_a_nat_gateway_costs_more_than_what_goes_through_endpoints() -> None:
    nat = report({"A": body("AWS::EC2::NatGateway")}, usage=used(aws_gb=10))
    assert nat.total_usd - nat.base_usd == pytest.approx(0.45)


def test_logs_of_container_insights_are_paid_for_in_its_standard_form_alone() -> None:
    enhanced = body("AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enhanced"}])
    found = report({"Logs": DEPLOYED["Logs"], "Cluster": enhanced}, usage=used(insights_log_gb=5))
    assert found.total_usd == pytest.approx(found.base_usd)


@pytest.mark.parametrize(
    ("zones", "times"),
    [([], 0), (["a"], 0), (["a", "a", "a"], 0), (["a", "b", "c"], 10 / 3), (["a", "a", "b"], 1 + 4 / 3)],
)
def test_a_message_crosses_zones_as_often_as_its_way_leads_through_them(zones: list[str], times: float) -> None:
    assert crossings(zones) == pytest.approx(times)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
def test_a_message_crosses_at_most_four_times_and_not_at_all_in_one_zone(zones: list[str]) -> None:
    assert 0 <= crossings(zones) <= 4
    assert (crossings(zones) == 0) == (len(Counter(zones)) == 1)


def test_an_option_takes_the_place_of_an_assumption() -> None:
    cost = assumed(Cost(max_base_usd=5), {"log_gb": "40", "nats_gb": "0.5"})

    assert (cost.usage.log_gb, cost.usage.nats_gb, cost.usage.image_gb, cost.max_base_usd) == (40, 0.5, 5, 5)


@pytest.mark.parametrize(
    ("given_usage", "told"),
    [
        ({"logs_gb": "1"}, "--usage logs_gb=1: there is no assumption 'logs_gb'; did you mean 'log_gb'?"),
        ({"log_gb": "much"}, "--usage log_gb=much: input should be a valid number"),
        ({"log_gb": "-1"}, "--usage log_gb=-1: input should be greater than or equal to 0"),
        ({"log_gb": "nan"}, "--usage log_gb=nan: "),
    ],
)
def test_an_option_that_is_no_assumption_is_refused(given_usage: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as caught:
        assumed(Cost(), given_usage)

    assert told in str(caught.value)
