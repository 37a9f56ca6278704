"""Templates as a reviewer sees them change. `make snapshot-update` accepts them as they are now."""

from __future__ import annotations

import re
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.synthesis import Fleet, Resource, small_fleet, whole_fleet

PARTS = [
    "images",
    "network",
    "monitoring",
    "certificates",
    "nats",
    "cache",
    "services-game",
    "services-game-2",
    "services-gateway",
]
ENVIRONMENT = "staging"  # it has Spot, which production has not, and fewer zones to read
# Every template has it, it comes from the CDK, and it says nothing of ours.
BOOTSTRAP = {"BootstrapVersion", "CheckBootstrapVersion"}
_HERE_DOCUMENT = re.compile(r"(?s)(<<'(\w+)'\n).*\n\2$")


@pytest.fixture
def as_json(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def reviewable(fleet: Fleet, part: str) -> Any:
    """Return a template with its functions written out, without the hashes of assets and what is the CDK's."""
    sections = {
        name: {key: child for key, child in section.items() if key not in BOOTSTRAP}
        for name, section in fleet.templates[part].items()
        if isinstance(section, dict)
    }
    return _without_hashes(fleet.plain(part, {name: section for name, section in sections.items() if section}))


def _without_hashes(value: Any) -> Any:
    match value:
        case dict():
            return {key: "SCRIPT" if key == "Script" else _without_hashes(child) for key, child in value.items()}
        case list():
            return [_without_hashes(child) for child in value]
        case str():
            # Nor with the text of a script: that is reviewed where it stands.
            return re.sub(r"(?<!sha256:)\b[0-9a-f]{64}\b", "HASH", _HERE_DOCUMENT.sub(r"\1SCRIPT\n\2", value))
        case _:
            return value


def stateful(fleet: Fleet) -> list[Resource]:
    return [resource for resource in fleet.resources() if "DeletionPolicy" in resource.body]


@pytest.mark.parametrize("part", PARTS)
def test_the_stack_of_every_feature_is_as_reviewed(part: str, as_json: SnapshotAssertion) -> None:
    assert reviewable(small_fleet(ENVIRONMENT), part) == as_json


def test_every_stack_has_been_reviewed() -> None:
    assert list(small_fleet(ENVIRONMENT).templates) == PARTS


def test_nothing_that_holds_data_has_changed_its_place_in_production(as_json: SnapshotAssertion) -> None:
    """A new logical id means another resource: the data of the old one is left behind, or its name is in the way."""
    found = [
        f"{resource.part}/{resource.logical_id} {resource.type} {resource.body['DeletionPolicy']}"
        for resource in stateful(whole_fleet("prod"))
    ]
    assert found == as_json
