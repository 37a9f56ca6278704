"""The CloudFormation API as boto3 sees it, over an engine of fakes and without a socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.base_backend import BackendDict

from local_aws.clients import ServerClients
from local_aws.dispatch import Dispatcher, InProcess
from local_aws.wire import CloudFormationApi
from tests.unit.local_aws.fakes import ACCOUNT, REGION, Engine, parameter, template

BODY = json.dumps(
    template(
        {"A": parameter("1")}, Description="what it is", Outputs={"O": {"Value": {"Ref": "A"}, "Export": {"Name": "e"}}}
    )
)

# One for all tests: it reads the models of the services once.
SESSION = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local")


@pytest.fixture
def application(engine: Engine) -> Iterator[InProcess]:
    CloudFormationApi.engine = engine.requests
    yield InProcess(Dispatcher({"cloudformation": CloudFormationApi.dispatch}))
    BackendDict.reset()
    del CloudFormationApi.engine


def client(application: InProcess, service: str, agent: str | None = None) -> Any:
    config = Config(retries={"total_max_attempts": 1}, user_agent=agent)
    made = SESSION.client(service, region_name=REGION, endpoint_url="http://127.0.0.1:1", config=config)  # type: ignore[call-overload]
    made.meta.events.register("before-send", application)
    return made


@pytest.fixture
def api(application: InProcess) -> Any:
    return client(application, "cloudformation")


def wait(engine: Engine, name: str) -> None:
    engine.ended(engine.requests.stack(REGION, name))


def create(api: Any, engine: Engine, name: str = "s", body: str = BODY, **options: Any) -> str:
    stack_id = str(api.create_stack(StackName=name, TemplateBody=body, **options)["StackId"])
    engine.ended(engine.requests.stack(REGION, stack_id))
    return stack_id


def error_of(refusal: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error: Any = refusal.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_stack_is_described(api: Any, engine: Engine) -> None:
    create(api, engine, Tags=[{"Key": "team", "Value": "red"}], EnableTerminationProtection=True)

    (stack,) = api.describe_stacks(StackName="s")["Stacks"]

    assert stack["StackId"].startswith(f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/")
    assert (stack["StackStatus"], stack["Description"]) == ("CREATE_COMPLETE", "what it is")
    assert stack["Outputs"] == [{"OutputKey": "O", "OutputValue": "A-1", "ExportName": "e"}]
    assert stack["Tags"] == [{"Key": "team", "Value": "red"}]
    assert stack["EnableTerminationProtection"] is True
    assert api.get_template(StackName="s")["TemplateBody"] == json.loads(BODY)
    assert api.list_exports()["Exports"] == [{"ExportingStackId": stack["StackId"], "Name": "e", "Value": "A-1"}]


def test_resources_are_described(api: Any, engine: Engine) -> None:
    create(api, engine)

    (resource,) = api.list_stack_resources(StackName="s")["StackResourceSummaries"]
    described = api.describe_stack_resources(PhysicalResourceId="A-1")["StackResources"][0]
    detail = api.describe_stack_resource(StackName="s", LogicalResourceId="A")["StackResourceDetail"]

    for answer in (resource, described, detail):
        assert (answer["LogicalResourceId"], answer["PhysicalResourceId"], answer["ResourceStatus"]) == (
            "A",
            "A-1",
            "CREATE_COMPLETE",
        )


@pytest.mark.parametrize(
    ("operation", "arguments", "code", "message"),
    [
        # The CDK CLI compares these texts to the letter.
        ("describe_stacks", {"StackName": "nobody"}, "ValidationError", "Stack with id nobody does not exist"),
        ("describe_stack_events", {"StackName": "nobody"}, "ValidationError", "Stack [nobody] does not exist"),
        (
            "describe_change_set",
            {"StackName": "s", "ChangeSetName": "nothing"},
            "ChangeSetNotFound",
            "ChangeSet [nothing] does not exist",
        ),
        (
            "update_stack",
            {"StackName": "s", "TemplateBody": BODY},
            "ValidationError",
            "No updates are to be performed.",
        ),
        (
            "create_stack",
            {"StackName": "s", "TemplateBody": BODY},
            "AlreadyExistsException",
            "Stack [s] already exists",
        ),
        ("list_imports", {"ExportName": "e"}, "ValidationError", "Export 'e' is not imported by any stack."),
        (
            "validate_template",
            {"TemplateBody": '{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}'},
            "ValidationError",
            "resource type AWS::SQS::Queue is not carried by the local AWS",
        ),
        (
            "create_stack",
            {"StackName": "t", "TemplateBody": BODY, "TimeoutInMinutes": 1},
            "ValidationError",
            "TimeoutInMinutes is not carried by the local AWS",
        ),
        (
            "detect_stack_drift",
            {"StackName": "s"},
            "UnsupportedOperation",
            "DetectStackDrift is not carried by the local AWS",
        ),
        (
            "set_stack_policy",
            {"StackName": "s"},
            "UnsupportedOperation",
            "SetStackPolicy is not carried by the local AWS",
        ),
    ],
)
def test_errors_are_those_that_callers_expect(
    api: Any, engine: Engine, operation: str, arguments: dict[str, Any], code: str, message: str
) -> None:
    create(api, engine)

    with pytest.raises(ClientError) as refusal:
        getattr(api, operation)(**arguments)

    assert error_of(refusal) == (code, message)


def test_a_change_set_from_first_to_last(api: Any, engine: Engine) -> None:
    made = api.create_change_set(StackName="s", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=BODY)
    described = api.describe_change_set(ChangeSetName=made["Id"])
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert described["Changes"][0]["ResourceChange"]["Action"] == "Add"
    assert "AfterContext" not in described["Changes"][0]["ResourceChange"]
    detailed = api.describe_change_set(ChangeSetName="c", StackName="s", IncludePropertyValues=True)
    assert json.loads(detailed["Changes"][0]["ResourceChange"]["AfterContext"])["Properties"]["Value"] == "1"
    assert api.describe_stacks(StackName="s")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"

    api.execute_change_set(ChangeSetName="c", StackName="s")
    wait(engine, "s")
    assert api.describe_stacks(StackName="s")["Stacks"][0]["ChangeSetId"] == made["Id"]

    empty = api.create_change_set(StackName="s", ChangeSetName="d", ChangeSetType="UPDATE", UsePreviousTemplate=True)
    described = api.describe_change_set(ChangeSetName=empty["Id"], StackName="s")
    assert described["Status"] == "FAILED"
    assert described["StatusReason"].startswith("The submitted information didn't contain changes.")
    assert [summary["ChangeSetName"] for summary in api.list_change_sets(StackName="s")["Summaries"]] == ["d"]
    for _ in range(2):
        api.delete_change_set(ChangeSetName="d", StackName="s")
    assert api.list_change_sets(StackName="s")["Summaries"] == []


def test_tags_stay_unless_an_empty_list_takes_them_off(api: Any, engine: Engine) -> None:
    create(api, engine, Tags=[{"Key": "team", "Value": "red"}])

    def update(value: str, **options: Any) -> list[dict[str, str]]:
        api.update_stack(StackName="s", TemplateBody=json.dumps(template({"A": parameter(value)})), **options)
        wait(engine, "s")
        tags: list[dict[str, str]] = api.describe_stacks(StackName="s")["Stacks"][0]["Tags"]
        return tags

    assert update("2") == [{"Key": "team", "Value": "red"}]
    assert update("3", Tags=[]) == []


def test_a_deleted_stack_is_known_by_its_id_alone(api: Any, engine: Engine) -> None:
    stack_id = create(api, engine)
    api.delete_stack(StackName="s")
    wait(engine, stack_id)

    api.delete_stack(StackName="s")

    assert api.describe_stacks()["Stacks"] == []
    assert api.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
    assert [stack["StackStatus"] for stack in api.list_stacks()["StackSummaries"]] == ["DELETE_COMPLETE"]


def test_events_come_in_pages_the_latest_first(api: Any, engine: Engine) -> None:
    create(api, engine, body=json.dumps(template({f"R{index}": parameter("1") for index in range(120)})))

    first = api.describe_stack_events(StackName="s")
    engine.requests.stack(REGION, "s").record("CREATE_COMPLETE", "one more, between two pages")
    second = api.describe_stack_events(StackName="s", NextToken=first["NextToken"])

    assert first["StackEvents"][0]["ResourceStatus"] == "CREATE_COMPLETE"
    seen = [event["EventId"] for event in first["StackEvents"] + second["StackEvents"]]
    assert len(seen) == len(set(seen)) == 200
    times = [event["Timestamp"] for event in first["StackEvents"] + second["StackEvents"]]
    assert times == sorted(times, reverse=True)


def test_failures_alone_can_be_asked_for(api: Any, engine: Engine) -> None:
    create(api, engine, body=json.dumps(template({"A": parameter("cannot be created")})))

    events = api.describe_events(StackName="s", Filters={"FailedEvents": True})["OperationEvents"]

    assert [(event["LogicalResourceId"], event["ResourceStatusReason"]) for event in events] == [
        ("A", "this value cannot be created")
    ]


def test_a_template_is_summarised(api: Any) -> None:
    body = template(
        {
            "A": parameter("1"),
            "R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "RoleName": "r"}},
        },
        Parameters={"P": {"Type": "String", "Default": "d", "NoEcho": True}},
    )

    summary = api.get_template_summary(TemplateBody=json.dumps(body))

    assert summary["ResourceTypes"] == ["AWS::IAM::Role", "AWS::SSM::Parameter"]
    assert summary["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert (summary["Parameters"][0]["ParameterKey"], summary["Parameters"][0]["NoEcho"]) == ("P", True)
    assert {
        "ResourceType": "AWS::SSM::Parameter",
        "LogicalResourceIds": ["A"],
        "ResourceIdentifiers": ["Name"],
    } in summary["ResourceIdentifierSummaries"]


def test_the_cdk_cli_is_told_when_a_stack_is_ready_and_others_at_once(
    api: Any, application: InProcess, engine: Engine
) -> None:
    create(api, engine)
    release = threading.Event()
    engine.handler.before_update = lambda _name: release.wait(20)
    api.update_stack(StackName="s", TemplateBody=json.dumps(template({"A": parameter("2")})))

    assert api.describe_stacks(StackName="s")["Stacks"][0]["StackStatus"] == "UPDATE_IN_PROGRESS"
    threading.Timer(0.2, release.set).start()
    began = time.monotonic()
    patient = client(application, "cloudformation", "aws-cdk/2.1148.1").describe_stacks(StackName="s")

    assert patient["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    assert time.monotonic() - began < 10


def test_a_fault_of_the_engine_is_an_answer(
    api: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine.requests, "stack", lambda *_: 1 / 0)

    with pytest.raises(ClientError) as refusal:
        api.describe_stacks(StackName="s")

    assert error_of(refusal)[0] == "InternalFailure"
    assert "ZeroDivisionError" in caplog.text


# -- moto's own services


def test_what_moto_does_not_carry_is_an_answer_in_both_protocols(application: InProcess) -> None:
    with pytest.raises(ClientError, match="has not been implemented") as refusal:
        client(application, "elasticache").describe_events()
    assert error_of(refusal)[0] == "NotImplemented"
    with pytest.raises(ClientError, match="has not been implemented") as refusal:
        client(application, "ssm").get_calendar_state(CalendarNames=["c"])
    assert error_of(refusal)[0] == "NotImplemented"


def test_a_back_end_that_breaks_is_an_answer(
    application: InProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("moto.ssm.models.SimpleSystemManagerBackend.get_parameter", lambda *_: 1 / 0)

    with pytest.raises(ClientError, match="the back end broke: ZeroDivisionError"):
        client(application, "ssm").get_parameter(Name="/p")
    assert "POST / broke" in caplog.text


def breaking(times: int, message: str = "dictionary changed size during iteration") -> Any:
    """Return a method that somebody else's change breaks so many times."""
    left = [RuntimeError(message)] * times

    def method(*_: Any, **__: Any) -> Any:
        if left:
            raise left.pop()
        return []

    return method


