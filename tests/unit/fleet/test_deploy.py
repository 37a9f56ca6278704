"""`fleet deploy` up to the CDK CLI, which a fake stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from fleet.account import Account
from fleet.children import Ended
from fleet.deploy import flow, stacks
from fleet.deploy.assembly import AssemblyStack, read_assembly
from fleet.deploy.flow import DeploymentFailedError, Request, deploy
from fleet.deploy.preflight import check_account
from fleet.deploy.stacks import DeployedStack, failures, read_stacks, settle, stacks_of
from fleet.errors import InputError, WantingError
from fleet.progress import Step
from tests.unit.fleet.quiet import Notes, Quiet
from tests.unit.fleet.right_account import ACCOUNT, REGION, SMALL, WithoutTasks, catalog, environment

IMAGES, NETWORK = "gaming-system-test-images", "gaming-system-test-network"
TOPIC = {"Type": "AWS::SNS::Topic", "Metadata": {"aws:cdk:path": f"{NETWORK}/Alerts/Topic/Resource"}}


def template(**changes: Any) -> str:
    return json.dumps({"Resources": {"Topic": {**TOPIC, **changes}}})


class FakeCdk:
    """Writes an assembly of two stacks, and deploys it through moto's CloudFormation."""

    calls: list[str]
    code = 0

    def __init__(self, account: Account, assembly: Path) -> None:
        self.account = account
        self.assembly = assembly
        self.calls = []
        self.wanted = {IMAGES: template(), NETWORK: template()}

    def __call__(self, *_arguments: Any, **_options: Any) -> FakeCdk:
        return self

    def synth(self, step: Step) -> bool:
        del step
        self.calls.append("synth")
        write_assembly(self.assembly, self.wanted)
        return True

    def diff(self, step: Step) -> str:
        del step
        self.calls.append("diff")
        return "one topic more"

    def deploy(self, step: Step, selectors: Sequence[str] = ()) -> Ended:
        del step
        self.calls.append(f"deploy {' '.join(selectors)}".strip())
        there = read_stacks(self.account)
        for name in selectors or self.wanted:
            if name not in there and not self.code:
                self.account.cloudformation.create_stack(StackName=name, TemplateBody=self.wanted[name])
                if name == IMAGES:
                    for repository in ("state-manager-nats", "http-nats-gateway"):
                        self.account.ecr.create_repository(repositoryName=f"gaming-system-test/{repository}")
        return Ended(self.code, ("starting", "❌  it failed", "because"))


