"""What holds for the fleet of any valid catalog.

Few examples, since each is a synthesis, and always the same ones, so that a build that fails fails again.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from catalog import Catalog, Environment, load_environment, names
from stacks.budget import MAX_DYNAMIC_REFERENCES, MAX_RESOURCES, MAX_TEMPLATE_BYTES
from tests import limits
from tests.strategies import catalogs
from tests.synthesis import Fleet, changed, renamed, small_catalog, synthesise

few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def longest() -> Environment:
    """Return an environment whose names are as long as they may be."""
    return load_environment("staging").model_copy(update={"name": "e" * names.LONGEST_ENVIRONMENT_NAME})


def over_budget(fleet: Fleet) -> list[str]:
    return [
        part
        for part, template in fleet.templates.items()
        if len(template["Resources"]) > MAX_RESOURCES
        or len(json.dumps(template, indent=1).encode()) > MAX_TEMPLATE_BYTES
        or json.dumps(template).count("{{resolve:") > MAX_DYNAMIC_REFERENCES
    ]


@few
@given(catalogs())
def test_any_catalog_becomes_a_fleet_that_aws_takes(catalog: Catalog) -> None:
    fleet = synthesise(catalog, longest())
    assert limits.faults(fleet) == []
    assert over_budget(fleet) == []


@few
@given(catalogs())
def test_a_services_name_lists_its_three_alarms_and_no_other(catalog: Catalog) -> None:
    fleet = synthesise(catalog, longest())
    alarms = [alarm["AlarmName"] for alarm in fleet.resources("AWS::CloudWatch::Alarm")]
    for service in catalog.services.values():
        listed = sorted(name for name in alarms if name.startswith(service.name))
        kinds = names.ALARM_KINDS if service.enabled else ()
        assert listed == [names.alarm(service.name, kind, fleet.environment.name) for kind in kinds]


@few
@given(catalogs())
def test_disabling_every_service_changes_no_stacks_outputs(catalog: Catalog) -> None:
    """Then disabling or removing any of them changes none either: an export comes with its first user."""
    empty = catalog
    for name in catalog.services:
        empty = changed(empty, name, enabled=False, reason="rests")
    full, rest = (synthesise(each, load_environment("prod")) for each in (catalog, empty))
    assert [t.get("Outputs") for t in full.templates.values()] == [t.get("Outputs") for t in rest.templates.values()]


@pytest.mark.parametrize("name", ["a" * 37, "a1", "state-router", f"{'a-' * 18}b"])
def test_the_longest_and_oddest_names_are_inside_the_limits(name: str) -> None:
    """A name that ends in a hyphen and six letters looks like the end that Secrets Manager gives to a secret."""
    fleet = synthesise(renamed(small_catalog(), "state-manager-nats", name), longest())
    assert limits.faults(fleet) == []
