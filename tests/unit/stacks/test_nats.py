"""What configures, rolls, backs up and watches the NATS machines, as far as it is in the template."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from catalog import load_environment, names
from catalog.cluster import cluster_request
from fleet_constructs import nats_assets
from fleet_constructs.errors import PackagesMissingError
from fleet_constructs.nats_documents import WITH_REQUEST
from fleet_constructs.nats_roll import roll_script
from functions import nats_roll as watch
from nats_platform import configuration, roll_steps
from nats_platform.agent import build_agent
from nats_platform.commander import PARAMETER
from nats_platform.limits import COMMAND_SECONDS
from nats_platform.node import __main__ as agent
from nats_platform.node import leave, turn
from nats_platform.node.settings import Settings
from nats_platform.packages import Package, PackageMissingError
from tests.synthesis import ROOT, Fleet, Resource, small_catalog, small_fleet, synthesise, whole_fleet

ARN = "arn:${AWS::Partition}"
HERE = "us-east-1:${AWS::AccountId}"
BUCKET = "gaming-system-prod-nats-${AWS::AccountId}-us-east-1"
COMMANDS = ["configure", "gate", "leave", "status", "streams", "backup", "restore"]
MOST_BYTES = 64 * 1024
CONFIGURING_SECONDS = 60  # to fetch, try, reload and prove one configuration, and to put the former one back


def document(fleet: Fleet, name: str) -> Resource:
    return fleet.one("AWS::SSM::Document", Name=f"gaming-system-{fleet.environment.name}-{name}")


def role_of_function(fleet: Fleet) -> dict[str, Any]:
    function = fleet.one("AWS::Lambda::Function", FunctionName=f"gaming-system-{fleet.environment.name}-nats")
    return statements(fleet, fleet.followed("nats", function["Role"]))


def statements(fleet: Fleet, role: Resource) -> dict[str, Any]:
    found = [
        statement
        for policy in role["Policies"]
        for statement in fleet.plain("nats", policy["PolicyDocument"]["Statement"])
    ]
    return {statement["Sid"]: statement for statement in found}


def role_of_machine(fleet: Fleet, number: int) -> dict[str, Any]:
    template = fleet.resources("AWS::EC2::LaunchTemplate")[number - 1]
    profile = fleet.followed("nats", template["LaunchTemplateData"]["IamInstanceProfile"]["Arn"])
    return statements(fleet, fleet.followed("nats", profile["Roles"][0]))


def user_data(fleet: Fleet, number: int) -> str:
    template = fleet.resources("AWS::EC2::LaunchTemplate")[number - 1]
    return fleet.text("nats", template["LaunchTemplateData"]["UserData"]["Fn::Base64"])


def noted(fleet: Fleet, number: int) -> str:
    """Return what a machine writes down of itself at its first boot."""
    told = user_data(fleet, number)
    return told[told.index("cat >/etc/nats/agent.env.new") :].split("END_OF_FILE")[1].strip(" '\n") + "\n"


def launch_templates(fleet: Fleet) -> list[Resource]:
    return fleet.resources("AWS::EC2::LaunchTemplate")


# What a machine begins with


def test_an_edit_of_the_catalog_is_a_configuration_and_nothing_else() -> None:
    def rest(fleet: Fleet) -> dict[str, Any]:
        return {
            r.logical_id: r.body
            for r in fleet.resources()
            # The other one is what load tests run as, whose image is that of the services.
            if r.part == "nats" and r.type not in {"Custom::NatsConfiguration", "AWS::ECS::TaskDefinition"}
        }

    assert rest(small_fleet("prod")) == rest(whole_fleet("prod"))
    one, other = (f.one("Custom::NatsConfiguration") for f in (small_fleet("prod"), whole_fleet("prod")))
    assert {name for name in one.properties if one[name] != other[name]} == {"Request", "Digest"}


def test_another_way_of_rendering_the_same_request_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = small_fleet("prod")
    monkeypatch.setattr(configuration, "HANDSHAKE_SECONDS", 6)

    changed = synthesise(small_catalog(), load_environment("prod"))

    one, other = (fleet.one("Custom::NatsConfiguration") for fleet in (before, changed))
    assert {name for name in one.properties if one[name] != other[name]} == {"Digest"}
    assert changed.one("Custom::NatsRoll").properties == before.one("Custom::NatsRoll").properties


def test_what_only_a_start_takes_up_asks_for_a_roll_and_changes_no_template() -> None:
    prod, before = load_environment("prod"), small_fleet("prod")
    relaxed = prod.model_copy(update={"nats": prod.nats.model_copy(update={"sync_always": False})})

    changed = synthesise(small_catalog(), relaxed)

    for kind in ("Custom::NatsConfiguration", "Custom::NatsRoll"):
        assert changed.one(kind)["AtStart"] != before.one(kind)["AtStart"]
    assert launch_templates(changed) == launch_templates(before)


def test_a_new_server_rolls_the_machines_and_changes_none_of_their_templates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "server.zip").write_bytes(b"another")
    monkeypatch.setattr(nats_assets, "build_server_package", lambda *_: Package(tmp_path / "server.zip", "5e" * 32))

    changed, before = synthesise(small_catalog(), load_environment("prod")), small_fleet("prod")

    assert launch_templates(changed) == launch_templates(before)
    assert changed.one("Custom::NatsRoll")["Server"] == "5e" * 32
    for kind, name in (("Custom::NatsRoll", "Server"), ("Custom::NatsConfiguration", "Server")):
        assert changed.one(kind)[name] != before.one(kind)[name]


def test_a_synthesis_without_the_server_says_which_command_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Package:
        raise PackageMissingError(ROOT / ".build" / "nats-server" / "arm64")

    monkeypatch.setattr(nats_assets, "build_server_package", missing)

    with pytest.raises(PackagesMissingError, match=r"\.build/nats-server/arm64; fetch it: make setup"):
        synthesise(small_catalog(), load_environment("prod"))


def test_a_new_machine_image_asks_for_a_roll(prod: Fleet) -> None:
    versions = prod.one("Custom::NatsRoll")["Templates"]

    assert [prod.followed("nats", version) for version in versions] == launch_templates(prod)


def test_the_first_boot_says_which_slot_and_where_to_go_on(prod: Fleet) -> None:
    told = user_data(prod, 2)

    assert noted(prod, 2).splitlines() == [
        "NODE=nats-2",
        "NODES='nats-1 nats-2 nats-3'",
        "REGION=us-east-1",
        "ENVIRONMENT=prod",
        f"BUCKET={BUCKET}",
        "CERTIFICATES_BUCKET=gaming-system-prod-certificates-${AWS::AccountId}-us-east-1",
        "NODE_DOMAIN=nats.gaming-system.internal",
        "LOG_GROUP=/nats/gaming-system",
    ]
    assert "bash -s -- boot <<'END_OF_SCRIPT'" in told
    assert told.index("has its address and its disk") < told.index("agent.env.new") < told.index("bash -s -- boot")


def test_user_data_is_shell_and_no_more_than_ec2_takes(fleet: Fleet) -> None:
    for number in (1, 2, 3):
        told = user_data(fleet, number)
        assert len(told.encode()) < 16 * 1024
        subprocess.run(["bash", "-n"], input=told, text=True, check=True, timeout=30)


def test_the_first_machine_finds_its_configuration_and_its_log_group(fleet: Fleet) -> None:
    configuration = fleet.one("Custom::NatsConfiguration").logical_id
    group = fleet.one("AWS::Logs::LogGroup", part="nats", LogGroupName=log_group(fleet)).logical_id
    for machine in fleet.resources("AWS::AutoScaling::AutoScalingGroup"):
        assert {configuration, group} <= set(machine.body["DependsOn"])


def log_group(fleet: Fleet) -> str:
    return "/nats/gaming-system" + ("" if fleet.environment.name == "prod" else f"-{fleet.environment.name}")


def test_the_configuration_needs_no_machine_and_the_roll_needs_all(fleet: Fleet) -> None:
    """What a configuration waited for, a broken one could keep away for ever."""
    machines = {machine.logical_id for machine in fleet.resources("AWS::AutoScaling::AutoScalingGroup")}
    assert not machines & reached(fleet, fleet.one("Custom::NatsConfiguration").logical_id)
    assert machines <= set(fleet.one("Custom::NatsRoll").body["DependsOn"])


def reached(fleet: Fleet, start: str) -> set[str]:
    """Return all that a resource waits for."""
    resources, found, left = fleet.templates["nats"]["Resources"], set[str](), [start]
    while left:
        body = resources[left.pop()]
        named = {*re.findall(r'"(?:Ref|Fn::GetAtt)": (?:\["|")(\w+)"', json.dumps(body)), *body.get("DependsOn", [])}
        left += [name for name in named if name in resources and name not in found]
        found |= named
    return found


# What it may do


def test_a_machine_reads_what_it_runs_on_and_only_its_own_configuration(prod: Fleet) -> None:
    for number in (1, 2, 3):
        found = role_of_machine(prod, number)
        assert found["ReadWhatItRunsOn"]["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
        assert sorted(found["ReadWhatItRunsOn"]["Resource"]) == [
            f"{ARN}:s3:::{BUCKET}/assets/*",
            f"{ARN}:s3:::{BUCKET}/configuration/nats-{number}/*",
            f"{ARN}:s3:::{BUCKET}/current.json",
        ]


def test_a_machine_writes_backups_and_logs_and_nothing_else(prod: Fleet) -> None:
    found = role_of_machine(prod, 1)
    writing = [
        (action, statement["Resource"])
        for statement in found.values()
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if re.search(":(Put|Create|Delete|Abort)", action) and "kms" not in action
    ]
    assert sorted(writing) == [
        ("logs:CreateLogStream", f"{ARN}:logs:{HERE}:log-group:/nats/gaming-system:*"),
        ("logs:PutLogEvents", f"{ARN}:logs:{HERE}:log-group:/nats/gaming-system:*"),
        ("s3:AbortMultipartUpload", f"{ARN}:s3:::{BUCKET}/backups/*"),
        ("s3:PutObject", f"{ARN}:s3:::{BUCKET}/backups/*"),
    ]


def test_a_machine_reads_no_parameter_of_the_account(prod: Fleet) -> None:
    """AWS's policy for Session Manager would let it."""
    denied = [each for each in role_of_machine(prod, 1).values() if each["Effect"] == "Deny"]
    assert [(each["Action"], each["Resource"]) for each in denied] == [(["ssm:GetParameter", "ssm:GetParameters"], "*")]


