"""The frame of the drills: alone, on a whole fleet, with a way back whatever ends them; and how the command asks and tells."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleet.cli.app import app
from fleet.drills import frame, whole
from fleet.drills.field import Field
from fleet.drills.findings import Finding, Notes, Outcome
from fleet.drills.frame import Drill, run_drill
from fleet.drills.load import Timeline, questions_of
from fleet.drills.lock import KEY, alone
from fleet.drills.registry import DRILLS
from fleet.errors import InputError, WantingError
from fleet.verify.scope import Scope
from proto.generated.gaming.game.v1.state_pb2 import GetStateRequest
from tests.unit.fleet.quiet import Notes as QuietStep
from tests.unit.fleet.right_account import (
    ACCOUNT,
    NATS_BUCKET,
    RightAccount,
    WithoutTasks,
    catalog,
    environment,
)

GAME = "state-manager-nats"


@pytest.fixture
def scope(right: RightAccount) -> Scope:
    """An environment in AWS, where a drill has no load of its own."""
    return Scope(catalog(), environment(), right.account)


@pytest.fixture
def fleet_is_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is wanting of the fleet: nothing, unless a test says so."""
    faults: list[str] = []

    async def wanting(_: Field) -> list[str]:
        return list(faults)

    monkeypatch.setattr(frame, "wanting", wanting)
    monkeypatch.setattr(frame, "WHOLE_SECONDS", 0.0)
    return faults


def drill(run: Callable[[Field], Awaitable[None]], *, in_aws: bool = True) -> Drill:
    return Drill("a-drill", "Break something.", run, in_aws)


async def breaks_nothing(field: Field) -> None:
    field.target = "nothing"
    field.notes.expect("it works", "it does", good=True)


def held(right: RightAccount) -> dict[str, Any] | None:
    listed = right.s3.list_objects_v2(Bucket=NATS_BUCKET, Prefix=KEY)
    if not listed["KeyCount"]:
        return None
    plain: dict[str, Any] = json.loads(right.s3.get_object(Bucket=NATS_BUCKET, Key=KEY)["Body"].read())
    return plain


# ------------------------------------------------------------------------------------------------------------------ lock


def test_two_drills_at_once_are_refused(scope: Scope) -> None:
    with (
        alone(scope, "first"),
        pytest.raises(InputError, match="first runs in test since") as refused,
        alone(scope, "second"),
    ):
        pytest.fail("it was let in")
    assert f"aws s3 rm s3://{NATS_BUCKET}/{KEY}" in str(refused.value)


def test_a_lock_is_gone_whatever_ended_the_drill(scope: Scope, right: RightAccount) -> None:
    def breaks() -> None:
        with alone(scope, "first"):
            assert held(right) is not None
            raise WantingError("it broke")

    with pytest.raises(WantingError):
        breaks()
    assert held(right) is None


@pytest.mark.parametrize(
    "change", [{"pid": 2**22 + 1}, {"process_started": 1.0}, {"since": "2020-01-01T00:00:00+00:00"}]
)
def test_the_lock_of_a_drill_that_was_killed_holds_nobody_up(
    scope: Scope, right: RightAccount, change: dict[str, Any]
) -> None:
    with alone(scope, "first"):
        lock = {**(held(right) or {}), **change}
        right.s3.put_object(Bucket=NATS_BUCKET, Key=KEY, Body=json.dumps(lock).encode())
        with alone(scope, "second"):
            assert (held(right) or {})["drill"] == "second"


def test_a_lock_of_another_machine_holds_until_no_drill_takes_so_long(scope: Scope, right: RightAccount) -> None:
    lock = {"drill": "theirs", "host": "elsewhere", "pid": 1, "process_started": 1.0}
    for hours, is_held in ((1, True), (3, False)):
        since = datetime.now(UTC) - timedelta(hours=hours)
        body = json.dumps({**lock, "since": since.isoformat()}).encode()
        right.s3.put_object(Bucket=NATS_BUCKET, Key=KEY, Body=body)
        if is_held:
            with pytest.raises(InputError, match="on elsewhere"), alone(scope, "mine"):
                pytest.fail("it was let in")
        else:
            with alone(scope, "mine"):
                pass


# ----------------------------------------------------------------------------------------------------------------- frame


