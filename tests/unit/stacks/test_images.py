"""The repositories of images."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.synthesis import Fleet

REPOSITORY = "AWS::ECR::Repository"


def test_every_entry_has_a_repository_and_so_has_the_reference_runtime(fleet: Fleet) -> None:
    names = [repository["RepositoryName"] for repository in fleet.resources(REPOSITORY)]
    wanted = ["reference-service", *fleet.catalog.services]
    assert names == [f"gaming-system-{fleet.environment.name}/{name}" for name in wanted]


@pytest.mark.parametrize(
    ("name", "value"), [("ImageTagMutability", "IMMUTABLE"), ("ImageScanningConfiguration", {"ScanOnPush": True})]
)
def test_tags_never_move_and_images_are_scanned(fleet: Fleet, name: str, value: Any) -> None:
    assert [r[name] for r in fleet.resources(REPOSITORY)] == [value] * len(fleet.resources(REPOSITORY))


def test_repositories_do_not_grow_for_ever(fleet: Fleet) -> None:
    for repository in fleet.resources(REPOSITORY):
        rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        kept = [(rule["selection"]["tagStatus"], rule["selection"]["countNumber"]) for rule in rules]
        assert kept == [("untagged", 14), ("any", 30)]
