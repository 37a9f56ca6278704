"""The budgets of a stack: refused while it can still be divided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.budget import (
    MAX_DYNAMIC_REFERENCES,
    MAX_POLICY_CHARACTERS,
    MAX_RESOURCES,
    MAX_TEMPLATE_BYTES,
    BudgetExceededError,
    check_budgets,
)
from tests.synthesis import Fleet


def assembly(folder: Path, **resources: dict[str, Any]) -> Path:
    (folder / "gaming-system-prod-services-game.template.json").write_text(
        json.dumps({"Resources": resources}), encoding="utf-8"
    )
    return folder


def alarms(number: int) -> dict[str, dict[str, Any]]:
    return {f"Alarm{index}": {"Type": "AWS::CloudWatch::Alarm"} for index in range(number)}


def refused(folder: Path) -> str:
    with pytest.raises(BudgetExceededError) as error:
        check_budgets(folder)
    return str(error.value)


def test_a_stack_at_its_budget_is_taken(tmp_path: Path) -> None:
    check_budgets(assembly(tmp_path, **alarms(MAX_RESOURCES)))


def test_a_stack_with_too_many_resources_is_named_with_what_it_has_most_of(tmp_path: Path) -> None:
    roles = {f"Role{index}": {"Type": "AWS::IAM::Role"} for index in range(51)}
    assert refused(assembly(tmp_path, **alarms(400), **roles)) == (
        "gaming-system-prod-services-game: 451 resources, the budget is 450; it has most of: 400 AWS::CloudWatch::Alarm, "
        "51 AWS::IAM::Role; move services to another stack of the group (`stack: 2`)"
    )


def test_a_template_that_is_too_large_is_refused(tmp_path: Path) -> None:
    big = {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "x" * MAX_TEMPLATE_BYTES}}
    assert "bytes of template, the budget is 800000" in refused(assembly(tmp_path, Big=big))


def test_too_many_dynamic_references_are_refused(tmp_path: Path) -> None:
    reference = {"Type": "AWS::ElastiCache::User", "Properties": {"Password": "{{resolve:secretsmanager:x}}"}}
    users = {f"User{index}": reference for index in range(MAX_DYNAMIC_REFERENCES + 1)}
    assert "51 dynamic references, the budget is 50" in refused(assembly(tmp_path, **users))


def test_a_role_with_more_policy_than_iam_takes_is_refused(tmp_path: Path) -> None:
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":secretsmanager:us-east-1:", "x" * 80]]}
    policy = {"PolicyDocument": {"Statement": [{"Action": "secretsmanager:GetSecretValue", "Resource": [arn] * 80}]}}
    role = {"Type": "AWS::IAM::Role", "Properties": {"Policies": [policy]}}
    assert "characters of policy in a role, the budget is 9500" in refused(assembly(tmp_path, Role=role))


def test_what_intrinsic_functions_take_in_a_template_does_not_count(tmp_path: Path) -> None:
    arn = {"Fn::Join": ["", ["a", {"Ref": "P"}, "b", {"Fn::GetAtt": ["Q", "Arn"]}]]}
    policy = {"PolicyDocument": {"Resource": [arn] * 1000}}
    assert len(json.dumps(policy)) > 2 * MAX_POLICY_CHARACTERS
    check_budgets(assembly(tmp_path, Role={"Type": "AWS::IAM::Role", "Properties": {"Policies": [policy]}}))


def test_every_stack_that_is_too_large_is_told_at_once(tmp_path: Path) -> None:
    for part in ("game", "core-ai"):
        template = json.dumps({"Resources": alarms(MAX_RESOURCES + 1)})
        (tmp_path / f"gaming-system-prod-services-{part}.template.json").write_text(template, encoding="utf-8")
    assert len(refused(tmp_path).splitlines()) == 2


def test_the_fleet_uses_less_than_half_of_every_budget(fleet: Fleet) -> None:
    for part, template in fleet.templates.items():
        text = json.dumps(template, indent=1)
        assert len(template["Resources"]) < MAX_RESOURCES / 2, part
        assert len(text.encode()) < MAX_TEMPLATE_BYTES / 2, part
        assert text.count("{{resolve:") < MAX_DYNAMIC_REFERENCES / 2, part


def test_budgets_leave_room_below_the_limits_of_cloudformation() -> None:
    assert (MAX_RESOURCES, MAX_TEMPLATE_BYTES, MAX_DYNAMIC_REFERENCES) == (450, 800_000, 50)
    assert MAX_POLICY_CHARACTERS < 10_240
