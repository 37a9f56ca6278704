"""CloudFormation's words become boto3's, and a word that has no place is an error with its name."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from local_aws.resources.coerce import Coercion, PropertyNotCarriedError, PropertyValueError


def coerced(service: str, operation: str, name: str, value: Any, **renames: str) -> tuple[str, Any]:
    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")  # type: ignore[call-overload]
    try:
        return Coercion(client, operation, type_name="AWS::A::Type", renames=renames).argument(name, value)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("service", "operation", "name", "given", "argument", "value"),
    [
        pytest.param("ecs", "create_service", "DesiredCount", "2", "desiredCount", 2, id="capitals and whole numbers"),
        pytest.param(
            "ecs", "create_service", "EnableECSManagedTags", "true", "enableECSManagedTags", True, id="booleans as text"
        ),
        pytest.param("cloudwatch", "put_metric_alarm", "Threshold", "0.5", "Threshold", 0.5, id="numbers"),
        pytest.param(
            "ec2",
            "create_vpc_endpoint",
            "PolicyDocument",
            {"Version": "v"},
            "PolicyDocument",
            '{"Version": "v"}',
            id="policies",
        ),
        pytest.param(
            "sns",
            "create_topic",
            "Attributes",
            {"FifoTopic": True},
            "Attributes",
            {"FifoTopic": "true"},
            id="text of a boolean",
        ),
        pytest.param("kms", "tag_resource", "KeyId", 7, "KeyId", "7", id="text of a number"),
        pytest.param(
            "ecs", "tag_resource", "Tags", [{"Key": "a", "Value": 1}], "tags", [{"key": "a", "value": "1"}], id="tags"
        ),
        pytest.param(
            "ecs", "tag_resource", "Tags", {"a": "b"}, "tags", [{"key": "a", "value": "b"}], id="tags from a map"
        ),
        pytest.param(
            "lambda", "tag_resource", "Tags", [{"Key": "a", "Value": "b"}], "Tags", {"a": "b"}, id="tags to a map"
        ),
        pytest.param("ec2", "describe_vpcs", "VpcIds", "vpc-1", "VpcIds", ["vpc-1"], id="one for a list"),
        pytest.param(
            "wafv2",
            "create_web_acl",
            "DefaultAction",
            {"Allow": {}, "Block": None},
            "DefaultAction",
            {"Allow": {}},
            id="nothing",
        ),
    ],
)
def test_brings_values_into_the_operations_shape(
    service: str, operation: str, name: str, given: Any, argument: str, value: Any
) -> None:
    assert coerced(service, operation, name, given) == (argument, value)


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("DesiredCnt", 2, "DesiredCnt"),
        (
            "NetworkConfiguration",
            {"AwsvpcConfiguration": {"Subnts": []}},
            "NetworkConfiguration.AwsvpcConfiguration.Subnts",
        ),
        ("LoadBalancers", [{"ContainerName": "a"}, {"Container": "b"}], "LoadBalancers.Container"),
    ],
)
def test_a_name_without_a_place_is_refused_with_type_and_path(name: str, value: Any, path: str) -> None:
    with pytest.raises(PropertyNotCarriedError, match=r"^AWS::A::Type: .* property ") as raised:
        coerced("ecs", "create_service", name, value)
    assert (raised.value.type_name, raised.value.path) == ("AWS::A::Type", path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DesiredCount", "many", "AWS::A::Type: property DesiredCount: 'many' is no whole number"),
        ("DesiredCount", 1.5, "AWS::A::Type: property DesiredCount: 1.5 is no whole number"),
        ("DesiredCount", True, "AWS::A::Type: property DesiredCount: True is no whole number"),
        (
            "EnableExecuteCommand",
            "perhaps",
            "AWS::A::Type: property EnableExecuteCommand: 'perhaps' is no true or false",
        ),
        ("NetworkConfiguration", "none", "AWS::A::Type: property NetworkConfiguration: 'none' is no object"),
        (
            "LoadBalancers",
            {"ContainerName": "a"},
            "AWS::A::Type: property LoadBalancers: {'ContainerName': 'a'} is no list",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_is_wanted(name: str, value: Any, message: str) -> None:
    with pytest.raises(PropertyValueError) as raised:
        coerced("ecs", "create_service", name, value)
    assert str(raised.value) == message


def test_a_member_may_go_by_another_name_in_the_operation() -> None:
    renames = {"Tags.Key": "TagKey", "Tags.Value": "TagValue"}
    assert coerced("kms", "tag_resource", "Tags", [{"Key": "a", "Value": "b"}], **renames) == (
        "Tags",
        [{"TagKey": "a", "TagValue": "b"}],
    )
