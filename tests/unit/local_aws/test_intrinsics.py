"""CloudFormation's functions, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.errors import TemplateError
from local_aws.intrinsics import NO_VALUE, Unknown, contains_unknown, resolve

UNKNOWN = Unknown(certain=True)


class Values:
    """Names with fixed values."""

    def __init__(self) -> None:
        self.mappings = {"Sizes": {"small": {"cpu": 256, "zones": ["a", "b"]}}}

    def ref(self, name: str) -> Any:
        return {"Name": "n", "List": ["x", "y"], "Flag": "true", "AWS::NoValue": NO_VALUE, "Later": UNKNOWN}[name]

    def attribute(self, logical_id: str, name: str) -> Any:
        return UNKNOWN if logical_id == "Later" else f"{logical_id}/{name}"

    def condition(self, name: str) -> bool:
        return name == "Yes"

    def imported(self, name: str) -> str:
        return f"imported {name}"

    def zones(self, region: str) -> list[str]:
        return [f"{region or 'here'}{letter}" for letter in "ab"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"Ref": "Name"}, "n"),
        ({"Fn::GetAtt": ["A", "B.C"]}, "A/B.C"),
        ({"Fn::GetAtt": "A.B.C"}, "A/B.C"),
        ({"Fn::Sub": "${Name}-${A.B}-${!Kept}"}, "n-A/B-${Kept}"),
        ({"Fn::Sub": ["${Name}-${Mine}", {"Mine": {"Ref": "Name"}}]}, "n-n"),
        ({"Fn::Join": ["-", ["a", 1, {"Ref": "Name"}]]}, "a-1-n"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "x,y"),
        ({"Fn::Select": [1, {"Ref": "List"}]}, "y"),
        ({"Fn::Select": ["0", {"Fn::Split": ["|", "p|q"]}]}, "p"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::FindInMap": ["Sizes", "small", "cpu"]}, 256),
        ({"Fn::FindInMap": ["Sizes", "huge", "cpu", {"DefaultValue": 1}]}, 1),
        ({"Fn::GetAZs": ""}, ["herea", "hereb"]),
        ({"Fn::GetAZs": "x-1"}, ["x-1a", "x-1b"]),
        ({"Fn::Cidr": ["10.0.0.0/16", 3, "8"]}, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]),
        ({"Fn::Cidr": ["fd00::/56", 2, 64]}, ["fd00::/64", "fd00:0:0:1::/64"]),
        ({"Fn::ImportValue": {"Fn::Sub": "${Name}-x"}}, "imported n-x"),
        ({"Fn::Base64": "ab"}, "YWI="),
        ({"Fn::If": ["Yes", "then", {"Ref": "Nobody"}]}, "then"),
        ({"Fn::If": ["No", {"Ref": "Nobody"}, "else"]}, "else"),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Equals": ["1", 1]}]}, True),
        ({"Fn::Or": [{"Condition": "No"}, {"Fn::Equals": ["a", "b"]}]}, False),
        ({"Fn::Not": [{"Condition": "No"}]}, True),
        ({"Fn::Equals": [{"Ref": "Flag"}, True]}, True),
        ({"Fn::Length": {"Ref": "List"}}, 2),
        ({"Fn::ToJsonString": {"a": [1, {"Ref": "Name"}]}}, '{"a":[1,"n"]}'),
        ({"Fn::Contains": [["1", "2"], 2]}, True),
        (
            {"Effect": "Allow", "Condition": {"Bool": {"x": "true"}}},
            {"Effect": "Allow", "Condition": {"Bool": {"x": "true"}}},
        ),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
        ({"a": {"Ref": "AWS::NoValue"}, "b": {"c": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}}}, {"b": {}}),
    ],
)
def test_function(written: Any, expected: Any) -> None:
    assert resolve(written, Values()) == expected


@pytest.mark.parametrize(
    "written",
    [
        {"Fn::Sub": "${Later}"},
        {"Fn::Join": ["", ["a", {"Fn::GetAtt": ["Later", "Arn"]}]]},
        {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Later"}]}]},
        {"Fn::Base64": {"Fn::Sub": ["${X}", {"X": {"Ref": "Later"}}]}},
    ],
)
def test_what_is_made_of_something_unknown_is_unknown(written: Any) -> None:
    assert resolve(written, Values()) == UNKNOWN


def test_a_known_item_beside_an_unknown_one_is_known() -> None:
    assert resolve({"Fn::Select": [0, ["a", {"Ref": "Later"}]]}, Values()) == "a"


def test_the_most_certain_unknown_counts() -> None:
    assert contains_unknown({"a": [Unknown(certain=False), {"b": UNKNOWN}]}) == UNKNOWN
    assert contains_unknown({"a": ["b"]}) is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "Transform AWS::Include"),
        ({"Fn::ForEach::X": []}, "Fn::ForEach::X is not carried"),
        ({"Fn::Select": [2, ["a"]]}, "cannot select index 2 of 1 values"),
        ({"Fn::FindInMap": ["Sizes", "huge", "cpu"]}, "Unable to get mapping for Sizes::huge::cpu"),
        ({"Fn::Join": ["", "text"]}, "Fn::Join cannot be evaluated"),
        ({"Fn::Join": ["", [["nested"]]]}, "expected a string"),
        ({"Fn::Cidr": ["10.0.0.0/30", 9, 2]}, "no room for 9 blocks"),
        ({"Fn::Split": ["a"]}, "Fn::Split cannot be evaluated"),
    ],
)
def test_fault(written: Any, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        resolve(written, Values())