def test_a_machine_gives_its_address_and_disk_to_the_machines_of_its_slot_and_no_others(prod: Fleet) -> None:
    for number in (1, 2, 3):
        found = role_of_machine(prod, number)
        to, what = found["ToMachinesOfThisSlot"], found["TakeAddressAndDisk"]
        assert to["Resource"] == f"{ARN}:ec2:{HERE}:instance/*"
        assert to["Condition"] == {
            "StringEquals": {"ec2:ResourceTag/nats-slot": f"nats-{number}", "ec2:ResourceTag/environment": "prod"}
        }
        assert {prod.followed("nats", r.rpartition("/")[2]).logical_id for r in what["Resource"]} == {
            prod.resources(kind)[number - 1].logical_id for kind in ("AWS::EC2::NetworkInterface", "AWS::EC2::Volume")
        }
        tags = launch_templates(prod)[number - 1]["LaunchTemplateData"]["TagSpecifications"][0]
        assert tags["ResourceType"] == "instance"
        assert {"Key": "nats-slot", "Value": f"nats-{number}"} in tags["Tags"]


# Bucket


def test_the_bucket_is_closed_encrypted_and_keeps_versions(fleet: Fleet) -> None:
    bucket = fleet.one("AWS::S3::Bucket", part="nats")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    key = rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert fleet.followed("nats", key).type == "AWS::KMS::Key"
    policy = fleet.plain("nats", fleet.one("AWS::S3::BucketPolicy", part="nats")["PolicyDocument"]["Statement"])
    assert [s["Condition"] for s in policy if s["Effect"] == "Deny"] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": 1.2}},
    ]


