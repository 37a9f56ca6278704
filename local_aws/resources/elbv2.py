"""Elastic Load Balancing: load balancers, target groups, listeners and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local_aws.resources.calls import Task, call
from local_aws.resources.table import Name, Put, Row, do
from local_aws.resources.tagging import Tagging

_TAGS = Tagging(call("add_tags", ResourceArns="[id]"), "Tags", call("remove_tags", ResourceArns="[id]"), "TagKeys")


def _after(mark: str) -> Callable[[Mapping[str, Any]], str]:
    """Return the end of the physical id that CloudFormation calls the full name."""

    def full_name(scope: Mapping[str, Any]) -> str:
        return str(scope["id"]).split(mark, 1)[1]

    return full_name


def _targets(task: Task) -> None:
    old, new = task.old.get("Targets", []), task.new.get("Targets", [])
    for verb, targets in (
        ("deregister", [one for one in old if one not in new]),
        ("register", [one for one in new if one not in old]),
    ):
        if targets:
            task.perform(call(f"{verb}_targets", TargetGroupArn="id"), Targets=targets)


ROWS = (
    Row(
        type_name="AWS::ElasticLoadBalancingV2::LoadBalancer",
        service="elbv2",
        name=Name("Name", 32),
        make=call("create_load_balancer"),
        id="LoadBalancers[0].LoadBalancerArn",
        reads=((call("describe_load_balancers", LoadBalancerArns="[id]"), "LoadBalancers[0]"),),
        attributes={
            "LoadBalancerArn": "id",
            "LoadBalancerName": "LoadBalancerName",
            "LoadBalancerFullName": _after(":loadbalancer/"),
            "CanonicalHostedZoneID": "CanonicalHostedZoneId",
            "DNSName": "DNSName",
            "SecurityGroups": "SecurityGroups || `[]`",
        },
        # An attribute that is no longer told keeps its value, as it does in AWS.
        steps=(
            Put(
                call(
                    "modify_load_balancer_attributes", LoadBalancerArn="id", Attributes="LoadBalancerAttributes || `[]`"
                )
            ),
        ),
        changes=(
            Put(call("set_security_groups", LoadBalancerArn="id", SecurityGroups="SecurityGroups")),
            Put(call("set_subnets", LoadBalancerArn="id", Subnets="Subnets", SubnetMappings="SubnetMappings")),
            Put(
                call("set_ip_address_type", LoadBalancerArn="id", IpAddressType="IpAddressType"),
                unset=call("set_ip_address_type", LoadBalancerArn="id", IpAddressType="'ipv4'"),
            ),
        ),
        tags=_TAGS,
        remove=call("delete_load_balancer", LoadBalancerArn="id"),
    ),
    Row(
        type_name="AWS::ElasticLoadBalancingV2::TargetGroup",
        service="elbv2",
        name=Name("Name", 32),
        make=call("create_target_group"),
        id="TargetGroups[0].TargetGroupArn",
        reads=((call("describe_target_groups", TargetGroupArns="[id]"), "TargetGroups[0]"),),
        attributes={
            "TargetGroupArn": "id",
            "TargetGroupName": "TargetGroupName",
            "TargetGroupFullName": lambda scope: "targetgroup/" + _after(":targetgroup/")(scope),
            "LoadBalancerArns": "LoadBalancerArns || `[]`",
        },
        change=call("modify_target_group", TargetGroupArn="id"),
        steps=(
            Put(
                call("modify_target_group_attributes", TargetGroupArn="id", Attributes="TargetGroupAttributes || `[]`")
            ),
            do(_targets, "Targets"),
        ),
        tags=_TAGS,
        remove=call("delete_target_group", TargetGroupArn="id"),
    ),
    Row(
        type_name="AWS::ElasticLoadBalancingV2::Listener",
        service="elbv2",
        make=call("create_listener"),
        id="Listeners[0].ListenerArn",
        attributes={"ListenerArn": "id"},
        change=call("modify_listener", ListenerArn="id"),
        steps=(Put(call("modify_listener_attributes", ListenerArn="id", Attributes="ListenerAttributes || `[]`")),),
        tags=_TAGS,
        remove=call("delete_listener", ListenerArn="id"),
    ),
    Row(
        type_name="AWS::ElasticLoadBalancingV2::ListenerRule",
        service="elbv2",
        make=call("create_rule"),
        id="Rules[0].RuleArn",
        attributes={"RuleArn": "id", "IsDefault": "`false`"},
        change=call("modify_rule", RuleArn="id"),
        changes=(Put(call("set_rule_priorities", RulePriorities="[{RuleArn: id, Priority: Priority}]")),),
        tags=_TAGS,
        remove=call("delete_rule", RuleArn="id"),
    ),
)
