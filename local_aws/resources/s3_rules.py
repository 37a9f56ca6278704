"""Life-cycle rules and notifications of buckets: CloudFormation words them otherwise than S3 does.

What these functions do not know stays under its own name, so that the operation's input shape refuses it by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lifecycle(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bucket's life-cycle configuration as S3 takes it."""
    return {**configuration, "Rules": [_rule(rule) for rule in configuration["Rules"]]}


def _moved(left: dict[str, Any], **names: str) -> dict[str, Any]:
    """Take members out of a rule, under S3's names for them."""
    return {theirs: left.pop(ours) for theirs, ours in names.items() if ours in left}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    left = dict(rule)
    result: dict[str, Any] = {"Filter": _filter(left)}
    result |= _moved(left, ID="Id")
    expiration = _moved(
        left, Days="ExpirationInDays", Date="ExpirationDate", ExpiredObjectDeleteMarker="ExpiredObjectDeleteMarker"
    )
    if expiration:
        result["Expiration"] = expiration
    noncurrent = _moved(left, NoncurrentDays="NoncurrentVersionExpirationInDays")
    if noncurrent:
        result["NoncurrentVersionExpiration"] = noncurrent
    for many, one, days in (
        ("Transitions", "Transition", "Days"),
        ("NoncurrentVersionTransitions", "NoncurrentVersionTransition", "NoncurrentDays"),
    ):
        transitions = [*left.pop(many, []), *([left.pop(one)] if one in left else [])]
        if transitions:
            result[many] = [_transition(dict(transition), days) for transition in transitions]
    return left | result


def _transition(left: dict[str, Any], days: str) -> dict[str, Any]:
    return _moved(left, **{days: "TransitionInDays", "Date": "TransitionDate"}) | left


def _filter(left: dict[str, Any]) -> dict[str, Any]:
    """Return what a rule applies to; S3 wants several conditions wrapped in an And."""
    conditions = _moved(
        left, Prefix="Prefix", ObjectSizeGreaterThan="ObjectSizeGreaterThan", ObjectSizeLessThan="ObjectSizeLessThan"
    )
    tags = left.pop("TagFilters", [])
    if not conditions and not tags:
        return {"Prefix": ""}
    if len(conditions) + len(tags) > 1:
        return {"And": {**conditions, **({"Tags": tags} if tags else {})}}
    return {"Tag": tags[0]} if tags else conditions


def notifications(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bucket's notifications as S3 takes them."""
    left = dict(configuration)
    result: dict[str, Any] = {}
    bridge = left.pop("EventBridgeConfiguration", None)
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).casefold() == "true":
        result["EventBridgeConfiguration"] = {}
    for ours, theirs, target, arn in (
        ("LambdaConfigurations", "LambdaFunctionConfigurations", "Function", "LambdaFunctionArn"),
        ("QueueConfigurations", "QueueConfigurations", "Queue", "QueueArn"),
        ("TopicConfigurations", "TopicConfigurations", "Topic", "TopicArn"),
    ):
        if ours in left:
            result[theirs] = [_notification(dict(one), target, arn) for one in left.pop(ours)]
    return left | result


def _notification(left: dict[str, Any], target: str, arn: str) -> dict[str, Any]:
    result: dict[str, Any] = {arn: left.pop(target), "Events": [left.pop("Event")]}
    if "Filter" in left:
        result["Filter"] = {"Key": {"FilterRules": left.pop("Filter")["S3Key"]["Rules"]}}
    return left | result