def test_backups_and_old_versions_end_and_nothing_else_does(prod: Fleet) -> None:
    rules = {r["Id"]: r for r in prod.one("AWS::S3::Bucket", part="nats")["LifecycleConfiguration"]["Rules"]}
    days = prod.environment.nats.backup_retention_days
    assert (rules["Backups"]["Prefix"], rules["Backups"]["ExpirationInDays"]) == ("backups/", days)
    assert (rules["LoadTests"]["Prefix"], rules["LoadTests"]["ExpirationInDays"]) == ("load-tests/", 90)
    assert {r["Id"] for r in rules.values() if "ExpirationInDays" in r} == {"Backups", "LoadTests"}
    assert rules["OldVersions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


# Documents


def test_there_is_a_document_a_command(fleet: Fleet) -> None:
    for command in COMMANDS:
        found = document(fleet, f"nats-{command}")
        assert (found["DocumentType"], found["UpdateMethod"]) == ("Command", "NewVersion")
        (step,) = found["Content"]["mainSteps"]
        assert step["inputs"]["timeoutSeconds"] == str(COMMAND_SECONDS[command])
        assert len(json.dumps(found["Content"]).encode()) < MOST_BYTES


@pytest.mark.parametrize("text", ["$(id)", "a;b", "`id`", "a b", "a'b", "", "=a", "a\nb", "{{x}}"])
@pytest.mark.parametrize("command", sorted(WITH_REQUEST))
def test_what_a_document_is_given_cannot_become_a_command(command: str, text: str) -> None:
    parameters = document(small_fleet("prod"), f"nats-{command}")["Content"]["parameters"]
    pattern = parameters[PARAMETER]["allowedPattern"]

    assert not re.fullmatch(pattern, text)
    assert re.fullmatch(pattern, "eyJub2RlIjoibmF0cy0xIn0=")


def test_a_document_has_nothing_that_systems_manager_would_replace_but_its_parameter(fleet: Fleet) -> None:
    for command in COMMANDS:
        content = document(fleet, f"nats-{command}")["Content"]
        (step,) = content["mainSteps"]
        marks = re.findall(r"\{\{.*?\}\}", "".join(step["inputs"]["runCommand"]))
        assert marks == (["{{ Request }}"] if command in WITH_REQUEST else [])
        assert ("parameters" in content) == (command in WITH_REQUEST)


AWS = """#!/bin/bash
# s3 cp --only-show-errors s3://BUCKET/KEY FILE
source=${4#s3://*/}
exec cp "$STORE/$source" "$5"
"""


def test_a_documents_commands_fetch_the_agent_and_run_it_with_what_they_are_given(tmp_path: Path, prod: Fleet) -> None:
    """In a shell as a machine's, with an AWS command line that reads a folder."""
    machine = Machine(
        tmp_path, agent="import os, sys; print(sys.argv[1:], os.environ['NODE'], os.environ['AWS_DEFAULT_REGION'])"
    )

    result = machine.run(prod, "configure")

    assert (result.returncode, result.stdout) == (0, "['configure', 'e30='] nats-1 us-east-1\n"), result.stderr
    assert sorted(path.name for path in machine.agents.iterdir()) == [f"{machine.sha256}.pyz", "current.pyz"]
    assert (machine.agents / "current.pyz").resolve().name == f"{machine.sha256}.pyz"


def test_an_agent_that_is_here_is_not_fetched_again(tmp_path: Path, prod: Fleet) -> None:
    machine = Machine(tmp_path, agent="print('it')")
    machine.run(prod, "status")
    (machine.store / "assets" / machine.sha256).unlink()

    assert machine.run(prod, "status").stdout == "it\n"


def test_an_agent_that_is_not_what_the_bucket_says_is_not_run(tmp_path: Path, prod: Fleet) -> None:
    machine = Machine(tmp_path, agent="print('it')")
    (machine.store / "assets" / machine.sha256).write_text("print('another')")

    result = machine.run(prod, "status")

    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr.splitlines()[-1] == f"FAILED: gave up: the agent {machine.sha256} did not come after 2 attempts"
    )
    assert list(machine.agents.iterdir()) == []