def test_a_drill_tells_what_was_expected_and_what_was_observed(scope: Scope, fleet_is_whole: list[str]) -> None:
    del fleet_is_whole
    outcome = run_drill(drill(breaks_nothing), scope, QuietStep())
    assert outcome.passed
    assert [(one.expected, one.status) for one in outcome.findings] == [
        ("it works", "held"),
        ("the fleet is as it was found: every task, node and cache healthy", "held"),
        ("no message that JetStream has acknowledged is lost", "not seen"),
    ]
    told = json.loads(json.dumps(outcome.to_plain()))
    assert (told["drill"], told["target"], told["passed"]) == ("a-drill", "nothing", True)


def test_a_fleet_that_is_not_whole_is_not_broken_further(
    scope: Scope, right: RightAccount, fleet_is_whole: list[str]
) -> None:
    fleet_is_whole.append("settings-nats has 1 of 2 tasks")
    with pytest.raises(InputError, match="not whole, so a drill would tell nothing: settings-nats has 1 of 2 tasks"):
        run_drill(drill(breaks_nothing), scope, QuietStep())
    assert held(right) is None


def test_a_fleet_that_stays_broken_is_told(scope: Scope, fleet_is_whole: list[str]) -> None:
    async def breaks(field: Field) -> None:
        await breaks_nothing(field)
        fleet_is_whole.append("nats-1 is down")

    outcome = run_drill(drill(breaks), scope, QuietStep())
    assert not outcome.passed
    assert [one.expected.partition(":")[0] for one in outcome.broken] == ["the fleet is as it was found"]


@pytest.mark.usefixtures("fleet_is_whole")
def test_what_was_broken_is_put_back_last_first(scope: Scope) -> None:
    done: list[str] = []

    async def breaks(field: Field) -> None:
        for what in ("first", "second"):

            async def put_back(what: str = what) -> None:
                done.append(what)

            field.after(put_back)
        raise WantingError("the drill itself broke")

    with pytest.raises(WantingError, match="itself broke"):
        run_drill(drill(breaks), scope, QuietStep())
    assert done == ["second", "first"]


@pytest.mark.usefixtures("fleet_is_whole")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_puts_back_what_it_broke(
    scope: Scope, right: RightAccount, number: signal.Signals
) -> None:
    done: list[str] = []

    async def breaks(field: Field) -> None:
        async def put_back() -> None:
            await field.call(done.append, "put back")

        field.after(put_back)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        await asyncio.sleep(60)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run_drill(drill(breaks), scope, QuietStep())
    assert done == ["put back"]
    assert held(right) is None


@pytest.mark.usefixtures("fleet_is_whole")
def test_what_cannot_be_put_back_is_told_and_the_rest_is_put_back(scope: Scope) -> None:
    done: list[str] = []

    async def breaks(field: Field) -> None:
        async def puts_back() -> None:
            done.append("put back")

        async def fails() -> None:
            raise InputError("it is gone")

        await breaks_nothing(field)
        field.after(puts_back)
        field.after(fails)

    outcome = run_drill(drill(breaks), scope, QuietStep())
    assert done == ["put back"]
    assert [one.observed for one in outcome.broken] == ["it is gone"]


def test_what_aws_cannot_break_is_refused_there(scope: Scope) -> None:
    with pytest.raises(InputError, match="local environment alone"):
        run_drill(drill(breaks_nothing, in_aws=False), scope, QuietStep())


def test_without_the_plane_there_is_nothing_to_break(right: RightAccount) -> None:
    resting = Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT))
    with pytest.raises(InputError, match="fleet local up"):
        run_drill(drill(breaks_nothing), resting, QuietStep())


@pytest.mark.parametrize(
    ("findings", "passed"),
    [
        ([], False),
        ([Finding("a", "b", "not seen")], False),
        ([Finding("a", "b", "held"), Finding("a", "b", "not seen")], True),
        ([Finding("a", "b", "held"), Finding("a", "b", "broken")], False),
    ],
    ids=["nothing", "nothing seen", "one held", "one broken"],
)
def test_a_drill_passes_where_something_was_seen_and_nothing_was_broken(findings: list[Finding], passed: bool) -> None:  # noqa: FBT001
    assert Outcome("a", "b", "c", datetime.now(UTC), 1.0, findings).passed is passed


# ----------------------------------------------------------------------------------------------------------------- field


async def test_what_never_comes_is_told_with_how_long_it_was_waited_for(scope: Scope) -> None:
    field = Field(scope, QuietStep(), datetime.now(UTC), notes=Notes())

    async def never() -> bool:
        return False

    assert not await field.expect_within("it comes", never, 0.0)
    assert field.notes.findings == [Finding("it comes", "not within 0 s", "broken")]


