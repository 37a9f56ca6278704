"""The way of an alarm to somebody's ears: topic, its policy, its key, its subscribers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from catalog.environment import Subscription
from fleet.chunks import chunks
from fleet.inputs import PARAMETERS_A_REQUEST
from fleet.verify.check import Check, Checks
from fleet.verify.policies import allows, only_own_account
from fleet.verify.scope import Scope

_ALARMS = "cloudwatch.amazonaws.com"
_MAIN = "alerts"


def check_topics(scope: Scope) -> list[Check]:
    """Look at the topic of the alarms, and at the one that tells when that does not deliver."""
    checks = scope.checks()
    alerts = scope.environment.alerts
    topics = {
        _MAIN: (names.alerts_topic(scope.name), alerts.subscriptions),
        "fallback": (names.fallback_topic(scope.name), alerts.fallback_subscriptions),
    }
    for role, (topic, subscriptions) in topics.items():
        attributes = _attributes(scope, topic)
        if not checks.holds(
            "topic.exists", topic, attributes is not None, "there", "there" if attributes else "missing"
        ):
            continue
        _check_policy(scope, checks, topic, attributes or {})
        _check_key(scope, checks, topic, attributes or {})
        _check_subscriptions(scope, checks, topic, subscriptions, required=role == _MAIN)
    return checks.made


def _attributes(scope: Scope, topic: str) -> Mapping[str, str] | None:
    try:
        return scope.account.sns.get_topic_attributes(TopicArn=scope.arn("sns", topic))["Attributes"]
    except scope.account.sns.exceptions.NotFoundException:
        return None


def _check_policy(scope: Scope, checks: Checks, topic: str, attributes: Mapping[str, str]) -> None:
    policy: dict[str, Any] = json.loads(attributes.get("Policy", "{}"))
    publish = allows(policy, _ALARMS, "sns:Publish", scope.account.account_id)
    checks.holds("topic.policy", topic, publish, "CloudWatch may publish", "it may" if publish else "it may not")
    own = only_own_account(policy, _ALARMS, "sns:Publish", scope.account.account_id)
    checks.holds(
        "topic.policy-account", topic, own, "only for this account's alarms", "so" if own else "for any account's"
    )


def _check_key(scope: Scope, checks: Checks, topic: str, attributes: Mapping[str, str]) -> None:
    key_id = attributes.get("KmsMasterKeyId")
    if (
        not checks.holds("topic.key", topic, bool(key_id), "encrypted with a key", key_id or "not encrypted")
        or not key_id
    ):
        return
    try:
        key = scope.account.kms.describe_key(KeyId=key_id)["KeyMetadata"]
    except ClientError as error:
        checks.lacks("key.exists", topic, "there", str(error))
        return
    checks.equal("key.manager", topic, "CUSTOMER", key.get("KeyManager"))
    checks.equal("key.state", topic, "Enabled", key.get("KeyState"))
    policy = json.loads(scope.account.kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        may = allows(policy, _ALARMS, action, scope.account.account_id)
        checks.holds(
            "key.policy",
            topic,
            may,
            f"CloudWatch may {action}",
            "it may" if may else "it may not: its alarms are dropped",
        )


def _check_subscriptions(
    scope: Scope, checks: Checks, topic: str, wanted: Sequence[Subscription], *, required: bool
) -> None:
    pages = scope.account.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=scope.arn("sns", topic))
    found = [subscription for page in pages for subscription in page["Subscriptions"]]
    if not wanted:
        if required:
            checks.lacks(
                "subscription.any", topic, "somebody who hears of alarms", "nobody",
                f"give environments/{scope.name}.yaml an entry below alerts.subscriptions",
            )  # fmt: skip
        return
    addresses = _addresses(scope, wanted)
    confirmed = 0
    for subscription in wanted:
        parameter = names.parameter(scope.name, subscription.parameter)
        subject = f"{topic}: {subscription.protocol} of {parameter}"
        address = addresses.get(parameter)
        mine = [one for one in found if one["Protocol"] == subscription.protocol and one["Endpoint"] == address]
        state = "missing" if not mine else "confirmed" if _is_confirmed(mine[0]) else "pending"
        if state == "pending":
            checks.warn(
                "subscription.confirmed",
                subject,
                "confirmed",
                "pending",
                "follow the link in the message that AWS sent",
            )
        else:
            checks.holds("subscription.exists", subject, state == "confirmed", "there", state)
        confirmed += state == "confirmed"
    checks.holds(
        "subscription.any", topic, confirmed > 0, "at least one confirmed", f"{confirmed} of {len(wanted)} confirmed",
        "follow the link in the message that AWS sent to the subscribers",
    )  # fmt: skip


def _is_confirmed(subscription: Mapping[str, Any]) -> bool:
    return str(subscription["SubscriptionArn"]).startswith("arn:")


def _addresses(scope: Scope, wanted: Sequence[Subscription]) -> dict[str, str]:
    parameters = [names.parameter(scope.name, subscription.parameter) for subscription in wanted]
    return {
        parameter["Name"]: parameter["Value"]
        for part in chunks(parameters, PARAMETERS_A_REQUEST)
        for parameter in scope.account.ssm.get_parameters(Names=part)["Parameters"]
    }
