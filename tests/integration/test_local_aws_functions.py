"""Custom resources under the real CDK CLI: made, changed, replaced, rolled back and removed by their own handler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.integration.local_aws_process import ACCOUNT, REGION, Assembly, Cli, LocalAwsProcess

pytestmark = pytest.mark.integration

# Keeps a parameter by the resource's name, and gives it another physical id when the name changes.
HANDLER = dedent(
    """
    import boto3, cfnresponse

    ssm = boto3.client("ssm")

    def handler(event, context):
        wanted = event["ResourceProperties"]
        if event["RequestType"] == "Delete":
            ssm.delete_parameters(Names=[event["PhysicalResourceId"]])
            return cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, event["PhysicalResourceId"])
        if wanted["Value"] == "impossible":
            return cfnresponse.send(event, context, cfnresponse.FAILED, {}, wanted["Name"], reason="this value is impossible")
        ssm.put_parameter(Name=wanted["Name"], Value=wanted["Value"], Type="String", Overwrite=True)
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {"Shout": wanted["Value"].upper()}, wanted["Name"])
    """
)


def stack(name: str, value: str) -> dict[str, Any]:
    assume = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Timeout": 30,
        "Code": {"ZipFile": HANDLER},
    }
    own = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Name": name, "Value": value}
    heard = {"Type": "String", "Name": "/heard", "Value": {"Fn::GetAtt": ["Own", "Shout"]}}
    return {
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [assume]}}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "Own": {"Type": "Custom::Parameter", "Properties": own},
            "Heard": {"Type": "AWS::SSM::Parameter", "Properties": heard},
        },
        "Outputs": {"Own": {"Value": {"Ref": "Own"}}},
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalAwsProcess]:
    server = LocalAwsProcess(tmp_path / "state")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_a_custom_resources_life(server: LocalAwsProcess, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    cli = Cli(server, tmp_path / "home")
    cli.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    assembly = Assembly(tmp_path / "cdk.out")

    def deploy(name: str, value: str, *, succeeds: bool = True) -> str:
        return cli.deploy(assembly.write({"custom": stack(name, value)}), succeeds=succeeds)

    def parameters() -> dict[str, str]:
        kept: dict[str, str] = server.inventory()["parameters"]
        return {name: value for name, value in kept.items() if not name.startswith("/cdk-bootstrap/")}

    assert "custom.Own = /first" in deploy("/first", "one")
    assert parameters() == {"/first": "one", "/heard": "ONE"}

    deploy("/first", "two")
    assert parameters() == {"/first": "two", "/heard": "TWO"}

    assert "custom.Own = /second" in deploy("/second", "two")
    assert parameters() == {"/second": "two", "/heard": "TWO"}  # the one that was replaced is gone

    assert "this value is impossible" in deploy("/second", "impossible", succeeds=False)
    assert server.status("custom") == "UPDATE_ROLLBACK_COMPLETE"
    assert parameters() == {"/second": "two", "/heard": "TWO"}

    cli.destroy(assembly.folder)
    assert parameters() == {}
