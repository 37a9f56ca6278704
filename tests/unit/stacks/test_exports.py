"""Exports: nothing that belongs to one service crosses a stack boundary.

CloudFormation updates the producer first and refuses to drop an export that is in use, so a service that took an export with it
could not be removed. An export comes with its first user and goes with its last; so if the outputs of a fleet without any
service are those of the whole fleet, so are those of every fleet between. That is tested, and each removal beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from catalog import Catalog, load_environment
from tests.synthesis import (
    Fleet,
    changed,
    renamed,
    small_catalog,
    small_fleet,
    strings,
    synthesise,
    whole_catalog,
    whole_fleet,
    without,
)

ENABLED = [service.name for service in whole_catalog().enabled]
SMALL = [service.name for service in small_catalog().enabled]


def outputs(fleet: Fleet) -> dict[str, Any]:
    return {part: template.get("Outputs", {}) for part, template in fleet.templates.items()}


def of_catalog(catalog: Catalog) -> Mapping[str, Any]:
    return outputs(synthesise(catalog, load_environment("prod")))


@pytest.mark.parametrize("service", ENABLED)
def test_removing_a_service_changes_no_stacks_outputs(service: str) -> None:
    assert of_catalog(without(whole_catalog(), service)) == outputs(whole_fleet("prod"))


@pytest.mark.parametrize("service", SMALL)
def test_disabling_a_service_changes_no_stacks_outputs(service: str) -> None:
    disabled = changed(small_catalog(), service, enabled=False, reason="rests")
    assert of_catalog(disabled) == outputs(small_fleet("prod"))


@pytest.mark.parametrize("service", SMALL)
def test_renaming_a_service_changes_no_stacks_outputs(service: str) -> None:
    assert of_catalog(renamed(small_catalog(), service, "another-name")) == outputs(small_fleet("prod"))


def test_a_fleet_without_services_has_the_outputs_of_the_whole() -> None:
    catalog = whole_catalog()
    for service in ENABLED:
        catalog = changed(catalog, service, enabled=False, reason="rests")
    assert of_catalog(catalog) == outputs(whole_fleet("prod"))


def test_no_output_names_a_service(fleet: Fleet) -> None:
    written = [text.lower().replace("-", "") for text in strings(outputs(fleet))]
    services = [name.replace("-", "") for name in fleet.catalog.services]
    assert [text for text in written if any(service in text for service in services)] == []


def test_no_services_stack_exports_anything(fleet: Fleet) -> None:
    assert {part for part, found in outputs(fleet).items() if found} == {"network", "monitoring", "cache"}


def test_every_import_has_an_export(fleet: Fleet) -> None:
    exported = {
        output["Export"]["Name"] for found in outputs(fleet).values() for output in found.values() if "Export" in output
    }
    imported = set(_imports(list(fleet.templates.values())))
    assert imported
    assert imported <= exported


def _imports(value: Any) -> list[str]:
    match value:
        case {"Fn::ImportValue": str(name)}:
            return [name]
        case dict():
            return [name for child in value.values() for name in _imports(child)]
        case list():
            return [name for child in value for name in _imports(child)]
        case _:
            return []
