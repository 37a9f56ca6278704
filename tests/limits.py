"""What AWS takes as names, descriptions and tags: the limits that synthesis does not know and a deployment would stumble on.

Source of each row: the service's API reference of the resource's create operation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.synthesis import Fleet, Resource

NAME = r"[A-Za-z0-9_-]{1,255}"
GROUP_TEXT = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}"
IAM_TEXT = r"[\t\n\r\x20-\x7e\xa1-\xff]{0,1000}"
CACHE_ID = r"[a-zA-Z](?:-?[a-zA-Z0-9]){0,39}"

TEXTS = (
    ("AWS::CloudWatch::Alarm", "AlarmName", r"[\x20-\x7e]{1,255}"),
    ("AWS::CloudWatch::Alarm", "AlarmDescription", r"(?s).{0,1024}"),
    ("AWS::CloudWatch::Dashboard", "DashboardName", NAME),
    ("AWS::EC2::NetworkInterface", "Description", r"[\x20-\x7e]{0,255}"),
    ("AWS::EC2::SecurityGroup", "GroupDescription", GROUP_TEXT),
    ("AWS::EC2::SecurityGroupEgress", "Description", GROUP_TEXT),
    ("AWS::EC2::SecurityGroupIngress", "Description", GROUP_TEXT),
    ("AWS::ECR::Repository", "RepositoryName", r"(?=.{2,256}$)(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"),
    ("AWS::ECS::Cluster", "ClusterName", NAME),
    ("AWS::ECS::Service", "ServiceName", NAME),
    ("AWS::ECS::TaskDefinition", "Family", NAME),
    ("AWS::ElastiCache::ReplicationGroup", "ReplicationGroupId", CACHE_ID),
    ("Custom::CacheUser", "UserId", CACHE_ID),
    ("Custom::CacheUser", "UserName", r"[A-Za-z0-9-]{1,40}"),
    ("AWS::ElastiCache::UserGroup", "UserGroupId", CACHE_ID),
    ("AWS::IAM::Role", "Description", IAM_TEXT),
    ("AWS::IAM::Role", "RoleName", r"[\w+=,.@-]{1,64}"),
    ("AWS::KMS::Alias", "AliasName", r"alias/[a-zA-Z0-9/_-]{1,250}"),
    ("AWS::KMS::Key", "Description", r"(?s).{0,8192}"),
    ("AWS::Logs::LogGroup", "LogGroupName", r"[.\-_/#A-Za-z0-9]{1,512}"),
    ("AWS::SNS::Topic", "TopicName", r"[A-Za-z0-9_-]{1,256}"),
    ("AWS::SecretsManager::Secret", "Description", r"(?s).{0,2048}"),
    # Where a name ends in a hyphen and six characters, Secrets Manager looks for another one.
    ("AWS::SecretsManager::Secret", "Name", r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]{1,512}"),
)  # fmt: skip
NAMED_ONCE = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::ECS::TaskDefinition": "Family",
    "Custom::CacheUser": "UserId",
    "AWS::IAM::Role": "RoleName",
    "AWS::SecretsManager::Secret": "Name",
}
# Left to CloudFormation, which keeps the name inside its limit of 32 characters.
UNNAMED = {"AWS::ElasticLoadBalancingV2::LoadBalancer": "Name", "AWS::ElasticLoadBalancingV2::TargetGroup": "Name"}

MAX_TAGS = 50
TAG_KEY = re.compile(r"(?!(?i:aws:))[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
MAX_TASK_DEFINITION_BYTES = 64 * 1024
MAX_INLINE_POLICIES = 10_240
MAX_RULES_OF_GROUP = 60


def faults(fleet: Fleet) -> list[str]:
    """Return what AWS would refuse of a fleet."""
    return [f"{fault[0]}: {fault[1]}" for fault in _faults(fleet)]


def _faults(fleet: Fleet) -> Iterator[tuple[str, str]]:
    for part in fleet.templates:
        if not STACK_NAME.fullmatch(fleet.stack_name(part)):
            yield part, "the stack's name"
    for resource in fleet.resources():
        for told in (*_texts(fleet, resource), *_tags(resource), *_sizes(fleet, resource)):
            yield f"{resource.part}/{resource.logical_id}", told
    yield from _repeated(fleet)


def _texts(fleet: Fleet, resource: Resource) -> Iterator[str]:
    for kind, name, pattern in TEXTS:
        if resource.type == kind and name in resource.properties:
            text = fleet.text(resource.part, resource[name])
            if not re.fullmatch(pattern, text, re.ASCII):
                yield f"{name} {text!r}"
    if UNNAMED.get(resource.type) in resource.properties:
        yield "has a name of its own"


def _tags(resource: Resource) -> Iterator[str]:
    keys = [tag["Key"] for tag in resource.properties.get("Tags", []) if isinstance(tag, dict)]
    if len(keys) > MAX_TAGS - 10:  # the stack's own come on top
        yield f"{len(keys)} tags"
    if len({key.lower() for key in keys}) != len(keys):
        yield f"tags {keys} differ in nothing but capitals"
    for tag in resource.properties.get("Tags", []):
        if not TAG_KEY.fullmatch(tag["Key"]) or not TAG_VALUE.fullmatch(str(tag["Value"])):
            yield f"tag {tag}"


def _sizes(fleet: Fleet, resource: Resource) -> Iterator[str]:
    written = json.dumps(fleet.plain(resource.part, resource.properties), separators=(",", ":"))
    if resource.type == "AWS::ECS::TaskDefinition" and len(written.encode()) > MAX_TASK_DEFINITION_BYTES:
        yield f"{len(written.encode())} bytes of task definition"
    if resource.type == "AWS::IAM::Role":
        policies = [
            fleet.plain(resource.part, policy["PolicyDocument"]) for policy in resource.properties.get("Policies", [])
        ]
        size = sum(len(json.dumps(policy, separators=(",", ":"))) for policy in policies)
        if size > MAX_INLINE_POLICIES:
            yield f"{size} characters of policy"


def _repeated(fleet: Fleet) -> Iterator[tuple[str, str]]:
    for kind, name in NAMED_ONCE.items():
        named = sorted(str(r[name]).lower() for r in fleet.resources(kind) if name in r.properties)
        for first, second in pairwise(named):
            if first == second:
                yield kind, f"two are named {first!r}"


def rules_of_groups(fleet: Fleet) -> dict[tuple[str, str], int]:
    """Return how many rules each security group has, by its id and direction."""
    counts: dict[tuple[str, str], int] = {}
    for direction in ("Ingress", "Egress"):
        for group in fleet.resources("AWS::EC2::SecurityGroup"):
            inside: list[Any] = group.properties.get(f"SecurityGroup{direction}", [])
            counts[group.logical_id, direction] = len(inside)
        for rule in fleet.resources(f"AWS::EC2::SecurityGroup{direction}"):
            counts[fleet.followed(rule.part, rule["GroupId"]).logical_id, direction] += 1
    return counts
