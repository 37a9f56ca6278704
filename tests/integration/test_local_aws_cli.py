"""The real CDK CLI against a real server: every operation that the product stands on."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.integration.local_aws_process import ACCOUNT, REGION, ROOT, Assembly, Cli, LocalAwsProcess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAwsProcess]:
    server = LocalAwsProcess(tmp_path_factory.mktemp("local-aws") / "state")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def cli(server: LocalAwsProcess, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(server, tmp_path_factory.mktemp("home"))
    assert "bootstrapped" in cli.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    return cli


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    return Assembly(tmp_path / "cdk.out")


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    attributes = {key: more.pop(key) for key in list(more) if key in {"DependsOn", "DeletionPolicy"}}
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **more}, **attributes}


def topic(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SNS::Topic", "Properties": properties}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def test_a_stacks_life(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    """Create, no-op, diff, update in place, replacement passed on, add, remove, destroy."""

    def version(value: str, topic_name: str, **more: Any) -> Path:
        resources = {
            "Plain": parameter(value, Name="/life/plain"),
            "Topic": topic(TopicName=topic_name),
            "User": parameter(ref("Topic"), Name="/life/user"),
        }
        return assembly.write(
            {"life": {"Resources": {**resources, **more}, "Outputs": {"Topic": {"Value": ref("Topic")}}}}
        )

    untouched = server.inventory()
    printed = cli.deploy(version("one", "first"))
    assert f"life.Topic = arn:aws:sns:{REGION}:{ACCOUNT}:first" in printed
    assert server.inventory()["parameters"]["/life/plain"] == "one"

    assert "life (no changes)" in cli.deploy(version("one", "first"))

    printed = cli.run("--app", str(version("two", "second")), "diff", "life")
    assert re.search(r"\[~\] AWS::SNS::Topic Topic.*replace", printed, re.IGNORECASE)
    assert "Number of stacks with differences: 1" in printed
    assert server.inventory()["parameters"]["/life/plain"] == "one", "a diff changes nothing"

    cli.deploy(version("two", "second"))
    inventory = server.inventory()
    assert inventory["parameters"]["/life/plain"] == "two"
    assert inventory["parameters"]["/life/user"].endswith(":second"), "those that refer to what was replaced follow"
    assert {arn.rpartition(":")[2] for arn in inventory["topics"]} == {"second"}, "what was replaced is gone"

    cli.deploy(version("two", "second", Added=parameter("new", Name="/life/added")))
    assert server.inventory()["parameters"]["/life/added"] == "new"

    cli.deploy(version("two", "second", Kept=parameter("stays", Name="/life/kept", DeletionPolicy="Retain")))
    assert "/life/added" not in server.inventory()["parameters"]

    cli.destroy(assembly.folder)
    left = server.inventory()
    assert left["parameters"].pop("/life/kept") == "stays", "what is retained, and nothing else, remains"
    # Assets stay in the bucket of the bootstrap stack; everything else is as it was.
    assert left == untouched
    server.client("ssm").delete_parameter(Name="/life/kept")


def test_a_failed_create_leaves_nothing_and_the_next_try_works(
    cli: Cli, server: LocalAwsProcess, assembly: Assembly
) -> None:
    server.client("ssm").put_parameter(Name="/taken", Type="String", Value="by somebody else")
    before = server.inventory()
    written = assembly.write(
        {
            "retried": {
                "Resources": {
                    "First": topic(TopicName="retried"),
                    "Second": parameter("v", Name="/taken", DependsOn="First"),
                }
            }
        }
    )

    printed = cli.deploy(written, succeeds=False)

    assert "Second" in printed, "the resource is named"
    assert "already exists" in printed, "and why it failed"
    assert server.status("retried") == "ROLLBACK_COMPLETE"
    assert server.inventory() == before

    server.client("ssm").delete_parameter(Name="/taken")
    cli.deploy(written)
    assert server.status("retried") == "CREATE_COMPLETE"
    cli.destroy(written)


def test_a_failed_update_is_rolled_back_to_the_same_inventory(
    cli: Cli, server: LocalAwsProcess, assembly: Assembly
) -> None:
    server.client("ssm").put_parameter(Name="/taken", Type="String", Value="by somebody else")
    cli.deploy(
        assembly.write(
            {
                "back": {
                    "Resources": {"Value": parameter("one", Name="/back/value"), "Topic": topic(TopicName="back-one")}
                }
            }
        )
    )
    before = server.inventory()

    broken = {
        "Value": parameter("two", Name="/back/value"),
        "Topic": topic(TopicName="back-two"),
        "Broken": parameter("v", Name="/taken", DependsOn=["Value", "Topic"]),
    }
    printed = cli.deploy(assembly.write({"back": {"Resources": broken}}), succeeds=False)

    assert "Broken" in printed
    assert server.status("back") == "UPDATE_ROLLBACK_COMPLETE"
    assert server.inventory() == before
    server.client("ssm").delete_parameter(Name="/taken")
    cli.deploy(assembly.folder)
    assert server.inventory()["parameters"]["/back/value"] == "two"
    cli.destroy(assembly.folder)


def test_without_roll_back_the_next_try_goes_on(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    server.client("ssm").put_parameter(Name="/taken", Type="String", Value="by somebody else")
    written = assembly.write(
        {
            "paused": {
                "Resources": {
                    "First": parameter("v", Name="/paused/first"),
                    "Second": parameter("v", Name="/taken", DependsOn="First"),
                }
            }
        }
    )
    cli.deploy(written, "--no-rollback", succeeds=False)
    assert server.status("paused") == "CREATE_FAILED"
    assert "/paused/first" in server.inventory()["parameters"]

    server.client("ssm").delete_parameter(Name="/taken")
    cli.deploy(written, "--no-rollback")
    assert server.status("paused") == "UPDATE_COMPLETE"

    server.client("ssm").put_parameter(Name="/taken-too", Type="String", Value="by somebody else")
    cli.deploy(
        assembly.write(
            {
                "paused": {
                    "Resources": {
                        "First": parameter("w", Name="/paused/first"),
                        "Third": parameter("v", Name="/taken-too", DependsOn="First"),
                    }
                }
            }
        ),
        "--no-rollback",
        succeeds=False,
    )
    assert server.status("paused") == "UPDATE_FAILED"
    cli.run("--app", str(assembly.folder), "rollback", "paused")
    assert server.status("paused") == "UPDATE_ROLLBACK_COMPLETE"
    assert server.inventory()["parameters"]["/paused/first"] == "v"
    cli.destroy(assembly.folder)
    server.client("ssm").delete_parameter(Name="/taken-too")


def test_parameters_and_conditions(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    written = assembly.write(
        {
            "given": {
                "Parameters": {"Size": {"Type": "String", "Default": "small", "AllowedValues": ["small", "big"]}},
                "Conditions": {"Big": {"Fn::Equals": [ref("Size"), "big"]}},
                "Resources": {
                    "A": parameter(ref("Size"), Name="/given/size"),
                    "B": {**parameter("x", Name="/given/big"), "Condition": "Big"},
                },
            }
        }
    )
    cli.deploy(written)
    assert server.inventory()["parameters"]["/given/size"] == "small"

    cli.deploy(written, "--parameters", "given:Size=big")
    assert {"/given/size", "/given/big"} <= server.inventory()["parameters"].keys()

    assert "(no changes)" in cli.deploy(written), "the previous value is used"
    assert "must be one of AllowedValues: [small, big]" in cli.deploy(
        written, "--parameters", "given:Size=huge", succeeds=False
    )
    cli.deploy(written, "--parameters", "given:Size=small")
    assert "/given/big" not in server.inventory()["parameters"]
    cli.destroy(written)


def test_a_value_that_changed_in_ssm_is_deployed(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    server.client("ssm").put_parameter(Name="/input", Type="String", Value="one")
    written = assembly.write(
        {
            "reader": {
                "Parameters": {"Input": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/input"}},
                "Resources": {"A": parameter(ref("Input"), Name="/reader")},
            }
        }
    )
    cli.deploy(written)
    assert "(no changes)" in cli.deploy(written)

    server.client("ssm").put_parameter(Name="/input", Type="String", Value="two", Overwrite=True)
    cli.deploy(written)

    assert server.inventory()["parameters"]["/reader"] == "two"
    cli.destroy(written)
    server.client("ssm").delete_parameter(Name="/input")


def test_exports_are_kept_while_in_use(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    def version(**output: Any) -> Path:
        producer = {"Resources": {"Topic": topic(TopicName="exported")}, **output}
        consumer = {
            "Resources": {"A": parameter({"Fn::ImportValue": "shared-topic"}, Name="/imported")},
            "depends": ["producer"],
        }
        return assembly.write({"producer": producer, "consumer": consumer})

    export = {"Outputs": {"Topic": {"Value": ref("Topic"), "Export": {"Name": "shared-topic"}}}}
    cli.deploy(version(**export))
    assert server.inventory()["parameters"]["/imported"].endswith(":exported")

    printed = cli.run(
        "--app", str(version()), "deploy", "producer", "--exclusively", "--require-approval", "never", succeeds=False
    )
    assert "Export shared-topic cannot be deleted as it is in use by consumer" in printed
    assert server.status("producer") == "UPDATE_ROLLBACK_COMPLETE"

    with pytest.raises(ClientError, match="in use by consumer") as refusal:
        server.client("cloudformation").delete_stack(StackName="producer")
    assert refusal.value.response["Error"]["Code"] == "ValidationError"
    assert server.client("cloudformation").list_imports(ExportName="shared-topic")["Imports"] == ["consumer"]

    cli.destroy(version(**export))
    assert "/imported" not in server.inventory()["parameters"]


def test_a_file_is_published_before_its_stack(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    written = assembly.write(
        {"filed": {"Resources": {"A": parameter("v", Name="/filed")}, "files": {"hello.txt": "hello, world"}}}
    )

    cli.deploy(written)

    bucket = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
    assert server.client("s3").get_object(Bucket=bucket, Key="hello.txt")["Body"].read() == b"hello, world"
    cli.destroy(written)


def test_tags_reach_the_resources_and_change_with_the_stack(
    cli: Cli, server: LocalAwsProcess, assembly: Assembly
) -> None:
    def version(tags: dict[str, str]) -> Path:
        return assembly.write({"tagged": {"Resources": {"Topic": topic(TopicName="tagged")}, "tags": tags}})

    def tags() -> dict[str, str]:
        answer = server.client("sns").list_tags_for_resource(ResourceArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:tagged")
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"] if not tag["Key"].startswith("aws:")}

    cli.deploy(version({"team": "red", "cost": "1"}))
    assert tags() == {"team": "red", "cost": "1"}

    cli.deploy(version({"team": "blue"}))

    assert tags() == {"team": "blue"}
    assert "(no changes)" in cli.deploy(assembly.folder)
    cli.deploy(version({}))
    assert tags() == {}
    cli.destroy(assembly.folder)


def test_stacks_in_parallel(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    stacks: dict[str, dict[str, Any]] = {
        f"wide-{index}": {"Resources": {"A": parameter("v", Name=f"/wide/{index}")}} for index in range(6)
    }
    stacks["last"] = {"Resources": {"A": parameter("v", Name="/wide/last")}, "depends": list(stacks)}

    cli.deploy(assembly.write(stacks), "--concurrency", "4")

    assert {name: server.status(name) for name in stacks} == dict.fromkeys(stacks, "CREATE_COMPLETE")
    cli.destroy(assembly.folder, "--concurrency", "4")
    assert not [name for name in server.inventory()["parameters"] if name.startswith("/wide/")]


def test_direct_deployment(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    def version(value: str) -> Path:
        return assembly.write({"direct": {"Resources": {"A": parameter(value, Name="/direct")}}})

    cli.deploy(version("one"), "--method", "direct")
    cli.deploy(version("two"), "--method", "direct")
    assert "(no changes)" in cli.deploy(assembly.folder, "--method", "direct", "--force")

    assert server.inventory()["parameters"]["/direct"] == "two"
    cli.destroy(assembly.folder)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (
            {"Type": "AWS::QLDB::Ledger", "Properties": {"PermissionsMode": "STANDARD"}},
            "AWS::QLDB::Ledger is not carried by the local AWS",
        ),
        (parameter("v", Colour="red"), "Encountered unsupported property Colour"),
    ],
)
def test_what_is_not_carried_is_named_and_leaves_no_stack(
    cli: Cli, server: LocalAwsProcess, assembly: Assembly, resource: dict[str, Any], message: str
) -> None:
    assert message in cli.deploy(assembly.write({"refused": {"Resources": {"A": resource}}}), succeeds=False)

    with pytest.raises(ClientError, match="Stack with id refused does not exist"):
        server.status("refused")


def test_an_operation_that_is_not_carried_says_so(server: LocalAwsProcess) -> None:
    with pytest.raises(ClientError, match="CreateStackSet is not carried by the local AWS"):
        server.client("cloudformation").create_stack_set(StackSetName="s", TemplateBody="{}")
    with pytest.raises(ClientError, match="StackPolicyBody is not carried by the local AWS"):
        server.client("cloudformation").create_stack(StackName="s", TemplateBody="{}", StackPolicyBody="{}")


def test_a_deployment_survives_the_server(cli: Cli, server: LocalAwsProcess, assembly: Assembly) -> None:
    """Killed or stopped, the server comes back at the same address with everything that it had."""
    written = assembly.write(
        {
            "survivor": {
                "Resources": {"A": parameter("v", Name="/survivor"), "B": topic(TopicName="survivor")},
                "Outputs": {"B": {"Value": ref("B")}},
            }
        }
    )
    cli.deploy(written)
    before, endpoint = server.inventory(), server.address()["endpoint"]

    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    assert server.address()["endpoint"] == endpoint
    assert server.inventory() == before
    assert "(no changes)" in cli.deploy(written)

    server.client("ssm").put_parameter(Name="/by-hand", Type="String", Value="v")
    assert server.stop(signal.SIGTERM) == 0
    assert not (server.state / "server.json").exists()
    server.start()
    assert server.inventory()["parameters"].pop("/by-hand") == "v", "also what no stack made is kept"
    cli.destroy(written)


def test_the_server_listens_on_loopback_alone(server: LocalAwsProcess) -> None:
    assert server.process is not None
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(server.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening == ["127.0.0.1"]


def test_a_second_server_is_refused_in_plain_words(server: LocalAwsProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local_aws", "serve", "--state", server.state],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert re.fullmatch(
        rf"local AWS: a local AWS runs on .* already \(pid {server.address()['pid']}, http://127\.0\.0\.1:\d+\); .*\n",
        done.stderr,
    )
    assert server.address()["pid"] == server.process.pid if server.process else False


def test_a_damaged_state_and_a_taken_port_are_told_in_plain_words(tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        command = [sys.executable, "-m", "local_aws", "serve", "--state", str(tmp_path), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
        return done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot be taken" in refused("--port", str(taken.getsockname()[1]))
    (tmp_path / "state.bin").write_bytes(b"no state")
    assert "it is damaged; remove the file to begin anew" in refused()
