"""cfn-lint over the templates of every environment.

Production's are those of the whole catalog. The others' are those of the catalog of every feature: all foundations, and services
of every kind instead of 22 of the same.
"""

from __future__ import annotations

import functools
import json

import pytest
from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner

from catalog.load import environment_names
from tests.synthesis import small_fleet, whole_fleet

# Rule, types that it is wrong about here, and why.
IGNORED = {
    "W3010": (
        {"AWS::EC2::Subnet", "AWS::EC2::Volume"},
        "the zones stand in the environment's file, so that a subnet and a disk stay where they are",
    ),
    "W3005": (
        {"AWS::Lambda::Function"},
        "CDK lets a function wait for its role once more than needed; a second word for the same order does no harm",
    ),
}


@functools.cache
def linter() -> Runner:
    """Return a linter; it reads its rules once, which takes longer than any template."""
    return Runner(ConfigMixIn(regions=["us-east-1"]))


@functools.cache
def found(environment: str) -> list[tuple[str, str, str, str]]:
    """Return part, rule, type of resource and message of each finding."""
    matches = []
    fleet = whole_fleet(environment) if environment == "prod" else small_fleet(environment)
    for part, template in fleet.templates.items():
        decoded, errors = decode_str(json.dumps(template))
        assert decoded is not None
        for match in [*errors, *linter().validate_template(decoded)]:
            path = [str(step) for step in getattr(match, "path", [])]
            kind = template["Resources"][path[1]]["Type"] if path[:1] == ["Resources"] else "/".join(path)
            matches.append((part, match.rule.id, kind, match.message))
    return matches


@pytest.mark.parametrize("environment", environment_names())
def test_nothing_is_found(environment: str) -> None:
    matches = found(environment)
    assert [match for match in matches if match[2] not in IGNORED.get(match[1], (set(), ""))[0]] == []


def test_what_is_ignored_is_found() -> None:
    seen = {(rule, kind) for _, rule, kind, _ in found("prod")}
    assert {(rule, kind) for rule, (kinds, _) in IGNORED.items() for kind in kinds} == seen


def test_what_is_ignored_has_a_reason() -> None:
    assert all(len(reason.split()) > 5 for _, reason in IGNORED.values())


def test_the_linter_does_find_what_is_wrong() -> None:
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicNam": "x"}}}}
    decoded, _ = decode_str(json.dumps(template))
    assert decoded is not None
    assert [match.rule.id for match in linter().validate_template(decoded)] == ["E3002"]
