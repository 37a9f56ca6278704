"""Custom resources: CloudFormation's protocol, carried out by the function's own handler in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import pytest

from local_aws.functions.runner import FunctionNotRunnableError
from local_aws.resources.contract import Made
from local_aws.resources.custom import CustomResourceError
from local_aws.resources.registry import handler_for
from tests.unit.local_aws.resources.world import StackContext, World, archive

# Answers as AWS's own helper does, by an upload; `answer` and `data` are what each handler below makes of the request.
ANSWERING = dedent(
    """
    import json, urllib.request

    def put(event, **answer):
        answer = {"Status": "SUCCESS", "PhysicalResourceId": event.get("PhysicalResourceId", "first"), **{
            name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}, **answer}
        body = json.dumps({name: value for name, value in answer.items() if value is not None}).encode()
        request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})
        urllib.request.urlopen(request).close()

    """
)
ECHO = ANSWERING + "def handler(event, context):\n    put(event, Data={'Request': json.dumps(event)})\n"


def custom(world: World, source: str, **properties: Any) -> tuple[StackContext, dict[str, Any]]:
    function = world.function(source, Timeout=20)
    return StackContext(world, "Certificates"), {"ServiceToken": function.attributes["Arn"], **properties}


def request_of(made: Made) -> Mapping[str, Any]:
    return json.loads(made.attributes["Request"])  # type: ignore[no-any-return]


HANDLER = handler_for("Custom::Certificates")


def test_a_creation_is_told_as_cloudformation_tells_it(world: World) -> None:
    context, properties = custom(world, ECHO, Names=["a", "b"], Days=30, Force=True)
    made = HANDLER.create(context, properties)
    request = request_of(made)
    assert made.physical_id == "first"
    assert request["RequestType"] == "Create"
    assert request["ResourceType"] == "Custom::Certificates"
    assert request["LogicalResourceId"] == "Certificates"
    assert request["StackId"] == context.stack_id
    assert request["ResourceProperties"] == {
        "ServiceToken": properties["ServiceToken"],
        "Names": ["a", "b"],
        "Days": "30",
        "Force": "true",
    }
    assert request["ResponseURL"].startswith("http://127.0.0.1:")
    assert "PhysicalResourceId" not in request


def test_a_change_tells_the_old_properties_and_the_physical_id(world: World) -> None:
    context, old = custom(world, ECHO, Days=30)
    made = HANDLER.create(context, old)
    changed = HANDLER.update(context, made, old, {**old, "Days": 60})
    request = request_of(changed)
    assert (request["RequestType"], request["PhysicalResourceId"]) == ("Update", "first")
    assert (request["OldResourceProperties"]["Days"], request["ResourceProperties"]["Days"]) == ("30", "60")


def test_an_answer_with_another_physical_id_is_a_replacement(world: World) -> None:
    source = (
        ANSWERING
        + "def handler(event, context):\n    put(event, PhysicalResourceId=event['ResourceProperties']['Name'])\n"
    )
    context, old = custom(world, source, Name="one")
    made = HANDLER.create(context, old)
    assert HANDLER.update(context, made, old, {**old, "Name": "two"}).physical_id == "two"


def test_only_new_tags_ask_the_handler_nothing(world: World) -> None:
    context, properties = custom(world, "def handler(event, context):\n    raise RuntimeError\n")
    made = Made("first", {"A": "b"})
    assert HANDLER.update(context, made, properties, properties) == made


def test_another_service_token_is_refused(world: World) -> None:
    context, properties = custom(world, ECHO)
    with pytest.raises(CustomResourceError, match="Modifying service token is not allowed"):
        HANDLER.update(
            context, Made("first"), properties, {"ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:other"}
        )


def test_a_deletion_tells_the_physical_id(world: World) -> None:
    source = ANSWERING + dedent(
        """
        import boto3
        def handler(event, context):
            if event["RequestType"] == "Delete":
                boto3.client("sns").create_topic(Name="deleted-" + event["PhysicalResourceId"])
            put(event)
        """
    )
    context, properties = custom(world, source)
    HANDLER.delete(context, HANDLER.create(context, properties), properties)
    assert [topic["TopicArn"].rpartition(":")[2] for topic in world.client("sns").list_topics()["Topics"]] == [
        "deleted-first"
    ]


def test_a_failure_tells_its_reason_and_what_was_begun_is_asked_to_go(world: World) -> None:
    source = ANSWERING + dedent(
        """
        import boto3
        def handler(event, context):
            if event["RequestType"] == "Create":
                put(event, Status="FAILED", Reason="no authority", PhysicalResourceId="half")
            else:
                boto3.client("sns").create_topic(Name=event["RequestType"] + "-" + event["PhysicalResourceId"])
                put(event)
        """
    )
    context, properties = custom(world, source)
    with pytest.raises(
        CustomResourceError, match=r"Received response status \[FAILED\] .* Message returned: no authority"
    ):
        HANDLER.create(context, properties)
    assert [topic["TopicArn"].rpartition(":")[2] for topic in world.client("sns").list_topics()["Topics"]] == [
        "Delete-half"
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("raise ValueError('the CA is missing')", "the CA is missing", id="raises"),
        pytest.param("print('said nothing')", "ended without an answer: said nothing", id="says nothing"),
        pytest.param("import os; os._exit(3)", "Runtime exited without an answer, with code 3", id="dies"),
        pytest.param("import no_such_package", "No module named 'no_such_package'", id="asset lacks a package"),
        pytest.param("import moto", "No module named 'moto'", id="the server's packages are not the function's"),
        pytest.param("put(event, PhysicalResourceId=None)", "Invalid PhysicalResourceId", id="no physical id"),
        pytest.param("put(event, Status='FINE')", "Invalid Status", id="unknown status"),
        pytest.param("put(event, RequestId='another')", "RequestId is not the request's", id="another's answer"),
        pytest.param("put(event, Data={'a': 'b' * 5000})", "Response object is too long", id="too long"),
        pytest.param("put(event, Data=['a'])", "Data is not an object", id="data is a list"),
    ],
)
def test_what_breaks_the_protocol_fails_with_the_reason(world: World, body: str, message: str) -> None:
    context, properties = custom(world, f"{ANSWERING}def handler(event, context):\n    {body}\n")
    with pytest.raises(CustomResourceError) as raised:
        HANDLER.create(context, properties)
    assert message in str(raised.value)


def test_a_handler_that_never_ends_is_ended(world: World) -> None:
    context, properties = custom(
        world, "import time\ndef handler(event, context):\n    time.sleep(60)\n", ServiceTimeout="1"
    )
    with pytest.raises(CustomResourceError, match=r"Task timed out after 1\.00 seconds"):
        HANDLER.delete(context, Made("first"), properties)


def test_a_token_that_names_no_function_is_refused(world: World) -> None:
    for token in ("arn:aws:lambda:us-east-1:123456789012:function:none", "arn:aws:sns:us-east-1:123456789012:topic"):
        with pytest.raises(CustomResourceError, match="there is no function arn:aws:"):
            HANDLER.create(StackContext(world), {"ServiceToken": token})


def test_cfnresponse_answers_for_code_inside_the_template(world: World) -> None:
    source = "import cfnresponse\ndef handler(event, context):\n    cfnresponse.send(event, context, cfnresponse.SUCCESS, {'A': 'b'}, 'inline')\n"
    function = world.make(
        "AWS::Lambda::Function",
        Handler="index.handler",
        Runtime="python3.13",
        Role=world.role().attributes["Arn"],
        Timeout=20,
        Code={"ZipFile": source},
    )
    made = handler_for("AWS::CloudFormation::CustomResource").create(
        StackContext(world), {"ServiceToken": function.attributes["Arn"]}
    )
    assert made == Made("inline", {"A": "b"})


def test_a_handler_finds_its_environment_its_layer_and_this_server(world: World) -> None:
    source = ANSWERING + dedent(
        """
        import os, boto3, shared
        def handler(event, context):
            put(event, Data={
                "Shared": shared.VALUE,
                "Own": os.environ["OWN"],
                "Region": os.environ["AWS_REGION"],
                "Name": context.function_name,
                "Left": context.get_remaining_time_in_millis() > 1000,
                "Account": boto3.client("sts").get_caller_identity()["Account"],
                "Inherited": [name for name in os.environ if name.startswith("PYTEST")],
            })
        """
    )
    layer = world.make(
        "AWS::Lambda::LayerVersion", Content=world.asset(archive("VALUE = 7\n", "python/shared.py"), "layer.zip")
    )
    function = world.function(
        source, Timeout=20, Layers=[layer.physical_id], Environment={"Variables": {"OWN": "value"}}
    )
    made = HANDLER.create(StackContext(world), {"ServiceToken": function.attributes["Arn"]})
    assert made.attributes == {
        "Shared": 7,
        "Own": "value",
        "Region": "us-east-1",
        "Name": function.physical_id,
        "Left": True,
        "Account": "123456789012",
        "Inherited": [],
    }


def test_a_function_is_invoked_through_the_api_by_the_same_code(world: World) -> None:
    function = world.function(
        "def handler(event, context):\n    print('working')\n    return {'twice': event['n'] * 2}\n", Timeout=20
    )
    answer = world.client("lambda").invoke(FunctionName=function.physical_id, Payload=json.dumps({"n": 21}))
    assert json.loads(answer["Payload"].read()) == {"twice": 42}
    assert "FunctionError" not in answer
    group = f"/aws/lambda/{function.physical_id}"
    events = world.client("logs").filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in events] == ["working"]


def test_an_invocation_that_raises_says_so(world: World) -> None:
    function = world.function("def handler(event, context):\n    raise KeyError('subject')\n", Timeout=20)
    answer = world.client("lambda").invoke(FunctionName=function.physical_id, Payload="{}")
    assert answer["FunctionError"]
    assert json.loads(answer["Payload"].read())["errorType"] == "KeyError"


def test_only_functions_in_python_are_run(world: World) -> None:
    function = world.function("exports.handler = 1", Timeout=20)
    world.client("lambda").update_function_configuration(FunctionName=function.physical_id, Runtime="nodejs22.x")
    with pytest.raises(FunctionNotRunnableError, match=r"runtime nodejs22\.x is not carried"):
        HANDLER.create(StackContext(world), {"ServiceToken": function.attributes["Arn"]})
