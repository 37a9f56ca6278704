"""Templates as they come: JSON, YAML, and what is neither; their parameters, conditions, rules and order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_aws.errors import TemplateError
from local_aws.graph import in_order, references
from local_aws.parameters import Parameter, settle
from local_aws.template import load, parse
from tests.unit.local_aws.fakes import Engine, parameter, template


def test_yaml_has_short_forms_and_no_dates() -> None:
    document = load(
        """
        AWSTemplateFormatVersion: 2010-09-09
        Resources:
          A:
            Type: AWS::SSM::Parameter
            Properties:
              Value: !Sub ["${x}", {x: !GetAtt B.C.D}]
              Name: !If [Yes, !Ref N, !Join ["-", [a, b]]]
              Flag: yes
        """
    )

    assert document["AWSTemplateFormatVersion"] == "2010-09-09"
    properties = document["Resources"]["A"]["Properties"]
    assert properties["Value"] == {"Fn::Sub": ["${x}", {"x": {"Fn::GetAtt": ["B", "C.D"]}}]}
    assert properties["Name"]["Fn::If"][1:] == [{"Ref": "N"}, {"Fn::Join": ["-", ["a", "b"]]}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "neither JSON nor YAML"),
        ("text", "unsupported structure"),
        ("{}", "At least one Resources member"),
        ('{"Resource": {}}', r"Invalid template property or properties \[Resource\]"),
        ('{"Resources": {"A": {}}}', "/Resources/A"),
        (
            '{"Resources": {"A": {"Type": "T", "Propertys": {}}}}',
            "Invalid template resource property 'Propertys' in resource A",
        ),
        (
            '{"Resources": {"A": {"Type": "T", "DeletionPolicy": "Snapshot"}}}',
            "DeletionPolicy 'Snapshot' of resource A is not carried",
        ),
        (
            '{"Resources": {"A": {"Type": "T", "CreationPolicy": {"ResourceSignal": {}}}}}',
            "CreationPolicy of resource A",
        ),
        (
            '{"Resources": {"A": {"Type": "T", "UpdatePolicy": {"AutoScalingRollingUpdate": {}}}}}',
            "UpdatePolicy AutoScalingRollingUpdate",
        ),
        (
            '{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"A": {"Type": "T"}}}',
            "Transform AWS::Serverless-2016-10-31",
        ),
        ('{"Resources": {"A": {"Type": "T"}}, "Outputs": {"O": {}}}', "Output O must have a Value"),
        ("[" * 100_000, "nested too deeply|neither JSON"),
    ],
)
def test_what_is_no_template_is_refused_by_name(body: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        parse(body)


# -- order


def test_every_kind_of_reference_is_seen() -> None:
    written = {
        "a": {"Ref": "R"},
        "b": [{"Fn::GetAtt": ["G", "Arn"]}, {"Fn::GetAtt": "H.Arn"}],
        "c": {"Fn::Sub": "${S} ${T.Arn} ${!Literal}"},
        "d": {"Fn::Sub": ["${Local} ${U}", {"Local": {"Ref": "V"}}]},
        "e": {"Fn::If": ["C", {"Ref": "W"}, {"Fn::Join": ["", [{"Ref": "X"}]]}]},
    }

    assert references(written) == set("RGHSTUVWX")


def test_order_is_that_of_the_template_but_for_what_is_needed() -> None:
    assert in_order({"c": ["a"], "b": [], "a": []}) == ["a", "c", "b"]


def test_a_long_chain_is_no_matter() -> None:
    names = [f"n{index:05}" for index in range(5000)]

    assert (
        in_order({name: [following] for name, following in zip(names, [*names[1:], "end"], strict=True)} | {"end": []})[
            0
        ]
        == "end"
    )


def test_a_cycle_is_named(engine: Engine) -> None:
    def circle() -> dict[str, Any]:
        return template(
            {
                "A": parameter({"Ref": "B"}),
                "B": parameter("1", DependsOn="C"),
                "C": parameter({"Fn::Sub": "${A}"}),
                "D": parameter("1"),
            }
        )

    with pytest.raises(TemplateError, match=r"Circular dependency between resources: \[A, B, C\]"):
        engine.deploy("s", circle())


@pytest.mark.parametrize(
    "resources",
    [
        {"A": parameter({"Ref": "Nobody"})},
        {"A": parameter({"Fn::Sub": "${Nobody.Arn}"})},
        {"A": parameter("1", DependsOn="Nobody")},
    ],
)
def test_a_name_that_nobody_has_is_refused(engine: Engine, resources: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match=r"Unresolved resource dependencies \[Nobody\] in the Resources block"):
        engine.deploy("s", template(resources))


def test_an_attribute_that_a_resource_does_not_have_is_refused(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1"), "B": parameter({"Fn::GetAtt": ["A", "Colour"]})}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert any("resource A does not support attribute type Colour" in str(event.reason) for event in stack.events)


def test_a_nested_attribute_is_found_by_its_dotted_name(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1"), "B": parameter({"Fn::GetAtt": ["A", "Nested.Part"]})}))

    assert engine.handler.inventory["B-2"]["Value"] == "part of A-1"


# -- conditions, pseudo parameters, rules


def test_conditions_choose_resources_outputs_and_values(engine: Engine) -> None:
    conditional = template(
        {
            "A": parameter({"Fn::If": ["Big", "big", {"Fn::Sub": "${AWS::Region}"}]}),
            "B": parameter("1", Condition="Big"),
        },
        Parameters={"Size": {"Type": "String", "Default": "small"}},
        Conditions={
            "Big": {"Fn::And": [{"Condition": "Known"}, {"Fn::Equals": [{"Ref": "Size"}, "big"]}]},
            "Known": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, ""]}]},
        },
        Outputs={"B": {"Condition": "Big", "Value": {"Ref": "B"}}},
    )
    stack = engine.deploy("s", conditional)
    assert (engine.handler.inventory["A-1"]["Value"], stack.outputs) == ("us-east-1", {})

    stack = engine.deploy("s", conditional, {"Size": "big"})
    assert engine.handler.inventory["A-1"]["Value"] == "big"
    assert stack.outputs["B"].value == "B-2"

    engine.deploy("s", conditional, {"Size": "small"})
    assert engine.handler.names() == {"A-1"}


def test_conditions_that_need_each_other_are_refused(engine: Engine) -> None:
    circular = template(
        {"A": parameter("1", Condition="X")},
        Conditions={"X": {"Fn::Not": [{"Condition": "Y"}]}, "Y": {"Condition": "X"}},
    )

    with pytest.raises(TemplateError, match="Circular dependency of condition X"):
        engine.deploy("s", circular)


def test_a_rule_of_the_template_is_asserted(engine: Engine) -> None:
    ruled = template(
        {"A": parameter("1")},
        Parameters={"Version": {"Type": "String", "Default": "3"}},
        Rules={
            "Recent": {
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2", "3"], {"Ref": "Version"}]}]},
                        "AssertDescription": "version 4 is needed",
                    }
                ]
            }
        },
    )

    with pytest.raises(TemplateError, match="rule Recent does not hold: version 4 is needed"):
        engine.deploy("s", ruled)
    assert engine.deploy("s", ruled, {"Version": "4"}).status == "CREATE_COMPLETE"


# -- parameters


def settled(declared: dict[str, Any], given: Any = (), previous: dict[str, Parameter] | None = None) -> dict[str, Any]:
    held = {"/a": "found", "/list": "x, y"}
    return {key: item.value for key, item in settle(declared, given, previous or {}, held.__getitem__).items()}


def test_values_defaults_and_lists() -> None:
    declared = {
        "Given": {"Type": "String"},
        "Default": {"Type": "Number", "Default": 5},
        "List": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>", "Default": "s-1,s-2"},
        "Ssm": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/a"},
        "SsmList": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/list"},
    }

    assert settled(declared, [{"ParameterKey": "Given", "ParameterValue": "g"}]) == {
        "Given": "g",
        "Default": "5",
        "List": ["a", "b"],
        "Subnets": ["s-1", "s-2"],
        "Ssm": "found",
        "SsmList": ["x", "y"],
    }


def test_a_previous_value_is_the_name_in_ssm_and_not_what_stood_there() -> None:
    declared = {"Ssm": {"Type": "AWS::SSM::Parameter::Value<String>"}, "Default": {"Type": "String", "Default": "d"}}
    previous = {"Ssm": Parameter("/a", "stood there", from_ssm=True)}

    given = [{"ParameterKey": "Ssm", "UsePreviousValue": True}, {"ParameterKey": "Default", "UsePreviousValue": True}]
    assert settled(declared, given, previous) == {"Ssm": "found", "Default": "d"}


def test_an_ssm_value_is_looked_up_by_every_deployment(engine: Engine) -> None:
    written = template(
        {"A": parameter({"Ref": "P"})},
        Parameters={"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/p"}},
    )
    engine.clients.parameters["/p"] = "one"
    engine.deploy("s", written)
    engine.clients.parameters["/p"] = "two"

    engine.deploy("s", written)

    assert engine.handler.inventory["A-1"]["Value"] == "two"


def test_an_ssm_value_that_is_missing_is_named(engine: Engine) -> None:
    written = template(
        {"A": parameter({"Ref": "P"})},
        Parameters={"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/p"}},
    )

    with pytest.raises(TemplateError, match=r"Unable to fetch parameters \[/p\]"):
        engine.deploy("s", written)


def test_a_hidden_value_is_hidden() -> None:
    declared = {
        "Secret": {"Type": "String", "Default": "s", "NoEcho": "true"},
        "Ssm": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/a"},
    }
    found = settle(declared, [], {}, {"/a": "found"}.__getitem__)

    assert [item.described(key) for key, item in found.items()] == [
        {"ParameterKey": "Secret", "ParameterValue": "****"},
        {"ParameterKey": "Ssm", "ParameterValue": "/a", "ResolvedValue": "found"},
    ]


@pytest.mark.parametrize(
    ("declaration", "value", "message"),
    [
        ({"Type": "String", "AllowedValues": ["a", "b"]}, "c", r"must be one of AllowedValues: \[a, b\]"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "A", r"must match pattern \[a-z\]\+"),
        (
            {"Type": "String", "AllowedPattern": "x", "ConstraintDescription": "wants an x"},
            "y",
            "Parameter 'P' wants an x",
        ),
        ({"Type": "Number"}, "many", "must be a number"),
        ({"Type": "Number", "MaxValue": 5}, "6", "not greater than 5"),
        ({"Type": "String", "MinLength": 2}, "a", "at least 2"),
    ],
)
def test_constraint(declaration: dict[str, Any], value: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        settled({"P": declaration}, [{"ParameterKey": "P", "ParameterValue": value}])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"Parameters: \[P\] must have values"),
        ([{"ParameterKey": "Q", "ParameterValue": ""}], r"Parameters: \[Q\] do not exist in the template"),
        ([{"ParameterKey": "P", "UsePreviousValue": True}], "not in the previous template"),
        (
            [{"ParameterKey": "P", "UsePreviousValue": True, "ParameterValue": "x"}],
            "Cannot specify usePreviousValue as true and non empty value",
        ),
    ],
)
def test_parameters_that_do_not_fit(given: Any, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        settled({"P": {"Type": "String"}}, given)


# -- dynamic references


def test_dynamic_references_are_resolved_for_the_handler_alone(engine: Engine) -> None:
    engine.clients.parameters = {"/p": "plain", "/s:3": "hidden"}
    engine.clients.secrets = {"arn:aws:secretsmanager:r:1:secret:x-1": json.dumps({"k": "v"}), "whole": "text"}
    text = (
        "{{resolve:ssm:/p}} {{resolve:ssm-secure:/s:3}} {{resolve:secretsmanager:whole}} "
        "{{resolve:secretsmanager:arn:aws:secretsmanager:r:1:secret:x-1:SecretString:k::}}"
    )

    stack = engine.deploy("s", template({"A": parameter(text)}))

    assert engine.handler.inventory["A-1"]["Value"] == "plain hidden text v"
    assert stack.resources["A"].properties["Value"] == text, "two versions are compared without a look at secrets"
    assert "hidden" not in str([event.properties for event in stack.events])


def test_a_dynamic_reference_to_nothing_fails_its_resource(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("{{resolve:ssm:/missing}}")}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert any("Could not resolve {{resolve:ssm:/missing}}" in str(event.reason) for event in stack.events)
