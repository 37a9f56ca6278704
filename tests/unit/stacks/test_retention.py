"""What becomes of data, and of whole stacks, when somebody removes them."""

from __future__ import annotations

import pytest

from catalog import load_environment
from catalog.load import environment_names
from tests.synthesis import Fleet, Resource, small_catalog, small_fleet, synthesise

# What holds data, and what it cannot be without.
STATEFUL = (
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    "AWS::EC2::Volume",
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::ElastiCache::ParameterGroup",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::ElastiCache::UserGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
)
USER = "Custom::CacheUser"
KEPT = ("RetainExceptOnCreate", "Retain")
GONE = ("Delete", "Delete")


def made_anew(resource: Resource) -> bool:
    """Tell whether something is made anew with its service: retained, it would hold the name, and keep the service out."""
    return resource.type == "AWS::SecretsManager::Secret" and resource.part.startswith(("cache", "services-"))


def policies(fleet: Fleet) -> dict[str, tuple[str | None, str | None]]:
    """Return deletion and replacement policy of everything that holds data and is not made anew."""
    return {
        f"{resource.part}/{resource.logical_id}": (
            resource.body.get("DeletionPolicy"),
            resource.body.get("UpdateReplacePolicy"),
        )
        for resource in fleet.resources(*STATEFUL)
        if not made_anew(resource)
    }


def test_whatever_holds_data_says_what_becomes_of_it(fleet: Fleet) -> None:
    for resource in fleet.resources(*STATEFUL):
        assert resource.body.keys() >= {"DeletionPolicy", "UpdateReplacePolicy"}, resource.logical_id


def test_nothing_that_is_retained_is_missing_from_the_list_of_what_holds_data(prod: Fleet) -> None:
    retained = {r.type for r in prod.resources() if r.body.get("DeletionPolicy", "Delete") != "Delete"}
    assert retained <= {*STATEFUL, USER}


@pytest.mark.parametrize(("environment", "policy"), [("prod", KEPT), ("local", GONE)])
def test_a_cache_that_is_kept_keeps_out_whoever_gives_no_name(environment: str, policy: tuple[str, str]) -> None:
    """With the group of its users CloudFormation takes all control of access from it; and a group needs this user."""
    users = small_fleet(environment).resources(USER)
    found = {user["UserName"]: (user.body["DeletionPolicy"], user.body["UpdateReplacePolicy"]) for user in users}
    assert found == {**dict.fromkeys(found, GONE), "default": policy}


@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_data_is_kept_but_not_of_a_first_creation_that_fails(environment: str) -> None:
    found = policies(small_fleet(environment))
    assert found == dict.fromkeys(found, KEPT)


def test_local_data_goes_with_its_stack() -> None:
    found = policies(small_fleet("local"))
    assert found == dict.fromkeys(found, GONE)


@pytest.mark.parametrize(("agreed", "policy"), [(False, KEPT), (True, GONE)])
def test_dev_data_goes_only_when_the_context_agrees(agreed: bool, policy: tuple[str, str]) -> None:  # noqa: FBT001
    found = policies(synthesise(small_catalog(), load_environment("dev"), destroy_data=agreed))
    assert found == dict.fromkeys(found, policy)


def test_the_context_alone_destroys_nothing() -> None:
    found = policies(synthesise(small_catalog(), load_environment("prod"), destroy_data=True))
    assert found == dict.fromkeys(found, KEPT)


def test_dev_is_told_that_its_data_stays_and_how_to_change_that() -> None:
    assert (
        "environments/dev.yaml says destroy_data, but data is retained: the context key destroy-data does not name dev "
        "(give -c destroy-data=dev)"
    ) in small_fleet("dev").warnings


@pytest.mark.parametrize("environment", ["prod", "staging", "local"])
def test_nobody_else_is_told_so(environment: str) -> None:
    assert "destroy_data" not in small_fleet(environment).warnings


@pytest.mark.parametrize(("environment", "emptied"), [("prod", False), ("local", True)])
def test_a_repository_with_images_goes_only_where_data_does(environment: str, emptied: bool) -> None:  # noqa: FBT001
    repositories = small_fleet(environment).resources("AWS::ECR::Repository")
    assert {repository["EmptyOnDelete"] for repository in repositories} == {emptied}


def test_a_services_own_secrets_go_with_it(fleet: Fleet) -> None:
    secrets = [resource for resource in fleet.resources(*STATEFUL) if made_anew(resource)]
    assert secrets
    for secret in secrets:
        assert (secret.body["DeletionPolicy"], secret.body["UpdateReplacePolicy"]) == GONE


@pytest.mark.parametrize("environment", environment_names())
def test_stacks_are_protected_unless_their_data_may_go(environment: str) -> None:
    fleet = small_fleet(environment)
    protected = {bool(fleet.stack(part)["properties"].get("terminationProtection", False)) for part in fleet.templates}
    assert protected == {environment != "local"}
