"""What the commands print, where, and with which exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from catalog import load_environment
from fleet.account import Account
from fleet.cli.app import app
from fleet.deploy.stacks import DeployedStack
from fleet.local import server
from tests.unit.fleet.right_account import ACCOUNT, SMALL, RightAccount, WithoutTasks, environment
from tests.unit.fleet.test_local_server import make

RUNNER = CliRunner()


def run(*arguments: str) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments], prog_name="fleet")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose user has signed in to no account."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user who has signed in to an account that moto stands for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    "command", [("deploy", "--yes"), ("verify",), ("diff",), ("destroy", "--yes"), ("images", "check")]
)
def test_without_credentials_says_what_to_do(command: tuple[str, ...]) -> None:
    done = run(*command, "--env", "prod")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "no AWS credentials were found, and prod is an environment in AWS" in done.stderr
    assert "aws sso login" in done.stderr


@pytest.mark.usefixtures("nobody")
def test_a_profile_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "typo")
    done = run("verify", "--env", "prod")
    assert done.exit_code == 2
    assert "typo" in done.stderr


@pytest.mark.usefixtures("signed_in")
class TestDeployToAws:
    def test_an_account_that_is_not_prepared_is_refused(self) -> None:
        done = run("deploy", "--env", "prod", "--yes")
        assert done.exit_code == 2
        assert f"cdk bootstrap aws://{ACCOUNT}/us-east-1" in done.stderr
        assert "/gaming-system/prod/alerts/sms" in done.stderr

    def test_another_account_than_the_environments_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        elsewhere = load_environment("prod").model_copy(update={"account": "999999999999"})
        monkeypatch.setattr("fleet.cli.deploy_command.load_environment", lambda _: elsewhere)
        done = run("deploy", "--env", "prod", "--yes")
        assert done.exit_code == 2
        assert f"these credentials belong to account {ACCOUNT}, and prod to account 999999999999" in done.stderr

    def test_without_a_terminal_somebody_must_have_said_yes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fleet.deploy.flow.check_account", lambda *_: None)
        done = run("deploy", "--env", "prod")
        assert done.exit_code == 2
        assert "there is no terminal to ask on" in done.stderr
        assert "YES=1" in done.stderr


def test_an_environment_that_is_not_there_is_told() -> None:
    done = run("deploy", "--env", "prodd")
    assert done.exit_code == 2
    assert "prod" in done.stderr


@pytest.fixture
def deployed(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> RightAccount:
    """The right account as that of `--env local`."""
    for module in ("verify_command", "images_commands", "destroy_command"):
        monkeypatch.setattr(f"fleet.cli.{module}.load_environment", lambda _: environment())
        monkeypatch.setattr(f"fleet.cli.{module}.open_account", lambda _: WithoutTasks(right.session, ACCOUNT))
    monkeypatch.setattr("fleet.verify.scope.LocalPlane.running", lambda _: None)
    return right


def verify(*more: str) -> Result:
    return run("verify", "--env", "test", "--catalog", str(SMALL), *more)


class TestVerify:
    def test_ends_with_the_tables_and_a_plain_verdict(self, deployed: RightAccount) -> None:
        del deployed
        done = verify()
        assert done.exit_code == 0
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["group", "service", "tasks", "alarms", "state"]
        assert lines[1].split() == ["game", "state-manager-nats", "2", "3/3", "deployed"]
        assert lines[2].split()[:3] == ["game", "quest-system-nats", "0"]
        assert "disabled: waits for its messages" in lines[2]
        assert lines[-3:] == [
            "cache: deployed; that it answers: not claimed, since none does here",
            "deployed; running tasks: not claimed by the local AWS",
            "2 of 2 services deployed with two replicas each; 6 of 6 alarms wired to gaming-system-alerts-test",
        ]
        assert "\x1b" not in done.stdout

    def test_tells_once_what_is_wrong_with_many(self, deployed: RightAccount) -> None:
        for kind in ("cpu-high", "memory-high"):
            deployed.put_alarm("state-manager-nats", kind, AlarmActions=[])
        done = verify()
        assert done.exit_code == 1
        told = done.stdout.split("wanting: ")[1].splitlines()
        assert told[0].startswith("alarm.AlarmActions: expected arn:aws:sns:")
        assert told[1] == "  state-manager-nats-cpu-high-test, state-manager-nats-memory-high-test"
        assert told[2] == "  → make deploy ENV=test"
        assert "4 of 6 alarms wired" in done.stdout.splitlines()[-1]

    def test_json_has_every_check(self, deployed: RightAccount) -> None:
        deployed.cloudwatch.delete_alarms(AlarmNames=["state-manager-nats-cpu-high-test"])
        done = verify("--format", "json")
        assert done.exit_code == 1
        told = json.loads(done.stdout)
        assert (told["good"], told["tasks_claimed"], told["environment"]) == (False, False, "test")
        wanting = [check for check in told["checks"] if check["status"] == "wanting"]
        assert [(check["id"], check["subject"]) for check in wanting] == [
            ("alarm.exists", "state-manager-nats-cpu-high-test")
        ]
        rows = {row["service"]: row for row in told["services"]}
        assert rows["state-manager-nats"]["alarms_wired"] == 2

    def test_a_local_aws_that_does_not_run_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("fleet.account.LocalAws", lambda: make(tmp_path))
        done = run("verify")
        assert done.exit_code == 2
        assert "the local AWS does not run\n  start it: fleet local start" in done.stderr


class TestImages:
    def test_push_then_check(self, deployed: RightAccount) -> None:
        del deployed
        options = ("--env", "test", "--catalog", str(SMALL))
        before = run("images", "check", *options)
        assert before.exit_code == 1
        assert before.stdout.splitlines()[-1] == "2 of 2 images missing"
        assert run("images", "push", *options).exit_code == 0
        after = run("images", "check", *options, "--format", "json")
        assert after.exit_code == 0
        assert [one["missing"] for one in json.loads(after.stdout)] == [None, None]
        assert "every image is there already" in run("images", "push", *options).stderr


class TestDestroy:
    @staticmethod
    def stack(*, protected: bool) -> dict[str, DeployedStack]:
        name = "gaming-system-test-network"
        return {name: DeployedStack(name, "CREATE_COMPLETE", datetime.now(UTC), protected)}

    def test_refuses_what_is_protected(self, deployed: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
        del deployed
        monkeypatch.setattr("fleet.cli.destroy_command.read_stacks", lambda _: self.stack(protected=True))
        done = run("destroy", "--env", "test", "--yes")
        assert done.exit_code == 2
        assert "--no-enable-termination-protection --stack-name gaming-system-test-network" in done.stderr

    def test_asks_first(self, deployed: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
        del deployed
        monkeypatch.setattr("fleet.cli.destroy_command.read_stacks", lambda _: self.stack(protected=False))
        done = run("destroy", "--env", "test")
        assert done.exit_code == 2
        assert "there is no terminal to ask on" in done.stderr

    def test_nothing_is_removed_where_nothing_is(self, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fleet.cli.destroy_command.open_account", lambda _: Account(session, ACCOUNT))
        done = run("destroy", "--env", "prod", "--format", "json")
        assert done.exit_code == 0
        assert json.loads(done.stdout) == {"removed": [], "retained": []}


class TestLocal:
    @pytest.fixture(autouse=True)
    def fake(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        monkeypatch.setattr("fleet.cli.local_commands.LocalAws", lambda: make(tmp_path))
        yield
        make(tmp_path).stop()

    def test_start_status_stop(self) -> None:
        started = run("local", "start", "--format", "json")
        told: dict[str, Any] = json.loads(run("local", "status", "--format", "json").stdout)
        assert told.pop("running") is True
        assert told == json.loads(started.stdout)
        assert set(told) == {"endpoint", "region", "account", "pid"}
        assert told["endpoint"] in run("local", "status").stdout
        assert "has stopped" in run("local", "stop").stderr
        stopped = run("local", "status", "--format", "json")
        assert (stopped.exit_code, json.loads(stopped.stdout)) == (1, {"running": False})

    def test_a_start_that_fails_says_why(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("fleet.cli.local_commands.LocalAws", lambda: make(tmp_path, "dies"))
        done = run("local", "start")
        assert done.exit_code == 1
        assert "port 4566 is taken" in done.stderr


def test_the_local_environment_never_asks_for_the_users_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setattr("fleet.account._aws_account", lambda _: pytest.fail("AWS was asked"))
    monkeypatch.setattr("fleet.account.LocalAws", lambda: make(tmp_path))
    assert run("verify", "--env", server.ENVIRONMENT).exit_code == 2
