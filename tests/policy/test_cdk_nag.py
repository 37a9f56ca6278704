"""cdk-nag's AwsSolutions rules over the whole app: nothing is found that is not acknowledged, and nothing acknowledged in vain.

cdk-nag leaves what is acknowledged out of its report. So the findings are collected once more with acknowledgements only noted,
and matched here as cdk-nag does it: by the finding's exact name, on the construct or on one above it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from catalog import Environment, load_environment
from catalog.load import environment_names
from tests.synthesis import Fleet, synthesise, whole_catalog

# Production with the other engine is one key away.
AUDITED = ("prod", "dev", "prod on Redis")


class Acknowledged(NamedTuple):
    """An acknowledgement as the code gives it."""

    rule: str
    path: str
    reason: str


class Finding(NamedTuple):
    """A finding as a plugin reports it."""

    rule: str
    path: str


def with_nag(app: cdk.App) -> None:
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a validation report, named as an acknowledgement names them."""
    return [
        Finding(
            violation["ruleName"]
            if plugin["pluginName"] == "AwsSolutions"
            else f"{plugin_id(plugin)}::{violation['ruleName']}",
            construct["constructPath"],
        )
        for plugin in report.get("pluginReports", [])
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]


def plugin_id(plugin: Mapping[str, Any]) -> str:
    return str(plugin["pluginName"]).replace(" ", "-")


@contextmanager
def acknowledgements_only_noted() -> Iterator[list[Acknowledged]]:
    """Keep acknowledgements from reaching the app, and yield them."""
    noted: list[Acknowledged] = []
    of = cdk.Validations.of

    class Noting:
        def __init__(self, scope: Any) -> None:
            self._scope = scope

        def acknowledge(self, *rules: cdk.Acknowledgment) -> None:
            noted.extend(Acknowledged(rule.id, self._scope.node.path, rule.reason) for rule in rules)

        def add_plugins(self, *plugins: Any) -> None:
            of(self._scope).add_plugins(*plugins)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdk.Validations, "of", Noting)
        yield noted


def environment_of(name: str) -> Environment:
    environment = load_environment(name.partition(" ")[0])
    if name.endswith("Redis"):
        redis = environment.cache.model_copy(update={"engine": "redis", "engine_version": "7.1"})
        return environment.model_copy(update={"cache": redis})
    return environment


@functools.cache
def audited(environment: str) -> Fleet:
    return synthesise(whole_catalog(), environment_of(environment), validated=True, prepare=with_nag)


@functools.cache
def raw(environment: str) -> tuple[list[Acknowledged], list[Finding]]:
    with acknowledgements_only_noted() as noted:
        fleet = synthesise(whole_catalog(), environment_of(environment), validated=True, prepare=with_nag)
    return noted, findings(fleet.report)


def covers(acknowledged: Acknowledged, finding: Finding) -> bool:
    return acknowledged.rule == finding.rule and f"{finding.path}/".startswith(f"{acknowledged.path}/")


@pytest.mark.parametrize("environment", AUDITED)
def test_nothing_is_found_that_is_not_acknowledged(environment: str) -> None:
    assert findings(audited(environment).report) == []


@pytest.mark.parametrize("environment", AUDITED)
def test_the_rules_do_look_at_the_fleet(environment: str) -> None:
    """Without acknowledgements something is found of every stack that has one."""
    noted, found = raw(environment)
    assert {a.path.partition("/")[0] for a in noted} <= {finding.path.partition("/")[0] for finding in found}
    assert len(found) > 100


@pytest.mark.parametrize("environment", AUDITED)
def test_every_finding_is_acknowledged_where_it_is_found(environment: str) -> None:
    noted, found = raw(environment)
    # The CDK acknowledges itself that a VPC's subnets name their zones.
    ours = [finding for finding in found if not (finding.rule.endswith("::W3010") and "/Vpc/" in finding.path)]
    assert [finding for finding in ours if not any(covers(a, finding) for a in noted)] == []


def test_every_acknowledgement_is_needed_somewhere() -> None:
    """One that the code gives to each service counts once: it is needed where a service has what it is about."""
    given: dict[tuple[str, str], bool] = {}
    for environment in AUDITED:
        noted, found = raw(environment)
        for acknowledged in noted:
            key = (acknowledged.rule.partition("[")[0], acknowledged.reason)
            given[key] = given.get(key, False) or any(covers(acknowledged, finding) for finding in found)
    assert given
    assert [key for key, needed in given.items() if not needed] == []


def test_every_acknowledged_wildcard_is_needed() -> None:
    for environment in AUDITED:
        noted, found = raw(environment)
        wildcards = [acknowledged for acknowledged in noted if "[" in acknowledged.rule]
        assert wildcards
        assert [a for a in wildcards if not any(covers(a, finding) for finding in found)] == []


def test_every_acknowledgement_has_a_reason() -> None:
    for environment in AUDITED:
        assert [a for a in raw(environment)[0] if len(a.reason.split()) < 5] == []


@pytest.mark.parametrize("environment", [name for name in environment_names() if name not in AUDITED])
def test_awss_own_validation_finds_nothing_in_the_other_environments(environment: str) -> None:
    fleet = synthesise(whole_catalog(), load_environment(environment), validated=True)
    assert findings(fleet.report) == []
