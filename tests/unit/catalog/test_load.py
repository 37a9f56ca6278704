"""Defaults, warnings, what is told although something else is wrong, and environments by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, CatalogError, check_catalog, load_catalog, load_environment
from catalog.load import ENVIRONMENTS, check_environment, environment_names

CASES = Path(__file__).parents[2] / "cases"
HEAD = "groups:\n  game: {description: The game., gateway: true}\ndefaults:\n  owner: platform\n  image: {tag: v1}\n"


def messages(folder: Path, text: str) -> list[str]:
    file = folder / "catalog.yaml"
    file.write_text(text, encoding="utf-8")
    return [str(fault).removeprefix(f"{file}:") for fault in check_catalog(file).faults]


@pytest.fixture(name="replaced")
def replaced_defaults() -> Catalog:
    return load_catalog(CASES / "good" / "replaced_defaults.yaml")


def test_mappings_merge_at_every_depth(replaced: Catalog) -> None:
    quest, state = replaced.services["quest-nats"], replaced.services["state-nats"]

    assert quest.environment == {"LOG_LEVEL": "debug", "REGION": "north"}
    assert state.autoscaling is not None
    assert (state.autoscaling.min, state.autoscaling.max) == (3, 12)


def test_lists_and_scalars_are_replaced(replaced: Catalog) -> None:
    assert replaced.services["quest-nats"].command == ["python", "-m", "service"]
    assert replaced.services["state-nats"].command == ["state"]


def test_null_takes_a_default_away(replaced: Catalog) -> None:
    quest = replaced.services["quest-nats"]

    assert quest.autoscaling is None
    assert quest.image.tag is None
    assert quest.image.repository == "reference-service"


def test_defaults_do_not_count_among_the_groups_and_services() -> None:
    catalog = load_catalog(CASES / "good" / "small.yaml")

    assert [service.name for service in catalog.enabled] == ["state-manager-nats", "http-nats-gateway"]
    assert [service.name for service in catalog.disabled] == ["quest-system-nats"]


def test_defaults_may_not_multiply_without_bound(tmp_path: Path) -> None:
    tags = "".join(f"    tag-{number}: x\n" for number in range(1000))
    services = "".join(f"  a{number}-nats: {{group: game, description: d}}\n" for number in range(3000))

    (told,) = messages(tmp_path, f"{HEAD}  tags:\n{tags}services:\n{services}")

    assert told.startswith("4:3: defaults: with 3,000 services they stand for more than 2,000,000 values")


def test_call_of_a_disabled_service_is_a_warning(tmp_path: Path) -> None:
    text = (
        f"{HEAD}services:\n"
        "  quest-nats: {group: game, description: d, enabled: false, reason: later,"
        " nats: {serves: {quest.get: {request: a.A, reply: a.B}}}}\n"
        "  state-nats: {group: game, description: d, nats: {calls: [quest.get]}}\n"
        "  world-nats: {group: game, description: d, enabled: false, reason: later, nats: {calls: [quest.get]}}\n"
    )

    (told,) = messages(tmp_path, text)
    assert told.startswith(
        "8:60: warning: services.state-nats.nats.calls[0]: state-nats calls 'quest.get', which only quest-nats"
    )
    assert check_catalog(tmp_path / "catalog.yaml").catalog is not None


def test_enabled_service_may_have_a_reason(tmp_path: Path) -> None:
    assert messages(tmp_path, f"{HEAD}services:\n  a1-nats: {{group: game, description: d, reason: was off}}\n") == []


def test_routes_without_a_gateway_are_a_warning(tmp_path: Path) -> None:
    text = (
        f"{HEAD.replace('true', 'false')}services:\n"
        "  quest-nats: {group: game, description: d, nats: {serves: {quest.get: {request: a.A, reply: a.B}}},"
        " routes: [{method: GET, path: /q, subject: quest.get, allow: [player]}]}\n"
    )

    assert [told.split(": ")[1] for told in messages(tmp_path, text)] == ["warning"]


def test_caller_is_not_blamed_for_a_fault_of_who_serves_it(tmp_path: Path) -> None:
    text = (
        f"{HEAD}services:\n"
        "  Quest: {group: game, description: d, cpu: 1, nats: {serves: {quest.get: {request: a.A, reply: a}}}}\n"
        "  state-nats: {group: game, description: d, nats: {calls: [quest.get]}}\n"
    )

    assert [told.split(":")[0] for told in messages(tmp_path, text)] == ["7", "7", "7"]


@pytest.mark.parametrize(
    "wrong",
    [
        "cpu: 300, memory: 4096",
        "cpu: 4096, memory: lots",
        "autoscaling: {min: 1, max: 3}, replicas: 9",
        "health_check: {interval_seconds: 0, timeout_seconds: 40}",
        "alarms: {cpu: {evaluation_periods: 0, datapoints_to_alarm: 50}}",
        "replicas: 0, alarms: {tasks: {min_running: 9}}",
        "image: {tag: 5}",
        "enabled: false, reason: 5",
        "group: 5",
    ],
)
def test_one_wrong_value_is_one_fault(tmp_path: Path, wrong: str) -> None:
    entry = wrong if "group" in wrong else f"group: game, {wrong}"

    assert len(messages(tmp_path, f"{HEAD}services:\n  a1-nats: {{description: d, {entry}}}\n")) == 1


def test_rules_look_at_an_entry_that_lacks_much(tmp_path: Path) -> None:
    told = messages(tmp_path, "groups: {game: {description: d}}\nservices:\n  operator: {cpu: 256, memory: 4096}\n")

    assert [line.split(": ")[1] for line in told] == [
        "services.operator.group",
        "services.operator.description",
        "services.operator.owner",
        "services.operator.image",
        "services.operator",
        "services.operator.memory",
    ]


@pytest.mark.parametrize("name", ["local", "dev", "staging", "prod"])
def test_environment_is_found_by_its_name(name: str) -> None:
    assert load_environment(name).name == name
    assert check_environment(ENVIRONMENTS / f"{name}.yaml").faults == ()


@pytest.mark.parametrize("name", ["prd", "../prod", "", "prod.yaml", "/etc/passwd", "a\0b"])
def test_unknown_environment_names_those_that_there_are(name: str) -> None:
    with pytest.raises(CatalogError, match="there are dev, local, prod and staging"):
        load_environment(name)


def test_environment_near_another_is_suggested() -> None:
    with pytest.raises(CatalogError, match=r"did you mean 'prod'\?"):
        load_environment("prd")


def test_folder_without_environments(tmp_path: Path) -> None:
    assert environment_names(tmp_path / "nowhere") == []
    with pytest.raises(CatalogError, match="there are nothing"):
        load_environment("prod", tmp_path)


def test_bad_environment_is_refused_with_its_faults() -> None:
    with pytest.raises(CatalogError) as refused:
        load_environment("zones", CASES / "bad_environments")

    assert len(refused.value.faults) == 2


def test_environment_that_nobody_would_hear_from_is_warned_of(tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "prod.yaml").read_text(encoding="utf-8")
    (tmp_path / "prod.yaml").write_text(text[: text.index("alerts:")] + text[text.index("nats:") :], encoding="utf-8")

    checked = check_environment(tmp_path / "prod.yaml")

    assert checked.environment is not None
    assert [(fault.key, fault.severity) for fault in checked.faults] == [("alerts.subscriptions", "warning")]


def test_shards_are_warned_of_since_the_sdks_cache_knows_none(tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "prod.yaml").read_text(encoding="utf-8")
    assert text.count("\ncache:\n") == 1
    sharded = text.replace("\ncache:\n", "\ncache:\n  cluster_mode: true\n  shards: 2\n")
    (tmp_path / "prod.yaml").write_text(sharded, encoding="utf-8")

    checked = check_environment(tmp_path / "prod.yaml")

    assert checked.environment is not None
    assert [(fault.key, fault.severity) for fault in checked.faults] == [("cache.cluster_mode", "warning")]


def test_spot_share_without_spot_is_warned_of(tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "prod.yaml").read_text(encoding="utf-8")
    (tmp_path / "prod.yaml").write_text(f"{text}\nfargate:\n  min_spot_percent: 50\n", encoding="utf-8")

    assert [fault.key for fault in check_environment(tmp_path / "prod.yaml").faults] == ["fargate.min_spot_percent"]
