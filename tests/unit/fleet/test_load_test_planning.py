"""From options and scenarios to a plan; what is wrong is told with its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, CatalogError, load_catalog
from catalog.digest import catalog_digest
from fleet.errors import InputError
from fleet.load_test.planning import Wishes, make_plan, new_run
from fleet.load_test.scenario import load_scenario
from load_test.plan import Plan, Stage
from tests.nats_machines import ROOT

CATALOG = load_catalog(ROOT / "service_catalog.yaml")

GOOD = """\
seed: 7
max_in_flight: 50
stages:
  - { rate: 100, start: 0, seconds: 10, warm_up: true }
  - { rate: 100, seconds: 60 }
  - { rate: 300, seconds: 30 }
  - { callers: 20, seconds: 10 }
mix:
  - subject: quest.get
    weight: 3
    bodies:
      - { quest_id: lost-lantern, player_id: "p-{n}" }
      - { questId: wolf-song }
  - { subject: settings.get, accepts: [NOT_FOUND, UNAVAILABLE] }
"""

BAD = """\
stages:
  - { rate: 100, callers: 5, seconds: 10 }
  - { seconds: 10 }
  - { rate: 0, seconds: 10 }
mix:
  - { subject: quest.gett }
  - { subject: quest.accept }
  - subject: quest.get
    weight: 0
    accepts: [NOT_FOUNT]
    bodies:
      - { quest: lost-lantern }