def test_the_service_that_is_named_must_fit(scope: Scope) -> None:
    assert Field(scope, QuietStep(), datetime.now(UTC), service=GAME).a_service(cache=True).name == GAME
    with pytest.raises(InputError, match="no enabled service called http-nats-gateway has a route that reads"):
        Field(scope, QuietStep(), datetime.now(UTC), service="http-nats-gateway").a_service()


async def test_an_alarm_counts_that_went_off_since_the_drill_began(scope: Scope, right: RightAccount) -> None:
    alarm = f"{GAME}-tasks-low-test"
    right.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="too few")
    before = Field(scope, QuietStep(), datetime.now(UTC) - timedelta(minutes=1))
    after = Field(scope, QuietStep(), datetime.now(UTC) + timedelta(minutes=1))
    assert await before.alarm_is(alarm, "ALARM")
    assert not await after.alarm_came_to(alarm, "ALARM")


def test_only_requests_that_read_are_asked_of_services() -> None:
    (question,) = questions_of(catalog().enabled)
    assert (question.subject, question.seconds) == ("game.state.get", 2.0)
    assert GetStateRequest.FromString(question.body).player_id


def test_a_gap_counts_that_has_not_ended_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("fleet.drills.load.time.monotonic", lambda: now[0])
    timeline = Timeline(_last=100.0)
    for moment in (101.0, 104.0, 105.0):
        now[0] = moment
        timeline.note()
    assert (timeline.count, timeline.longest_gap_seconds) == (3, 3.0)
    now[0] = 112.0
    assert timeline.gap_seconds() == 7.0


async def test_a_service_with_too_few_tasks_is_no_whole_fleet(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "task", lambda *_: {"wanted": {}, "nodes": {}})
    found = await whole.wanting(Field(scope, QuietStep(), datetime.now(UTC)))
    assert f"{GAME} has 0 of 2 tasks" in found
    assert "nats-1 has no machine that runs" in found


# --------------------------------------------------------------------------------------------------------------- command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["drill", *arguments], prog_name="fleet")


def test_every_drill_of_the_issue_is_there() -> None:
    assert list(DRILLS) == [
        "kill-task", "kill-node", "pause-node", "partition", "expire-certificate", "fill-disk", "slow-responder",
        "cache-failover", "bad-deployment",
    ]  # fmt: skip
    listed = json.loads(run("--list", "--format", "json").stdout)
    assert [one["name"] for one in listed] == list(DRILLS)
    assert {one["name"] for one in listed if "AWS" not in one["where"]} == {
        "partition", "expire-certificate", "slow-responder",
    }  # fmt: skip


def test_an_unknown_drill_is_told_with_the_one_that_was_meant() -> None:
    done = run("kill-tasks")
    assert done.exit_code == 2
    assert "did you mean 'kill-task'?" in done.stderr


@pytest.fixture
def in_aws(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.cli.drill_command.open_account", lambda _: right.account)


@pytest.mark.usefixtures("in_aws")
def test_production_must_be_named_as_such() -> None:
    done = run("kill-task", "--env", "prod", "--yes")
    assert done.exit_code == 2
    assert "--production" in done.stderr


@pytest.mark.usefixtures("in_aws")
@pytest.mark.parametrize("options", [("--env", "dev"), ("--env", "prod", "--production")])
def test_in_aws_somebody_must_say_yes(options: tuple[str, ...]) -> None:
    done = run("kill-task", *options)
    assert done.exit_code == 2
    assert "there is no terminal to ask on" in done.stderr


@pytest.mark.usefixtures("in_aws")
@pytest.mark.parametrize(("status", "code"), [("held", 0), ("broken", 1)])
def test_the_command_prints_each_finding_and_ends_with_what_they_come_to(
    monkeypatch: pytest.MonkeyPatch, status: Any, code: int
) -> None:
    found = Outcome("kill-task", "dev", GAME, datetime.now(UTC), 12.0, [Finding("it heals", "after 3.0 s", status)])
    monkeypatch.setattr("fleet.cli.drill_command.run_drill", lambda *_: found)
    done = run("kill-task", "--env", "dev", "--yes")
    assert done.exit_code == code
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["it", "heals", "after", "3.0", "s", status]
    assert lines[-1].startswith(f"kill-task of {GAME} in dev: ")
    plain = json.loads(run("kill-task", "--env", "dev", "--yes", "--format", "json").stdout)
    assert plain["findings"] == [{"expected": "it heals", "observed": "after 3.0 s", "status": status}]