def test_a_machine_that_has_not_booted_runs_nothing(tmp_path: Path, prod: Fleet) -> None:
    machine = Machine(tmp_path, agent="print('it')")
    machine.note.unlink()

    result = machine.run(prod, "gate")

    assert result.returncode == 1
    assert "agent.env, which the first boot writes, did not come after 2 attempts" in result.stderr


class Machine:
    """A folder that stands for a machine and its bucket."""

    def __init__(self, root: Path, *, agent: str | bytes) -> None:
        data = agent.encode() if isinstance(agent, str) else agent
        self.root, self.store, self.agents, self.note = root, root / "s3", root / "agents", root / "agent.env"
        self.sha256 = hashlib.sha256(data).hexdigest()
        (self.store / "assets").mkdir(parents=True)
        (self.store / "assets" / self.sha256).write_bytes(data)
        place = {"bucket": "b", "key": f"assets/{self.sha256}", "sha256": self.sha256}
        (self.store / "current.json").write_text(json.dumps({"agent": place}))
        self.note.write_text("NODE=nats-1\nREGION=us-east-1\nBUCKET=b\n")
        (root / "bin").mkdir()
        (root / "bin" / "aws").write_text(AWS)
        (root / "bin" / "aws").chmod(0o755)

    def run(self, fleet: Fleet, command: str) -> subprocess.CompletedProcess[str]:
        (step,) = document(fleet, f"nats-{command}")["Content"]["mainSteps"]
        return subprocess.run(
            ["sh", "-eu"],
            input="\n".join(step["inputs"]["runCommand"]).replace("{{ Request }}", "e30="),
            env={
                "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
                "STORE": str(self.store),
                "AGENTS": str(self.agents),
                "AGENT_ENV": str(self.note),
                "ATTEMPTS": "2",
                "PAUSE_SECONDS": "0",
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


# Function


def test_the_function_sends_commands_to_the_nodes_of_this_environment_and_cannot_have_one_leave(prod: Fleet) -> None:
    found = role_of_function(prod)
    assert sorted(found["SendCommands"]["Resource"]) == [
        f"{ARN}:ssm:{HERE}:document/gaming-system-prod-nats-{command}"
        for command in sorted(COMMANDS)
        if command != "leave"
    ]
    assert found["ToNodes"]["Condition"] == {
        "StringEquals": {
            "ssm:resourceTag/environment": "prod",
            "ssm:resourceTag/nats-slot": ["nats-1", "nats-2", "nats-3"],
        }
    }


def test_the_function_reads_server_and_agent_by_a_statement_each(prod: Fleet) -> None:
    """In one, the CDK would order them by checksum, and the template would turn with either."""
    found = role_of_function(prod)
    for kind in ("Server", "Agent"):
        place = json.loads(prod.text("nats", prod.one("Custom::NatsConfiguration")[kind]))
        assert found[f"Read{kind}"]["Resource"].endswith(f"/{place['key']}")
        assert found[f"Read{kind}"]["Action"] == "s3:GetObject"


def test_the_function_starts_this_roll_and_lends_it_its_role_alone(prod: Fleet) -> None:
    found = role_of_function(prod)
    roll = "gaming-system-prod-roll-nats"
    assert found["StartRoll"]["Resource"] == f"{ARN}:ssm:{HERE}:automation-definition/{roll}:*"
    assert found["LendRollItsRole"]["Resource"] == f"{ARN}:iam::${{AWS::AccountId}}:role/{roll}"
    assert found["LendRollItsRole"]["Condition"] == {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}
    assert prod.one("AWS::IAM::Role", RoleName=roll)


def test_the_function_may_call_itself_and_nobody_else(prod: Fleet) -> None:
    (invoked,) = [s["Resource"] for s in role_of_function(prod).values() if "lambda:InvokeFunction" in s["Action"]]
    assert invoked == f"{ARN}:lambda:{HERE}:function:gaming-system-prod-nats"


def test_the_function_does_two_tasks_on_schedule(fleet: Fleet) -> None:
    rules = {
        json.loads(rule["Targets"][0]["Input"])["task"]: rule["ScheduleExpression"]
        for rule in fleet.resources("AWS::Events::Rule")
        if rule.part == "nats"
    }
    assert rules == {"backup": "rate(6 hours)", "retire": "rate(1 day)"}


def test_the_configuration_asks_for_what_the_catalog_says(fleet: Fleet) -> None:
    request = fleet.one("Custom::NatsConfiguration")["Request"]
    assert json.loads(request) == json.loads(json.dumps(cluster_request(fleet.catalog, fleet.environment)))


def test_cloudformation_waits_longer_than_the_function_has_patience(fleet: Fleet) -> None:
    function = fleet.one("AWS::Lambda::Function", FunctionName=f"gaming-system-{fleet.environment.name}-nats")
    assert int(fleet.one("Custom::NatsConfiguration")["ServiceTimeout"]) > function["Timeout"]
    assert fleet.one("Custom::NatsRoll")["ServiceTimeout"] == str(watch.SERVICE_TIMEOUT_SECONDS)
    assert watch.PATIENCE_SECONDS + watch.HAND_OVER_SECONDS < watch.SERVICE_TIMEOUT_SECONDS


# Roll


def test_the_roll_is_our_own_script_step_by_step(fleet: Fleet) -> None:
    content = document(fleet, "roll-nats")["Content"]
    plan, branch, each = content["mainSteps"]
    steps = [plan, *each["inputs"]["Steps"]]
    assert [step["inputs"]["Handler"] for step in steps] == ["plan", "replace", "await_machine", "gate"]
    assert {step["action"] for step in steps} == {"aws:executeScript"}
    assert {step["inputs"]["Script"] for step in steps} == {roll_script()}
    assert {step["onFailure"] for step in steps} == {"Abort"}
    assert branch["inputs"]["Choices"] == [{"NextStep": "Each", "Variable": "{{ Plan.Count }}", "NumericGreater": 0}]
    assert (each["inputs"]["Iterators"], branch["isEnd"], each["isEnd"]) == ("{{ Plan.Nodes }}", True, True)


def test_the_roll_is_no_larger_than_a_document_may_be(fleet: Fleet) -> None:
    content = fleet.plain("nats", document(fleet, "roll-nats")["Content"])
    assert len(json.dumps(content).encode()) < MOST_BYTES


def test_a_step_of_the_roll_ends_before_systems_manager_ends_it(fleet: Fleet) -> None:
    plan = document(fleet, "roll-nats")["Content"]["mainSteps"][0]
    assert plan["timeoutSeconds"] == 600
    assert roll_steps.STEP_SECONDS < 600
    assert roll_steps.SECONDS["leave"] + roll_steps.SECONDS["status"] < 600
    for command, seconds in roll_steps.SECONDS.items():
        assert seconds > COMMAND_SECONDS[command]


def test_the_script_of_the_roll_runs_by_itself_and_has_nothing_that_would_be_replaced() -> None:
    script = roll_script()
    scope: dict[str, Any] = {"__name__": "script"}
    exec(compile(script, "script", "exec", dont_inherit=True), scope)  # noqa: S102  # that it can be is what is tested
    assert {"plan", "replace", "await_machine", "gate"} <= scope.keys()
    assert "{{" not in script
    assert "nats_platform" not in script


def test_the_roll_ends_machines_of_its_three_groups_and_no_others(prod: Fleet) -> None:
    found = statements(prod, prod.one("AWS::IAM::Role", RoleName="gaming-system-prod-roll-nats"))
    groups = [g.logical_id for g in prod.resources("AWS::AutoScaling::AutoScalingGroup")]
    assert found["EndMachines"]["Action"] == "autoscaling:TerminateInstanceInAutoScalingGroup"
    assert found["EndMachines"]["Resource"] == [
        f"{ARN}:autoscaling:{HERE}:autoScalingGroup:*:autoScalingGroupName/${{nats:{group}}}" for group in groups
    ]
    assert [r.rpartition("-")[2] for r in found["SendCommands"]["Resource"]] == ["gate", "leave", "status"]


def test_groups_and_machines_carry_the_tags_that_the_roll_finds_them_by(fleet: Fleet) -> None:
    for number, group in enumerate(fleet.resources("AWS::AutoScaling::AutoScalingGroup"), start=1):
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        assert (tags["nats-slot"], tags["environment"]) == (f"nats-{number}", fleet.environment.name)


# Alarms

ALARMS = {
    "leaderless": ("nats-jetstream", "leaderless", "Maximum", "missing"),
    "routes-missing": ("nats", "routes_missing", "Maximum", "missing"),
    "slow-consumers": ("nats", "slow_consumers", "Maximum", "missing"),
    "disk": ("nats", "disk_used_percent", "Maximum", "missing"),
    "memory": ("nats", "memory_used_percent", "Maximum", "missing"),
    "store": ("nats-jetstream", "store_used_percent", "Maximum", "missing"),
    "authentication-failures": ("nats", "authentication_failures", "Maximum", "missing"),
    "replica-lag": ("nats-jetstream", "replica_lag", "Maximum", "missing"),
    "unhealthy": ("nats-jetstream", "unhealthy", "Maximum", "missing"),
    "backup-age": ("nats-jetstream", "backup_age_hours", "Maximum", "missing"),
    "node-down": ("nats", "routes_missing", "SampleCount", "breaching"),
}


def alarms(fleet: Fleet) -> dict[str, Resource]:
    ending = f"-{fleet.environment.name}"
    return {
        alarm["AlarmName"].removeprefix("platform-nats-").removesuffix(ending): alarm
        for alarm in fleet.resources("AWS::CloudWatch::Alarm")
        if alarm["AlarmName"].startswith("platform-nats-") and alarm["Namespace"] != "AWS/Lambda"
    }


def test_the_cluster_is_watched_where_its_nodes_run_and_where_none_does(fleet: Fleet) -> None:
    found = {
        kind: (alarm["Dimensions"][1]["Value"], alarm["MetricName"], alarm["Statistic"], alarm["TreatMissingData"])
        for kind, alarm in alarms(fleet).items()
    }
    assert found == ALARMS


def test_silence_of_one_machine_is_an_alarm(prod: Fleet) -> None:
    """Three report once a minute; with two, three minutes have six samples."""
    alarm = alarms(prod)["node-down"]
    assert (alarm["Period"], alarm["Threshold"], alarm["ComparisonOperator"]) == (180, 8, "LessThanThreshold")


def test_metrics_have_the_two_dimensions_that_are_paid_for(fleet: Fleet) -> None:
    for alarm in alarms(fleet).values():
        assert alarm["Namespace"] == "GamingSystem"
        assert [d["Name"] for d in alarm["Dimensions"]] == ["Environment", "Service"]
        assert alarm["Dimensions"][0]["Value"] == fleet.environment.name


def test_the_backup_is_old_when_two_in_a_row_have_failed(prod: Fleet) -> None:
    hours = alarms(prod)["backup-age"]["Threshold"]
    assert 12 < hours < 18


def test_the_dashboard_shows_what_is_watched(fleet: Fleet) -> None:
    widgets = json.loads(fleet.one("AWS::CloudWatch::Dashboard")["DashboardBody"])["widgets"]
    shown = {
        (metric[5], metric[1])
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == "GamingSystem"
    }
    watched = {(service, metric) for service, metric, _, _ in ALARMS.values()}
    assert watched - shown == {("nats-jetstream", "backup_age_hours")}


def test_the_names_of_the_alarms_are_those_that_verify_looks_for() -> None:
    assert sorted([*ALARMS, "function-failed"]) == sorted(names.NATS_ALARM_KINDS)


# The other side


def test_the_agent_has_every_command_and_takes_a_request_where_the_document_gives_one() -> None:
    assert set(COMMANDS) <= {command for commands in agent.COMMANDS.values() for command in commands}
    assert set(agent.TAKING_AN_ARGUMENT) == WITH_REQUEST


def test_a_command_ends_by_itself_before_its_document_ends_it() -> None:
    assert COMMAND_SECONDS["gate"] > agent.GATE_SECONDS
    assert COMMAND_SECONDS["configure"] > turn.WAIT_SECONDS + CONFIGURING_SECONDS
    assert COMMAND_SECONDS["leave"] > leave.LEAVE_SECONDS
    assert COMMAND_SECONDS["leave"] > configuration.LAME_DUCK_GRACE_SECONDS + configuration.LAME_DUCK_SECONDS


def test_the_packed_agent_itself_is_run_by_a_document(tmp_path: Path, prod: Fleet) -> None:
    packed = build_agent(tmp_path / "built")
    machine = Machine(tmp_path, agent=packed.path.read_bytes())
    machine.note.write_text(noted(prod, 1).replace(BUCKET, "b").replace("${AWS::AccountId}", "123456789012"))

    result = machine.run(prod, "configure")

    assert machine.sha256 == packed.sha256
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("FAILED: ")
    assert "key" in result.stderr.splitlines()[-1]


def test_the_agent_finds_in_the_machines_notes_all_that_it_has_to_know(prod: Fleet) -> None:
    told = noted(prod, 3).splitlines()
    variables = {name: value.strip("'") for name, _, value in (line.partition("=") for line in told)}

    settings = Settings.told(variables)

    assert (settings.node, settings.nodes, settings.environment) == ("nats-3", ("nats-1", "nats-2", "nats-3"), "prod")
    assert (settings.bucket, settings.log_group) == (BUCKET, "/nats/gaming-system")
