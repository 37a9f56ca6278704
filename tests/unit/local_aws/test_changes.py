"""What a change set says before anything is done."""

from __future__ import annotations

import pytest

from local_aws.errors import RequestRefusedError
from local_aws.schemas import at, schema_for
from tests.unit.local_aws.fakes import ACCOUNT, REGION, Engine, parameter, template


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def test_actions_replacements_and_policies(engine: Engine) -> None:
    engine.deploy(
        "s",
        template(
            {
                "Same": parameter("1"),
                "Value": parameter("1"),
                "Name": parameter("1", Name="old"),
                "Gone": parameter("1", DeletionPolicy="Retain"),
            }
        ),
    )

    changes = engine.plan(
        "s",
        template(
            {"Same": parameter("1"), "Value": parameter("2"), "Name": parameter("1", Name="new"), "New": parameter("1")}
        ),
    )

    said = {
        name: (change["Action"], change.get("Replacement"), change.get("PolicyAction"))
        for name, change in changes.items()
    }
    assert said == {
        "Value": ("Modify", "False", None),
        "Name": ("Modify", "True", "ReplaceAndDelete"),
        "New": ("Add", None, None),
        "Gone": ("Remove", None, "Retain"),
    }
    target = changes["Value"]["Details"][0]["Target"]
    assert (target["Name"], target["BeforeValue"], target["AfterValue"], target["RequiresRecreation"]) == (
        "Value",
        "1",
        "2",
        "Never",
    )
    assert changes["Name"]["Details"][0]["Target"]["RequiresRecreation"] == "Always"


def test_replacement_reaches_those_that_refer(engine: Engine) -> None:
    def version(name: str) -> dict[str, object]:
        return template(
            {
                "A": parameter("1", Name=name),
                "ByValue": parameter(ref("A")),
                "ByName": parameter("1", Name={"Fn::Sub": "x-${A}"}),
            }
        )

    engine.deploy("s", version("old"))

    changes = engine.plan("s", version("new"))

    assert {name: change["Replacement"] for name, change in changes.items()} == {
        "A": "True",
        "ByValue": "False",
        "ByName": "True",
    }
    assert "{{changeSet:KNOWN_AFTER_APPLY}}" in changes["ByValue"]["AfterContext"]


def test_an_update_in_place_does_not_reach_those_that_refer(engine: Engine) -> None:
    def version(value: str) -> dict[str, object]:
        return template({"A": parameter(value), "B": parameter({"Fn::GetAtt": ["A", "Arn"]})})

    engine.deploy("s", version("1"))

    assert set(engine.plan("s", version("2"))) == {"A"}


def test_an_attribute_of_a_custom_resource_may_change(engine: Engine) -> None:
    def version(value: str) -> dict[str, object]:
        return template(
            {
                "A": {"Type": "Custom::Thing", "Properties": {"ServiceToken": "t", "Value": value}},
                "B": parameter(ref("A")),
                "C": parameter("1", Name={"Fn::GetAtt": ["A", "Value"]}),
            }
        )

    engine.deploy("s", version("1"))

    changes = engine.plan("s", version("2"))

    assert {name: change["Replacement"] for name, change in changes.items()} == {"A": "False", "C": "Conditional"}
    assert changes["C"]["Details"][0]["Evaluation"] == "Dynamic"
    engine.deploy("s", version("2"))
    assert {"2"} < engine.handler.names(), "what may change did, and its reader was replaced"
    assert "1" not in engine.handler.names()


def test_metadata_and_tags_alone_are_changes(engine: Engine) -> None:
    engine.deploy(
        "s",
        template(
            {
                "A": parameter("1"),
                "T": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"PolicyDocument": {}, "Topics": ["t"]}},
            }
        ),
    )

    changes = engine.plan(
        "s",
        template(
            {
                "A": parameter("1"),
                "T": {
                    "Type": "AWS::SNS::TopicPolicy",
                    "Properties": {"PolicyDocument": {}, "Topics": ["t"]},
                    "Metadata": {"x": 1},
                },
            }
        ),
        tags={"a": "b"},
    )

    assert {name: change["Scope"] for name, change in changes.items()} == {"A": ["Tags"], "T": ["Metadata"]}, (
        "a topic policy takes no tags"
    )


def test_outputs_alone_are_a_change(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))

    stack = engine.deploy("s", template({"A": parameter("1")}, Outputs={"O": {"Value": ref("A")}}))

    assert stack.outputs["O"].value == "A-1"


def test_a_change_set_is_found_by_name_within_its_stack(engine: Engine) -> None:
    engine.deploy("one", template({"A": parameter("1")}))
    engine.deploy("two", template({"A": parameter("1")}))
    for name in ("one", "two"):
        stack = engine.requests.stack(REGION, name)
        engine.requests.create_change_set(
            stack, "same-name", "UPDATE", engine.request(template({"A": parameter(name)}))
        )

    found, change_set = engine.requests.change_set(REGION, "same-name", "two")

    assert found.name == "two"
    assert "two" in change_set.changes[0]["ResourceChange"]["AfterContext"]
    with pytest.raises(RequestRefusedError) as refusal:
        engine.requests.change_set(REGION, "another", "two")
    assert refusal.value.code == "ChangeSetNotFound"


def test_executing_one_change_set_removes_the_others(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1")}))
    for name in ("first", "second"):
        engine.requests.create_change_set(stack, name, "UPDATE", engine.request(template({"A": parameter(name)})))

    engine.requests.execute(
        stack, engine.requests.change_set(REGION, "first", "s")[1], disable_rollback=False, token=None
    )
    engine.ended(stack)

    assert stack.change_sets == {}


def test_an_empty_change_set_cannot_be_executed(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1")}))
    change_set = engine.requests.create_change_set(
        stack, "empty", "UPDATE", engine.request(template({"A": parameter("1")}))
    )

    with pytest.raises(RequestRefusedError, match="cannot be executed") as refusal:
        engine.requests.execute(stack, change_set, disable_rollback=False, token=None)

    assert refusal.value.code == "InvalidChangeSetStatus"


def test_a_change_set_for_a_new_stack_leaves_it_in_review(engine: Engine) -> None:
    stack = engine.requests.stack_for_change_set(ACCOUNT, REGION, "s", "CREATE")
    engine.requests.create_change_set(stack, "c", "CREATE", engine.request(template({"A": parameter("1")})))
    assert engine.requests.stack(REGION, "s").status == "REVIEW_IN_PROGRESS"

    assert engine.delete("s").status == "DELETE_COMPLETE"
    assert engine.handler.calls == []


# -- schemas


def test_schema_of_a_real_type() -> None:
    schema = schema_for("AWS::ECS::Service", REGION)

    assert ("Cluster",) in schema.create_only
    assert schema.takes_tags
    assert schema.faults({"LoadBalancers": [{"ContainerPort": 1, "Port": 2}]}) == [
        "Encountered unsupported property LoadBalancers/0/Port"
    ]
    assert schema.faults({"ServiceArn": "x"}) == ["Encountered unsupported property ServiceArn: only AWS sets it"]


def test_a_type_without_a_schema_forbids_nothing() -> None:
    assert schema_for("Custom::Thing", REGION).faults({"Anything": 1}) == []
    assert schema_for("Made::Up::Type", REGION).faults({"Anything": 1}) == []


def test_a_path_goes_through_lists() -> None:
    assert at({"a": [{"b": 1}, {"b": 2}]}, ("a", "*", "b")) == [1, 2]
    assert at({"a": 1}, ("a", "b")) is None
