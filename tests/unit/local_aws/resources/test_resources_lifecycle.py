"""Every type is made, found through boto3 as it was told, changed in place, tagged, and gone when it is removed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.resources.contract import Made
from local_aws.resources.registry import HANDLERS, handler_for
from local_aws.schemas import schema_for
from tests.unit.local_aws.resources import data_cases, ec2_cases, fleet_cases, security_cases, watch_cases
from tests.unit.local_aws.resources.case import Case, differences
from tests.unit.local_aws.resources.world import REGION, StackContext, World

CASES: tuple[Case, ...] = (
    *data_cases.CASES,
    *ec2_cases.CASES,
    *fleet_cases.CASES,
    *security_cases.CASES,
    *watch_cases.CASES,
)
TESTED_ELSEWHERE = {"AWS::CloudFormation::CustomResource"}  # test_resources_custom.py

# What `Fn::GetAtt` could give in AWS and does not here: nobody asks, and moto does not know.
NOT_GIVEN = {
    "AWS::EC2::NatGateway": {"AutoProvisionZones", "AutoScalingIps", "RouteTableId"},
    "AWS::EC2::NetworkInterface": {"PrimaryIpv6Address", "PublicIpDnsNameOptions"},
    "AWS::EC2::Subnet": {"BlockPublicAccessStates", "NetworkAclAssociationId"},
    "AWS::ElastiCache::ReplicationGroup": {"EffectiveDurability"},
}


def made_as_told(world: World, case: Case, context: StackContext) -> tuple[Made, dict[str, Any]]:
    properties = dict(case.properties(world))
    assert schema_for(case.type, REGION).faults(properties) == []
    return handler_for(case.type).create(context, properties), properties


def changed(properties: dict[str, Any], change: Any) -> dict[str, Any]:
    return {name: value for name, value in {**properties, **change}.items() if value is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_lives_as_its_template_says(world: World, case: Case) -> None:
    context = StackContext(world)
    handler = handler_for(case.type)

    made, properties = made_as_told(world, case, context)
    assert differences(case.seen, case.look(world, made)) == []
    assert differences(case.attributes, made.attributes) == []
    given = {name.partition(".")[0] for name in made.attributes}
    assert schema_for(case.type, REGION).read_only - given == NOT_GIVEN.get(case.type, set()) | case.without
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own bytes

    if case.change:
        new = changed(properties, case.change(world))
        assert schema_for(case.type, REGION).faults(new) == []
        updated = handler.update(context, made, properties, new)
        assert updated.physical_id == made.physical_id
        assert differences(case.then, case.look(world, updated)) == []
        made, properties = updated, new

    handler.delete(context, made, properties)
    if case.remains is None:
        assert not found(case, world, made)
    handler.delete(context, made, properties)


def found(case: Case, world: World, made: Made) -> Any:
    try:
        return case.look(world, made)
    except (ClientError, IndexError):
        return None


@pytest.mark.parametrize("case", [case for case in CASES if case.tags], ids=lambda case: case.id)
def test_carries_the_tags_of_stack_and_template(world: World, case: Case) -> None:
    assert case.tags
    handler = handler_for(case.type)
    schema = schema_for(case.type, REGION)
    name = str(schema.document.get("tagging", {}).get("tagProperty", "/properties/Tags")).rpartition("/")[2]
    is_map = (
        schema.document["properties"][name].get("type") == "object" if name in schema.document["properties"] else False
    )
    own = {"owner": "template", "service": "player"}
    as_property: Any = own if is_map else [{"Key": key, "Value": value} for key, value in own.items()]
    if case.type == "AWS::AutoScaling::AutoScalingGroup":
        as_property = [{**tag, "PropagateAtLaunch": False} for tag in as_property]

    properties = {**case.properties(world), name: as_property}
    made = handler.create(StackContext(world, tags={"owner": "stack", "env": "local"}), properties)
    tags = case.tags(world, made)
    assert differences({"owner": "template", "service": "player", "env": "local"}, tags) == []

    # Only the stack's tags change: one goes, one comes.
    made = handler.update(StackContext(world, tags={"team": "games"}), made, properties, properties)
    tags = case.tags(world, made)
    assert differences({"owner": "template", "service": "player", "team": "games"}, tags) == []
    assert "env" not in tags

    # Only the resource's own change.
    without = {key: value for key, value in properties.items() if key != name}
    made = handler.update(StackContext(world, tags={"team": "games"}), made, properties, without)
    tags = case.tags(world, made)
    assert "service" not in tags
    assert tags["team"] == "games"


def test_every_type_has_a_case() -> None:
    assert set(HANDLERS) == {case.type for case in CASES} | TESTED_ELSEWHERE


@pytest.mark.parametrize("type_name", sorted({case.type for case in CASES}))
def test_every_type_that_takes_tags_is_seen_with_them(type_name: str) -> None:
    if schema_for(type_name, REGION).takes_tags:
        assert any(case.tags for case in CASES if case.type == type_name), f"{type_name} takes tags"
