"""How a function answers CloudFormation: always, and never with more than it takes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.custom_resource import LONGEST_REASON, Answer, RequestType, answer, is_request, rolls_back
from tests.unit.functions.conftest import Stack

LONGEST_ANSWER = 4096


def test_only_cloudformation_brings_a_place_for_the_answer(stack: Stack) -> None:
    assert is_request(stack.request("Create"))
    assert not is_request({"source": "aws.events"})


def test_the_answer_names_the_request_and_the_resource(stack: Stack) -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def provide(request_type: RequestType, properties: Mapping[str, Any]) -> Answer:
        asked.append((request_type, properties))
        return Answer("an-id", {"Name": "value"})

    request = stack.request("Create", Wanted="this")
    answer(request, provide)

    assert asked == [("Create", request["ResourceProperties"])]
    assert stack.answers == [
        {
            "Status": "SUCCESS",
            "PhysicalResourceId": "an-id",
            "StackId": request["StackId"],
            "RequestId": "r-1",
            "LogicalResourceId": "Issued",
            "Data": {"Name": "value"},
        }
    ]


def test_the_answer_has_no_content_type_since_the_addresss_signature_has_none(stack: Stack) -> None:
    answer(stack.request("Create"), lambda *_: Answer("an-id", {}))

    assert stack.content_types == [""]


@pytest.mark.parametrize(("request_type", "physical_id"), [("Create", "Issued"), ("Update", "s3://certificates")])
def test_a_failure_is_answered_too_and_keeps_the_id_that_there_was(
    stack: Stack, request_type: RequestType, physical_id: str
) -> None:
    def fail(*_: Any) -> Answer:
        raise ValueError("no such thing")

    answer(stack.request(request_type), fail)

    (told,) = stack.answers
    assert (told["Status"], told["Reason"]) == ("FAILED", "ValueError: no such thing")
    assert told["PhysicalResourceId"] == physical_id
    assert "Data" not in told


def test_a_failure_is_in_the_log_with_where_it_happened(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> Answer:
        raise ValueError("no such thing")

    with caplog.at_level(logging.ERROR):
        answer(stack.request("Update"), fail)

    (record,) = caplog.records
    assert record.getMessage() == "Update of Issued failed"
    assert record.exc_info is not None


def test_a_long_reason_is_cut_since_cloudformation_takes_no_long_answer(stack: Stack) -> None:
    def fail(*_: Any) -> Answer:
        raise ValueError("é" * 5000)

    answer(stack.request("Create"), fail)

    (told,) = stack.answers
    assert len(told["Reason"]) == LONGEST_REASON
    assert len(json.dumps(told, ensure_ascii=False).encode()) < LONGEST_ANSWER


def test_where_another_run_is_going_to_answer_this_one_does_not(stack: Stack) -> None:
    answer(stack.request("Update"), lambda *_: None)

    assert stack.answers == []


class CloudFormation:
    """Knows of one stack."""

    def __init__(self, status: str | None) -> None:
        self.status = status

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803  # as boto3 takes it
        assert StackName == "arn:aws:cloudformation:us-east-1:1:stack/s/1"
        if self.status is None:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "later"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self.status}]}


@pytest.mark.parametrize(
    ("status", "back"),
    [
        ("UPDATE_IN_PROGRESS", False),
        ("CREATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("ROLLBACK_IN_PROGRESS", True),
        (None, False),
    ],
)
def test_a_stack_that_is_on_its_way_back_is_seen(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, status: str | None, *, back: bool
) -> None:
    monkeypatch.setattr(boto3, "client", lambda _: CloudFormation(status))

    assert rolls_back(stack.request("Update")) is back