def write_assembly(directory: Path, wanted: dict[str, str]) -> None:
    directory.mkdir(exist_ok=True)
    artifacts = {}
    for name, text in wanted.items():
        (directory / f"{name}.template.json").write_text(text)
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "displayName": name,
        }
    artifacts["tree"] = {"type": "cdk:tree", "properties": {"file": "tree.json"}}
    (directory / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


@pytest.fixture
def account(session: boto3.Session) -> Account:
    return WithoutTasks(session, ACCOUNT)


@pytest.fixture
def cdk(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCdk:
    fake = FakeCdk(account, tmp_path / "assembly")
    monkeypatch.setattr(flow, "CdkCli", fake)
    monkeypatch.setattr(flow, "_aws", lambda _request, _progress: account)
    monkeypatch.setattr(flow, "retire_unused", lambda *_: [])
    return fake


def request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "catalog": catalog(),
        "catalog_path": SMALL,
        "environment": environment(),
        "verbose": False,
    }
    return Request(**{**given, **changes})


class TestFlow:
    def test_images_come_before_what_runs_them(self, cdk: FakeCdk) -> None:
        progress = Quiet()
        deploy(request(), progress)
        assert cdk.calls == ["synth", f"deploy {IMAGES}", "deploy"]
        assert progress.steps["deploy 2 stacks"].outcomes == ["2 created"]
        assert "record 2 image(s) in the local AWS" in progress.steps

    def test_what_nothing_uses_is_retired_last_and_not_after_a_failure(
        self, cdk: FakeCdk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def retire(*_: object) -> list[str]:
            cdk.calls.append("retire")
            return ["NATS user a.svc"]

        monkeypatch.setattr(flow, "retire_unused", retire)
        progress = Quiet()
        deploy(request(), progress)
        assert cdk.calls[-2:] == ["deploy", "retire"]
        assert progress.steps["retire what no task uses any more"].outcomes == ["NATS user a.svc"]
        cdk.code = 1
        with pytest.raises(DeploymentFailedError):
            deploy(request(), Quiet())
        assert cdk.calls[-1] == "deploy"

    def test_a_second_run_says_that_there_was_nothing_to_change(self, cdk: FakeCdk) -> None:
        deploy(request(), Quiet())
        cdk.calls.clear()
        progress = Quiet()
        deploy(request(), progress)
        assert cdk.calls == ["synth", "deploy"]
        assert progress.steps["deploy 2 stacks"].outcomes == ["nothing to change"]

    def test_a_failure_tells_every_resource_that_failed(self, cdk: FakeCdk, monkeypatch: pytest.MonkeyPatch) -> None:
        deploy(request(), Quiet())
        cdk.code = 1
        monkeypatch.setattr(
            flow, "failures", lambda *_: [stacks.Failure(NETWORK, "Alerts/Topic", "AWS::SNS::Topic", "no room")]
        )
        with pytest.raises(DeploymentFailedError, match="the deployment failed") as caught:
            deploy(request(), Quiet())
        assert f"{NETWORK}: Alerts/Topic (AWS::SNS::Topic)\n    no room" in str(caught.value)
        assert caught.value.exit_code == 1

    def test_a_failure_before_any_resource_tells_what_the_cli_says(self, cdk: FakeCdk) -> None:
        deploy(request(), Quiet())
        cdk.code = 1
        with pytest.raises(DeploymentFailedError) as caught:
            deploy(request(), Quiet())
        assert str(caught.value) == "the deployment failed\n  ❌  it failed\n  because"

    def test_images_that_stay_missing_stop_it(self, cdk: FakeCdk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(flow, "push_images", lambda *_: None)
        with pytest.raises(WantingError, match=r"gaming-system-test/http-nats-gateway:1\.0\.0: no such tag"):
            deploy(request(), Quiet())
        assert cdk.calls == ["synth", f"deploy {IMAGES}"]

    def test_in_aws_the_change_is_shown_and_asked_about_before_anything_is_done(
        self, cdk: FakeCdk, session: boto3.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flow, "_aws", lambda _request, _progress: Account(session, ACCOUNT))
        asked: list[str] = []

        def refuse(question: str) -> bool:
            asked.append(question)
            return False

        progress = Quiet()
        with pytest.raises(InputError, match="nothing was deployed"):
            deploy(request(confirm=refuse), progress)
        assert asked == ["deploy this to test?"]
        assert progress.said == ["one topic more"]
        assert cdk.calls == ["synth", "diff"]
        assert read_stacks(cdk.account) == {}


class TestSettle:
    @pytest.fixture
    def at_rest(self, account: Account) -> Account:
        for name in (IMAGES, NETWORK):
            account.cloudformation.create_stack(StackName=name, TemplateBody=template())
        return account

    @staticmethod
    def in_state(
        monkeypatch: pytest.MonkeyPatch, account: Account, *statuses: str, protected: bool = False
    ) -> list[str]:
        """Let the network's stack be in one state after the other, and note what is done to it."""
        left = list(statuses)
        done: list[str] = []

        def read(_account: Account) -> dict[str, DeployedStack]:
            status = left.pop(0) if len(left) > 1 else left[0]
            return {NETWORK: DeployedStack(NETWORK, status, datetime.now(UTC), protected)}

        monkeypatch.setattr(stacks, "read_stacks", read)
        monkeypatch.setattr(stacks, "_LOOK_SECONDS", 0)
        for operation in ("delete_stack", "continue_update_rollback", "update_termination_protection"):
            monkeypatch.setattr(
                account.cloudformation, operation, lambda _operation=operation, **_: done.append(_operation)
            )
        return done

    def test_leaves_what_is_complete_alone(self, at_rest: Account) -> None:
        assert set(settle(at_rest, "test", Notes())) == {IMAGES, NETWORK}

    def test_knows_the_stacks_of_other_environments_apart(self, at_rest: Account) -> None:
        at_rest.cloudformation.create_stack(StackName="gaming-system-tests-images", TemplateBody=template())
        assert set(stacks_of("test", read_stacks(at_rest))) == {IMAGES, NETWORK}

    @pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"])
    def test_removes_what_was_never_created(
        self, at_rest: Account, monkeypatch: pytest.MonkeyPatch, status: str
    ) -> None:
        done = self.in_state(monkeypatch, at_rest, status, "DELETE_IN_PROGRESS", "CREATE_COMPLETE")
        notes = Notes()
        settle(at_rest, "test", notes)
        assert done == ["delete_stack"]
        assert notes.notes[0] == f"{NETWORK} is in {status} from an earlier attempt: it is removed first"

    def test_a_stack_that_was_never_created_is_not_worth_its_protection(
        self, at_rest: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = self.in_state(monkeypatch, at_rest, "ROLLBACK_COMPLETE", "CREATE_COMPLETE", protected=True)
        settle(at_rest, "test", Notes())
        assert done == ["update_termination_protection", "delete_stack"]

    def test_goes_on_with_a_roll_back_that_got_stuck(self, at_rest: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        done = self.in_state(monkeypatch, at_rest, "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE")
        settle(at_rest, "test", Notes())
        assert done == ["continue_update_rollback"]

    def test_waits_for_another_deployment_but_not_for_ever(
        self, at_rest: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.in_state(monkeypatch, at_rest, "UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
        notes = Notes()
        settle(at_rest, "test", notes)
        assert notes.notes == [f"{NETWORK} is in UPDATE_IN_PROGRESS: waiting for it"]
        self.in_state(monkeypatch, at_rest, "UPDATE_IN_PROGRESS")
        monkeypatch.setattr(stacks, "_LOCAL_WAIT_SECONDS", -1)
        with pytest.raises(WantingError, match=f"{NETWORK} did not come to rest"):
            settle(at_rest, "test", Notes())

    def test_in_aws_a_removal_that_got_stuck_is_its_owners_to_finish(
        self, session: boto3.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_aws = Account(session, ACCOUNT)
        done = self.in_state(monkeypatch, in_aws, "DELETE_FAILED")
        with pytest.raises(WantingError, match=f"delete-stack --region {REGION} --stack-name {NETWORK}"):
            settle(in_aws, "test", Notes())
        assert done == []


class TestFailures:
    def test_names_what_failed_where_it_stands_in_the_app_and_not_what_was_stopped_for_it(
        self, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_assembly(tmp_path / "assembly", {NETWORK: template()})
        began = datetime(2026, 1, 1, tzinfo=UTC)
        rows = [  # newest first, as CloudFormation lists them
            (4, NETWORK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Topic]"),
            (3, "Other", "CREATE_FAILED", "Resource creation cancelled"),
            (2, "Topic", "CREATE_FAILED", "no room"),
            (1, "Topic", "CREATE_IN_PROGRESS", ""),
            (-9, "Topic", "CREATE_FAILED", "of an earlier attempt"),
        ]
        events = [
            {
                "Timestamp": began + timedelta(seconds=second),
                "LogicalResourceId": resource,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "ResourceType": "AWS::SNS::Topic",
            }
            for second, resource, status, reason in rows
        ]

        class Pages:
            def paginate(self, **_: str) -> list[dict[str, Any]]:
                return [{"StackEvents": events}]

        monkeypatch.setattr(account.cloudformation, "get_paginator", lambda _: Pages())
        found = failures(account, read_assembly(tmp_path / "assembly").values(), began)
        assert found == [stacks.Failure(NETWORK, "Alerts/Topic", "AWS::SNS::Topic", "no room")]

    def test_a_stack_that_was_never_begun_has_none(self, account: Account, tmp_path: Path) -> None:
        stack = AssemblyStack(NETWORK, NETWORK, tmp_path / "template.json")
        assert failures(account, [stack], stacks.clock(account)) == []


def test_an_assembly_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WantingError, match="the synthesis left no assembly"):
        read_assembly(tmp_path)


class TestPreflight:
    @pytest.fixture
    def in_aws(self, session: boto3.Session) -> Account:
        return Account(session, ACCOUNT)

    def test_tells_everything_that_is_missing_with_the_command_that_provides_it(self, in_aws: Account) -> None:
        with pytest.raises(InputError) as caught:
            check_account(in_aws, catalog(), environment(), {})
        told = str(caught.value)
        assert "test cannot be deployed yet; nothing was done" in told
        assert f"cdk bootstrap aws://{ACCOUNT}/{REGION}" in told
        for name, value in {
            "alerts/email": "alerts@example.com",
            "gateway/certificate-arn": "arn:aws:acm:REGION:ACCOUNT:certificate/ID",
        }.items():
            command = f"aws ssm put-parameter --region {REGION} --type String --name /gaming-system/test/{name} --value {value}"
            assert command in told
        assert "ami-12345678 is no machine image in us-east-1" in told

    def test_lets_a_prepared_account_pass(self, in_aws: Account) -> None:
        for name in ("alerts/email", "gateway/certificate-arn"):
            in_aws.ssm.put_parameter(Name=f"/gaming-system/test/{name}", Value="x", Type="String")
        image = in_aws.ec2.register_image(Name="nodes", RootDeviceName="/dev/xvda")["ImageId"]
        nats = environment().nats.model_copy(update={"ami_id": image})
        toolkit = DeployedStack("CDKToolkit", "CREATE_COMPLETE", datetime.now(UTC), protected=False)
        check_account(in_aws, catalog(), environment(nats=nats), {"CDKToolkit": toolkit})

    def test_asks_for_no_certificate_where_there_is_no_gateway(self, in_aws: Account) -> None:
        game = {name: one for name, one in catalog().services.items() if one.group == "game"}
        without = catalog().model_copy(update={"services": game})
        with pytest.raises(InputError) as caught:
            check_account(in_aws, without, environment(), {})
        assert "certificate" not in str(caught.value)