def test_what_was_changed_while_it_was_looked_through_is_looked_at_again(
    application: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stacks that are deployed side by side look and change at once, and moto locks nothing."""
    monkeypatch.setattr("moto.cloudwatch.models.CloudWatchBackend.describe_alarms", breaking(3))
    assert client(application, "cloudwatch").describe_alarms()["MetricAlarms"] == []
    monkeypatch.setattr("moto.iam.models.IAMBackend.list_role_policies", breaking(1))
    assert client(application, "iam").list_role_policies(RoleName="r")["PolicyNames"] == []


def test_what_changes_something_is_never_done_twice(application: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moto.cloudwatch.models.CloudWatchBackend.delete_alarms", breaking(1))

    with pytest.raises(ClientError, match="changed size during iteration"):
        client(application, "cloudwatch").delete_alarms(AlarmNames=["a"])


@pytest.mark.parametrize(("times", "message"), [(5, "dictionary changed size during iteration"), (1, "another fault")])
def test_what_goes_on_breaking_is_an_answer(
    application: InProcess, monkeypatch: pytest.MonkeyPatch, times: int, message: str
) -> None:
    monkeypatch.setattr("moto.cloudwatch.models.CloudWatchBackend.describe_alarms", breaking(times, message))

    with pytest.raises(ClientError, match=message):
        client(application, "cloudwatch").describe_alarms()


def test_keys_of_objects_keep_their_slashes(application: InProcess) -> None:
    s3 = client(application, "s3")
    s3.create_bucket(Bucket="bucket")
    for key in ("a//b", "ä +%2F", "plain"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"my_key": "x"})

    assert [found["Key"] for found in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["a//b", "plain", "ä +%2F"]
    assert s3.get_object(Bucket="bucket", Key="ä +%2F")["Body"].read() == "ä +%2F".encode()
    assert s3.head_object(Bucket="bucket", Key="a//b")["Metadata"] == {"my_key": "x"}


def test_a_template_may_lie_in_s3(api: Any, application: InProcess, engine: Engine) -> None:
    engine.world.clients = ServerClients("http://127.0.0.1:1", application)
    engine.world.clients.client("s3", REGION).create_bucket(Bucket="bucket")
    engine.world.clients.client("s3", REGION).put_object(Bucket="bucket", Key="t/x.json", Body=BODY.encode())
    for index, url in enumerate(
        (
            "https://s3.us-east-1.amazonaws.com/bucket/t/x.json",
            "https://bucket.s3.us-east-1.amazonaws.com/t/x.json",
            "http://127.0.0.1:4610/bucket/t/x.json",
            "s3://bucket/t/x.json",
        )
    ):
        summary = api.validate_template(TemplateURL=url)
        assert summary["Description"] == "what it is", (index, url)

    with pytest.raises(ClientError, match=r"S3 error: .*template https://s3\.us-east-1\.amazonaws\.com/bucket/missing"):
        api.validate_template(TemplateURL="https://s3.us-east-1.amazonaws.com/bucket/missing")
