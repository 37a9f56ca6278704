"""EC2: security groups and their rules, inline and on their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.ec2_network import TAGS
from local_aws.resources.table import Name, Row, do

INGRESS, EGRESS = "Ingress", "Egress"
_PEER = {INGRESS: "Source", EGRESS: "Destination"}
_EVERYTHING = {
    "IpProtocol": "-1",
    "CidrIp": "0.0.0.0/0",
}  # what EC2 lets out of a new group, and CloudFormation takes away if told


def permission(rule: Mapping[str, Any], direction: str) -> dict[str, Any]:
    """Return CloudFormation's flat rule as EC2 nests it; what it does not know stays, to be refused by name."""
    left = dict(rule)
    peer = _PEER[direction]
    said = {"Description": left.pop("Description")} if "Description" in left else {}
    nested: dict[str, Any] = {}
    if "CidrIp" in left:
        nested["IpRanges"] = [{"CidrIp": left.pop("CidrIp"), **said}]
    if "CidrIpv6" in left:
        nested["Ipv6Ranges"] = [{"CidrIpv6": left.pop("CidrIpv6"), **said}]
    if f"{peer}PrefixListId" in left:
        nested["PrefixListIds"] = [{"PrefixListId": left.pop(f"{peer}PrefixListId"), **said}]
    pair = {
        theirs: left.pop(ours)
        for ours, theirs in (
            (f"{peer}SecurityGroupId", "GroupId"),
            (f"{peer}SecurityGroupName", "GroupName"),
            (f"{peer}SecurityGroupOwnerId", "UserId"),
        )
        if ours in left
    }
    if pair:
        nested["UserIdGroupPairs"] = [{**pair, **said}]
    return left | nested


def _rule_properties(direction: str, properties: Properties) -> Properties:
    """A rule of its own is a group and one permission; its description is kept apart, as it alone may change."""
    if not properties:
        return {}
    rule = {name: value for name, value in properties.items() if name not in {"GroupId", "GroupName"}}
    group = {name: value for name, value in properties.items() if name in {"GroupId", "GroupName"}}
    return {**group, "IpPermissions": [permission(rule, direction)]}


def _inline(direction: str, task: Task) -> None:
    """Revoke the inline rules that are no longer told, and authorise those that are new."""
    name = f"SecurityGroup{direction}"
    old, new = list(task.old.get(name, [])), list(task.new.get(name, []))
    if direction == EGRESS:
        old, new = (old if name in task.old else [_EVERYTHING]), (new if name in task.new else [_EVERYTHING])
    for verb, rules in (
        ("revoke", [rule for rule in old if rule not in new]),
        ("authorize", [rule for rule in new if rule not in old]),
    ):
        if rules:
            operation = call(f"{verb}_security_group_{direction.lower()}", GroupId="id")
            task.perform(operation, IpPermissions=[permission(rule, direction) for rule in rules])


def _rule(direction: str) -> Row:
    suffix = direction.lower()
    return Row(
        type_name=f"AWS::EC2::SecurityGroup{direction}",
        service="ec2",
        translate=partial(_rule_properties, direction),
        make=call(f"authorize_security_group_{suffix}"),
        id="SecurityGroupRules[0].SecurityGroupRuleId",
        attributes={"Id": "id"},
        # The schema lets nothing but the description change in place.
        change=call(f"update_security_group_rule_descriptions_{suffix}", GroupId="GroupId"),
        remove=call(f"revoke_security_group_{suffix}", GroupId="GroupId", SecurityGroupRuleIds="[id]"),
    )


ROWS = (
    Row(
        type_name="AWS::EC2::SecurityGroup",
        service="ec2",
        name=Name("GroupName"),
        make=call("create_security_group", Description="GroupDescription"),
        id="GroupId",
        attributes={"Id": "id", "GroupId": "id", "VpcId": "VpcId"},
        steps=(
            do(partial(_inline, EGRESS), "SecurityGroupEgress"),
            do(partial(_inline, INGRESS), "SecurityGroupIngress"),
        ),
        tags=TAGS,
        remove=call("delete_security_group", GroupId="id"),
    ),
    _rule(INGRESS),
    _rule(EGRESS),
)