"""

BAD_TOLD = """\
bad.yaml:2:5: stages[0]: has both `rate` and `callers`; give one
bad.yaml:3:5: stages[1]: has neither `rate` nor `callers`; give one
bad.yaml:4:5: stages[2]: asks nothing from its beginning to its end
bad.yaml:6:16: mix[0].subject: no enabled service answers 'quest.gett'; did you mean 'quest.get'?
bad.yaml:7:16: mix[1].subject: 'quest.accept' is not idempotent, and NATS lets a load test ask nothing else
bad.yaml:9:13: mix[2].weight: 0 is out of range; allowed: above 0, up to 1000000
bad.yaml:10:15: mix[2].accepts[0]: 'NOT_FOUNT' is no code of an error; allowed: """


def planned(wishes: Wishes, catalog: Catalog = CATALOG, workers: int = 1) -> Plan:
    return make_plan(catalog, "local", wishes.as_scenario(), wishes, run="r", workers=workers)


def scenario_file(folder: Path, text: str) -> Path:
    file = folder / "scenario.yaml"
    file.write_text(text)
    return file


def test_options_are_a_ramp_that_does_not_count_and_a_stage_that_does() -> None:
    plan = planned(Wishes(rate=50, seconds=30, ramp_seconds=5))

    assert plan.stages == (Stage("rate", 0, 50, 5, measured=False), Stage("rate", 50, 50, 30))
    assert (plan.seconds, plan.measured_seconds) == (35, 30)


def test_callers_come_in_the_place_of_a_rate() -> None:
    assert planned(Wishes(callers=8, seconds=30, ramp_seconds=0)).stages == (Stage("callers", 8, 8, 30),)


def test_the_mix_is_what_may_be_asked_each_as_often_as_the_others() -> None:
    plan = planned(Wishes())

    assert len(plan.targets) == 40
    assert {target.weight for target in plan.targets} == {1.0}
    assert {target.accepts for target in plan.targets} == {("NOT_FOUND",)}


def test_what_writes_is_asked_where_it_is_wanted() -> None:
    assert {target.subject for target in planned(Wishes(writes=True)).targets} >= {"settings.put", "event.publish"}


def test_a_subject_that_is_named_is_asked_whatever_it_does() -> None:
    assert [target.subject for target in planned(Wishes(subjects=["time.scale.set"])).targets] == ["time.scale.set"]


def test_only_the_services_that_are_named_are_asked() -> None:
    assert {target.service for target in planned(Wishes(services=["quest-system-nats"])).targets} == {
        "quest-system-nats"
    }


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (Wishes(services=["quest-sistem-nats"]), "no enabled service is called 'quest-sistem-nats'; did you mean"),
        (Wishes(subjects=["quest.gett"]), "no enabled service answers 'quest.gett'; did you mean 'quest.get'?"),
        (Wishes(subjects=["quest.accept"]), "'quest.accept' is not idempotent"),
        (Wishes(services=["http-nats-gateway"]), "nothing is left to ask"),
    ],
)
def test_what_cannot_be_asked_is_told(wishes: Wishes, told: str) -> None:
    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        planned(wishes)


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = planned(Wishes(writes=True), workers=3)

    assert Plan.from_plain(json.loads(json.dumps(plan.to_plain()))) == plan


def test_a_plan_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="schema 99"):
        Plan.from_plain({**planned(Wishes()).to_plain(), "schema": 99})


def test_the_same_seed_asks_in_the_same_order() -> None:
    one, other = planned(Wishes(seed=3)), planned(Wishes(seed=4))

    assert one.cycle() == planned(Wishes(seed=3)).cycle() != other.cycle()
    assert set(one.cycle()) == set(range(len(one.targets)))


def test_runs_are_named_in_the_order_of_time() -> None:
    early, late = (new_run(datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC)) for second in (5, 6))

    assert early.startswith("20260102T030405Z-")
    assert early < late


def test_the_digest_is_of_what_is_enabled() -> None:
    services = {name: service for name, service in CATALOG.services.items() if service.enabled}
    changed = services | {"quest-system-nats": services["quest-system-nats"].model_copy(update={"memory": 1024})}

    assert catalog_digest(CATALOG.model_copy(update={"services": services})) == catalog_digest(CATALOG)
    assert catalog_digest(CATALOG.model_copy(update={"services": changed})) != catalog_digest(CATALOG)


def test_a_scenario_says_stages_mix_and_bodies(tmp_path: Path) -> None:
    scenario = load_scenario(scenario_file(tmp_path, GOOD), CATALOG)

    plan = make_plan(CATALOG, "local", scenario, Wishes(), run="r", workers=2)

    assert (plan.seed, plan.max_in_flight, plan.workers) == (7, 50, 2)
    assert plan.stages == (
        Stage("rate", 0, 100, 10, measured=False),
        Stage("rate", 100, 100, 60),
        Stage("rate", 100, 300, 30),
        Stage("callers", 20, 20, 10),
    )
    quest, settings = plan.targets
    assert (quest.weight, len(quest.bodies), quest.accepts) == (3, 17, ())
    assert (settings.weight, settings.accepts) == (1, ("NOT_FOUND", "UNAVAILABLE"))
    assert settings.bodies


def test_every_fault_of_a_scenario_is_told_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(BAD)

    with pytest.raises(CatalogError) as refused:
        load_scenario(Path("bad.yaml"), CATALOG)

    told = str(refused.value)
    assert told.startswith(BAD_TOLD), told
    assert "did you mean 'NOT_FOUND'?\nbad.yaml:12:9: mix[2].bodies[0]: is no gaming.game.v1.GetQuestRequest" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stages: []\n", "holds nothing; at least 1 must be given"),
        ("stages: [{ rate: 1, seconds: 1, warm_up: true }]\n", "only warm up; at least one must count"),
        ("stages: [{ rate: 1, seconds: 80000 }, { rate: 1, seconds: 80000 }]\n", "at most a day"),
        ("stages: [{ rate: 1, second: 1 }]\n", "unknown key 'second'; allowed: callers, rate, seconds, start, warm_up"),
        ("stages: [{ rate: 10, seconds: 90000 }]\n", "90000 is out of range; allowed: above 0, up to 86400"),
        ("rate: 5\n", "stages: is required"),
    ],
)
def test_a_scenario_that_cannot_be_run_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CatalogError) as refused:
        load_scenario(scenario_file(tmp_path, text), CATALOG)

    assert told in str(refused.value)


def test_a_plan_that_no_worker_could_read_is_refused(tmp_path: Path) -> None:
    large: Any = json.dumps({"quest_id": "x" * 1_000_000})
    text = f"stages: [{{ rate: 1, seconds: 1 }}]\nmix: [{{ subject: quest.get, bodies: [{large}] }}]\n"
    scenario = load_scenario(scenario_file(tmp_path, text), CATALOG)

    with pytest.raises(InputError, match="fewer or smaller bodies"):
        make_plan(CATALOG, "local", scenario, Wishes(), run="r", workers=1)
