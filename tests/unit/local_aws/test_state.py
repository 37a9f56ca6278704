"""State on disk: what moto holds and what the engine holds, read back as it was, or refused in plain words."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.core.base_backend import BackendDict

from local_aws import pickling, state
from local_aws.clients import ServerClients
from local_aws.dispatch import Dispatcher, InProcess
from local_aws.errors import StateError
from local_aws.gate import Gate
from local_aws.keeper import Keeper
from local_aws.state import FORMAT, StateDirectory
from tests.unit.local_aws.fakes import REGION, Engine, parameter, statuses, template

BIG = b"x" * 700_000  # beyond what moto keeps in memory for an object


@pytest.fixture
def clients() -> Iterator[ServerClients]:
    BackendDict.reset()
    yield ServerClients("http://127.0.0.1:1", InProcess(Dispatcher({})))
    BackendDict.reset()


def restart(directory: StateDirectory) -> state.Loaded:
    """Forget everything, as a killed process does, and read the state."""
    directory.save({}, 4567)
    BackendDict.reset()
    return directory.load()


def test_moto_is_read_back_as_it_was(clients: ServerClients, tmp_path: Path) -> None:
    def client(service: str) -> Any:
        return clients.client(service, REGION)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", "def handler(event, context): return 1")
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    client("s3").put_object(Bucket="bucket", Key="big/ä key", Body=BIG)
    client("ssm").put_parameter(Name="/p", Type="String", Value="v")
    key = client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signature = client("kms").sign(KeyId=key, Message=b"m", SigningAlgorithm="RSASSA_PSS_SHA_256")["Signature"]
    client("ecr").create_repository(repositoryName="repo")
    client("secretsmanager").create_secret(Name="s", SecretString="secret")
    role = client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="f", Role=role, Runtime="python3.13", Handler="index.handler", Code={"ZipFile": archive.getvalue()}
    )
    client("logs").create_log_group(logGroupName="g")
    client("sns").create_topic(Name="t")
    client("sqs").create_queue(QueueName="q")
    client("dynamodb").create_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    vpc = client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    client("ecs").create_cluster(clusterName="c")
    client("events").put_rule(Name="e", ScheduleExpression="rate(1 day)")

    loaded = restart(StateDirectory(tmp_path))

    assert loaded.port == 4567
    assert client("s3").get_object(Bucket="bucket", Key="big/ä key")["Body"].read() == BIG
    assert client("s3").get_bucket_versioning(Bucket="bucket")["Status"] == "Enabled"
    assert client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v"
    assert client("kms").verify(KeyId=key, Message=b"m", Signature=signature, SigningAlgorithm="RSASSA_PSS_SHA_256")[
        "SignatureValid"
    ]
    assert client("ecr").describe_repositories()["repositories"][0]["repositoryName"] == "repo"
    assert client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "secret"
    assert client("lambda").get_function(FunctionName="f")["Configuration"]["Role"] == role
    assert client("logs").describe_log_groups()["logGroups"][0]["logGroupName"] == "g"
    assert client("sns").list_topics()["Topics"][0]["TopicArn"].endswith(":t")
    assert client("sqs").list_queues()["QueueUrls"][0].endswith("/q")
    assert client("dynamodb").describe_table(TableName="table")["Table"]["TableStatus"] == "ACTIVE"
    assert vpc in {found["VpcId"] for found in client("ec2").describe_vpcs()["Vpcs"]}
    assert client("ecs").describe_clusters(clusters=["c"])["clusters"][0]["status"] == "ACTIVE"
    # and it goes on: what was read can be changed, and written again
    client("ssm").put_parameter(Name="/p", Type="String", Value="w", Overwrite=True)
    client("iam").delete_role(RoleName="role")
    restart(StateDirectory(tmp_path))
    assert client("ssm").get_parameter(Name="/p")["Parameter"]["Version"] == 2


def test_what_pickle_does_not_know_comes_back() -> None:
    base = 2

    def add(number: int = 1) -> int:
        return base + number

    lock = threading.RLock()
    with lock:
        copy = pickling.loads(pickling.dumps({"lock": lock, "add": add, "thread": threading.current_thread()}))

    assert copy["lock"].acquire(blocking=False), "a lock comes back open"
    assert (copy["add"](), copy["add"](5)) == (3, 7)
    assert copy["thread"] is None


def test_stacks_are_read_back_as_they_were(engine: Engine, tmp_path: Path) -> None:
    stack = engine.deploy("s", template({"A": parameter("1")}, Outputs={"O": {"Value": {"Ref": "A"}}}), tags={"a": "b"})
    directory = StateDirectory(tmp_path)

    directory.save(engine.world.stacks, 1)

    assert directory.load().stacks == {stack.id: stack}


def test_no_state_is_no_fault(tmp_path: Path) -> None:
    assert StateDirectory(tmp_path).load() == state.Loaded({}, None)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], "it is damaged"),
        (lambda content: content[:-1] + b"?", "it is damaged"),
        (lambda _content: b"", "it is damaged"),
        (lambda _content: b"not ours at all", "it is damaged"),
        (lambda _content: b"[1]\n", "it is damaged"),
        (
            lambda content: content.replace(b'"moto": "', b'"moto": "0.'),
            r"it was written with moto 0\.\d.*, and this is moto \d",
        ),
        (lambda content: content.replace(b'"python": "3.', b'"python": "2.'), "it was written with python 2."),
        (
            lambda content: content.replace(f'"format": "{FORMAT}"'.encode(), b'"format": "other"'),
            f"it was written with format other, and this is format {FORMAT}",
        ),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_in_plain_words(tmp_path: Path, damage: Any, message: str) -> None:
    directory = StateDirectory(tmp_path)
    directory.save({}, 1)
    file = tmp_path / "state.bin"
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(StateError, match=message) as refusal:
        directory.load()

    assert "remove the file to begin anew" in str(refusal.value)


def test_a_class_that_is_gone_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Passing:
        pass

    monkeypatch.setattr(state, "Passing", Passing, raising=False)
    Passing.__module__, Passing.__qualname__ = state.__name__, "Passing"
    directory = StateDirectory(tmp_path)
    directory.save({"x": Passing()}, 1)  # type: ignore[dict-item]
    monkeypatch.undo()

    with pytest.raises(StateError, match="it cannot be read back"):
        directory.load()


def test_a_write_that_breaks_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = StateDirectory(tmp_path)
    directory.save({}, 1)
    monkeypatch.setattr("os.fsync", lambda _file: (_ for _ in ()).throw(OSError("no space left")))

    with pytest.raises(OSError, match="no space left"):
        directory.save({}, 2)

    assert directory.load().port == 1


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save({}, 1)

    assert (tmp_path / "state.bin").stat().st_mode & 0o077 == 0


def test_a_directory_has_one_server(tmp_path: Path) -> None:
    first, second = StateDirectory(tmp_path), StateDirectory(tmp_path)
    first.lock()
    first.publish({"pid": 7, "endpoint": "http://127.0.0.1:1"})

    with pytest.raises(StateError, match=r"a local AWS runs on .* already \(pid 7, http://127.0.0.1:1\)"):
        second.lock()

    first.unlock()
    second.lock()
    assert not (tmp_path / "server.json").exists(), "the address of a server that is gone must not be found"
    second.unlock()


def test_the_address_is_json(tmp_path: Path) -> None:
    StateDirectory(tmp_path).publish({"pid": 7})

    assert json.loads((tmp_path / "server.json").read_text()) == {"pid": 7}


# -- what a stopped server left in the middle


def test_a_deployment_that_was_cut_off_is_rolled_back(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))
    stack = engine.deploy(
        "s", template({"A": parameter("2"), "B": parameter("cannot be created", DependsOn="A")}), disable_rollback=True
    )
    stack.status = "UPDATE_IN_PROGRESS"  # as it would stand on disk, had the server been killed

    engine.operations.resume()
    engine.ended(stack)

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.handler.inventory["A-1"]["Value"] == "1"
    assert "The local AWS was stopped during the operation" in [event.reason for event in stack.events]


def test_a_clean_up_that_was_cut_off_goes_on(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1"), "B": parameter("2")}))
    stack.garbage = [stack.resources.pop("B")]
    stack.status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"

    engine.operations.resume()
    engine.ended(stack)

    assert stack.status == "UPDATE_COMPLETE"
    assert engine.handler.names() == {"A-1"}


def test_a_delete_that_was_cut_off_can_be_tried_again(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1")}))
    stack.status = "DELETE_IN_PROGRESS"

    engine.operations.resume()

    assert stack.status == "DELETE_FAILED"
    assert engine.delete("s").status == "DELETE_COMPLETE"


# -- the gate and the keeper


def test_a_status_is_not_seen_before_it_is_on_disk(engine: Engine) -> None:
    saved: list[str] = []
    stacks = engine.world.stacks
    keeper = Keeper(engine.world.gate, lambda: saved.extend(stack.status for stack in stacks.values()))
    engine.world.commit = keeper.commit

    engine.deploy("s", template({"A": parameter("1")}))

    assert saved == ["CREATE_COMPLETE"]


def test_a_save_in_the_middle_of_a_deployment_knows_all_that_was_made(engine: Engine) -> None:
    gate = engine.world.gate
    seen: list[tuple[set[str], set[str | None]]] = []

    def look() -> None:
        (stack,) = engine.world.stacks.values()
        seen.append((engine.handler.names(), {step.after.physical_id for step in stack.journal}))

    savers: list[threading.Thread] = []

    def save_now(_name: str) -> None:
        savers.append(threading.Thread(target=Keeper(gate, look).commit, args=(lambda: None,)))
        savers[-1].start()
        while not gate.is_wanted:
            time.sleep(0.001)

    engine.handler.after_create = save_now
    engine.deploy("s", template({"A": parameter("1"), "B": parameter("2")}))
    for saver in savers:
        saver.join(10)

    assert [made for made, _ in seen] == [{"A-1"}, {"A-1", "B-2"}]
    assert seen[0][1] == {"A-1"}, "whoever reads this can take the deployment back"


def test_a_save_that_fails_does_not_fail_the_deployment(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def full() -> None:
        raise OSError("no space left")

    engine.world.commit = Keeper(engine.world.gate, full).commit

    stack = engine.deploy("s", template({"A": parameter("1")}))

    assert statuses(stack, "s")[-1] == "CREATE_COMPLETE"
    assert "the state could not be saved" in caplog.text


def test_the_gate_closes_between_steps_and_keeps_requests_out_while_closed() -> None:
    gate = Gate()
    seen: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def step() -> None:
        with gate.step():
            inside.set()
            go.wait(10)
            with gate.request():  # a step makes requests of its own, also while a save waits for it
                seen.append("request of the step")
        seen.append("step")

    worker = threading.Thread(target=step)
    worker.start()
    inside.wait(10)

    def save() -> None:
        with gate.closed(10) as is_empty:
            seen.append(f"save, alone: {is_empty}")

    saver = threading.Thread(target=save)
    saver.start()
    go.set()
    worker.join(10)
    saver.join(10)

    assert seen[0] == "request of the step"
    assert sorted(seen[1:]) == ["save, alone: True", "step"]


def test_a_new_step_waits_for_a_save_that_waits() -> None:
    gate = Gate()
    order: list[str] = []
    release = threading.Event()

    def save() -> None:
        with gate.closed(10):
            order.append("save")

    def step() -> None:
        with gate.step():
            order.append("next step")

    with gate.step():
        saver = threading.Thread(target=save)
        saver.start()
        while not gate.is_wanted:
            release.wait(0.001)
        following = threading.Thread(target=step)
        following.start()
        following.join(0.05)
        assert order == []
    saver.join(10)
    following.join(10)

    assert order == ["save", "next step"]


def test_a_change_is_made_while_nobody_looks() -> None:
    gate = Gate()
    changed, saved = threading.Event(), threading.Event()
    committer = threading.Thread(target=Keeper(gate, saved.set).commit, args=(changed.set,))

    with gate.request():
        committer.start()
        assert not changed.wait(0.05), "a request that is being answered sees one state and not two"
    committer.join(10)

    assert changed.is_set()
    assert saved.is_set()


def test_the_gate_has_limited_patience() -> None:
    gate = Gate()

    with gate.request(), gate.closed(0.01) as is_empty:
        assert not is_empty


def test_a_request_is_saved_soon_after() -> None:
    saved = threading.Event()
    keeper = Keeper(Gate(), saved.set)
    keeper.start()
    began = time.monotonic()

    keeper.touch()

    assert saved.wait(10)
    assert time.monotonic() - began >= 0.4, "several requests in a row are saved once"
    keeper.stop()
