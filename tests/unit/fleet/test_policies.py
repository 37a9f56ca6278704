from __future__ import annotations

from typing import Any

import pytest

from fleet.verify.policies import allows, only_own_account

ACCOUNT = "123456789012"
ALARMS = "cloudwatch.amazonaws.com"


def statement(effect: str = "Allow", **changes: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": {"Service": ALARMS}, "Action": "sns:Publish", "Resource": "*", **changes}


def may(*statements: dict[str, Any]) -> bool:
    return allows({"Statement": list(statements)}, ALARMS, "sns:Publish", ACCOUNT)


OWN = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
OTHER = {"StringEquals": {"AWS:SourceAccount": "999999999999"}}


@pytest.mark.parametrize(
    "granted",
    [
        statement(),
        statement(Principal="*"),
        statement(Principal={"AWS": "*"}),
        statement(Principal={"Service": ["events.amazonaws.com", ALARMS]}),
        statement(Action=["sns:*"]),
        statement(Action="SNS:Publish"),
        statement(Condition=OWN),
        statement(Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT, "999999999999"]}}),
    ],
)
def test_a_grant_in_any_of_its_forms_counts(granted: dict[str, Any]) -> None:
    assert may(granted)


@pytest.mark.parametrize(
    "granted",
    [
        statement(Principal={"Service": "events.amazonaws.com"}),
        statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        statement(Action="sns:Subscribe"),
        statement(Condition=OTHER),
        statement(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
        statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*"}}),
    ],
)
def test_a_grant_to_others_or_one_that_cannot_be_read_is_no_proof(granted: dict[str, Any]) -> None:
    assert not may(granted)


def test_a_refusal_outweighs_a_grant() -> None:
    assert not may(statement(), statement("Deny"))
    assert not may(statement(), statement("Deny", Principal="*", Action="*"))


def test_a_refusal_of_others_does_not() -> None:
    in_clear = {"Bool": {"aws:SecureTransport": "false"}}
    assert may(statement(), statement("Deny", Principal="*", Condition=in_clear))
    assert may(statement(), statement("Deny", Condition=OTHER))


def test_every_grant_must_ask_for_the_own_account() -> None:
    def only_own(*statements: dict[str, Any]) -> bool:
        return only_own_account({"Statement": list(statements)}, ALARMS, "sns:Publish", ACCOUNT)

    assert only_own(statement(Condition=OWN))
    assert not only_own(statement(Condition=OWN), statement())
    assert not only_own(statement(Condition=OTHER))
