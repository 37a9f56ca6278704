"""The whole way: `fleet deploy` of the product's own catalog to the local AWS with the real CDK CLI, through a service's life.

The tests of this module share one deployed environment and run in the order in which they stand here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NEW = "loot-nats"
DEADLINE_SECONDS = 400
IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", ".local", "cdk.out", "tests", "docs", "__pycache__", ".*_cache", ".hypothesis"
)


class Checkout:
    """A checkout of its own, with the installed packages of this one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.Popen(
            [sys.executable, "-m", "fleet", *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fleet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
        except BaseException:
            process.terminate()
            process.communicate(timeout=30)
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def good(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.fleet(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """Run a target of the Makefile, but for the set-up: it would turn the shared environment to this checkout."""
        return subprocess.run(
            ["make", "-o", "setup", target],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def cdk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CDK CLI as somebody would by hand, with the local AWS's address in the environment."""
        status = json.loads(self.good("local", "status", "--format", "json").stdout)
        environment = {
            **os.environ,
            "PATH": f"{self.root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": status["endpoint"],
            "AWS_REGION": status["region"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        return subprocess.run(
            ["node", "node_modules/aws-cdk/bin/cdk", *arguments, "-c", "env=local", "--no-notices"],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def verified(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.good("verify", "--format", "json").stdout)
        return report

    def client(self, service: str) -> Any:
        """Return a client as any program would make it, of what `fleet local status` tells."""
        status = json.loads(self.good("local", "status", "--format", "json").stdout)
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=status["endpoint"],
            region_name=status["region"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    root = tmp_path_factory.mktemp("deploy") / "checkout"
    shutil.copytree(ROOT, root, ignore=IGNORED)
    for name in (".venv", "node_modules"):
        (root / name).symlink_to(ROOT / name)
    checkout = Checkout(root)
    try:
        yield checkout
    finally:
        checkout.fleet("local", "stop", "--forget")
        assert left_over(root) == []


def left_over(root: Path) -> list[list[str]]:
    """Return the processes that work in a checkout."""
    return [
        process.info["cmdline"]
        for process in psutil.process_iter(["cwd", "cmdline", "status"])
        if process.info["cwd"] == str(root) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def alarm_names(checkout: Checkout, service: str) -> list[str]:
    found = checkout.client("cloudwatch").describe_alarms(AlarmNamePrefix=service)["MetricAlarms"]
    return sorted(alarm["AlarmName"] for alarm in found)


def test_the_whole_catalog_is_deployed_and_verified(checkout: Checkout) -> None:
    done = checkout.good("deploy", "--no-plane")
    assert re.search(r"deploy \d+ stacks: .*\d+ created", done.stderr), done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "deployed; running tasks: not claimed by the local AWS",
        "22 of 22 services deployed with two replicas each; 66 of 66 alarms wired to gaming-system-alerts-local",
    ]
    assert alarm_names(checkout, "ai-integration-nats") == [
        f"ai-integration-nats-{kind}-local" for kind in ("cpu-high", "memory-high", "tasks-low")
    ]


def test_a_second_deployment_has_nothing_to_change(checkout: Checkout) -> None:
    assert "nothing to change" in checkout.good("deploy", "--no-plane").stderr


def test_the_cdk_cli_sees_no_difference(checkout: Checkout, ran_from_readme: Callable[[str], None]) -> None:
    done = checkout.make("diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Number of stacks with differences: 0" in done.stdout
    ran_from_readme("make diff")


def test_a_failed_deployment_says_what_failed_and_why(
    checkout: Checkout, ran_from_readme: Callable[[str], None]
) -> None:
    added = f'catalog add {NEW} --group game --description "Rolls the loot." --owner game-core'
    checkout.good(*shlex.split(added))
    ran_from_readme(f"fleet {added}")
    role = {"RoleName": f"gaming-system-local-{NEW}", "AssumeRolePolicyDocument": "{}"}
    checkout.client("iam").create_role(**role)
    done = checkout.fleet("deploy", "--no-plane")
    assert done.returncode == 1
    told = done.stderr.partition("what failed first, and why")[2]
    assert re.search(r"gaming-system-local-services-game: LootNats/\S*Role \(AWS::IAM::Role\)", told), told
    assert f"gaming-system-local-{NEW} already exists" in told
    wanting = checkout.fleet("verify", "--format", "json")
    assert wanting.returncode == 1
    report = json.loads(wanting.stdout)
    assert {
        check["subject"] for check in report["checks"] if check["id"] == "service.exists" and check["status"] != "ok"
    } == {NEW}
    checkout.client("iam").delete_role(RoleName=f"gaming-system-local-{NEW}")


def test_the_next_try_adds_the_service_with_its_alarms(checkout: Checkout) -> None:
    done = checkout.good("deploy", "--no-plane")
    assert done.stdout.splitlines()[-1] == (
        "23 of 23 services deployed with two replicas each; 69 of 69 alarms wired to gaming-system-alerts-local"
    )
    assert len(alarm_names(checkout, NEW)) == 3


def test_an_interrupted_deployment_leaves_nothing_running(checkout: Checkout) -> None:
    checkout.good("catalog", "disable", NEW, "--reason", "nobody plays yet")
    process = checkout.start("deploy", "--no-plane")
    assert process.stderr is not None
    for line in process.stderr:
        if "✅" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    deadline = time.monotonic() + 20
    while len(left_over(checkout.root)) > 1:  # the local AWS itself stays
        assert time.monotonic() < deadline, left_over(checkout.root)
        time.sleep(0.1)


def test_a_disabled_service_is_gone_with_its_alarms(checkout: Checkout) -> None:
    done = checkout.good("deploy", "--no-plane")
    assert done.stdout.splitlines()[-1].startswith("22 of 22 services deployed")
    assert alarm_names(checkout, NEW) == []
    rows = {row["service"]: row for row in checkout.verified()["services"]}
    assert (rows[NEW]["enabled"], rows[NEW]["reason"], rows[NEW]["counts"]) == (False, "nobody plays yet", None)


def test_what_is_deployed_outlives_the_local_aws(checkout: Checkout) -> None:
    checkout.good("local", "stop")
    assert checkout.fleet("verify").returncode == 2
    checkout.good("local", "start")
    assert checkout.verified()["good"]


def test_a_plain_cdk_deploy_removes_disables_and_renames_services(checkout: Checkout) -> None:
    """The three that lean on other stacks in three ways: a secret of its own, none, and a load balancer."""
    catalog = checkout.root / "service_catalog.yaml"
    removed, renamed, disabled = "body-broker-integration-nats", "payment-nats", "http-nats-gateway"
    text = catalog.read_text(encoding="utf-8")
    text = re.sub(rf"\n  {removed}:\n(    .*\n|\n)*", "\n", text)
    text = text.replace(f"\n  {renamed}:\n", "\n  billing-nats:\n")
    catalog.write_text(text, encoding="utf-8")
    checkout.good("catalog", "disable", disabled, "--reason", "the door stays shut tonight")

    done = checkout.cdk("deploy", "--all", "--require-approval", "never", "--concurrency", "4")

    assert done.returncode == 0, done.stdout + done.stderr
    report = checkout.verified()
    assert report["verdict"].startswith("20 of 20 services deployed")
    assert alarm_names(checkout, removed) + alarm_names(checkout, renamed) + alarm_names(checkout, disabled) == []
    assert len(alarm_names(checkout, "billing-nats")) == 3


def test_destroying_leaves_no_stack_and_no_service(checkout: Checkout) -> None:
    done = checkout.good("destroy", "--yes")
    assert done.stdout.splitlines()[-1].endswith("resources retained")
    stacks = checkout.client("cloudformation").describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks] == ["CDKToolkit"]
    assert alarm_names(checkout, "ai-integration-nats") == []
    assert checkout.fleet("verify").returncode == 1
