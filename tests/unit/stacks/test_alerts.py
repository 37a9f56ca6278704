"""The way of an alarm: topic, topic policy, key policy, subscription."""

from __future__ import annotations

from typing import Any

import pytest

from catalog import load_environment
from tests.synthesis import Fleet, Resource, small_catalog, synthesise

SOURCES = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}


def topic_policy(fleet: Fleet, topic: str) -> Any:
    (policy,) = [
        policy
        for policy in fleet.resources("AWS::SNS::TopicPolicy")
        if fleet.plain(policy.part, policy["Topics"]) == [topic]
    ]
    return fleet.plain(policy.part, policy["PolicyDocument"]["Statement"])


def allows(statements: Any, principal: str, action: str) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and principal in statement["Principal"].get("Service", [])
        and action in statement["Action"]
        and statement["Condition"] == OWN_ACCOUNT
        for statement in statements
    )


def topics(fleet: Fleet) -> list[Resource]:
    return fleet.resources("AWS::SNS::Topic")


def test_every_alarm_can_reach_a_subscriber(fleet: Fleet) -> None:
    """From the alarm by way of topic, topic policy and key policy to a subscription, each found by reference."""
    walked = 0
    for alarm in fleet.resources("AWS::CloudWatch::Alarm"):
        if alarm["AlarmName"].startswith("platform-"):
            continue
        (action,) = alarm["AlarmActions"]
        topic = fleet.followed(alarm.part, action)
        arn = fleet.text(alarm.part, action)
        assert allows(topic_policy(fleet, arn), "cloudwatch.amazonaws.com", "sns:Publish")
        key = fleet.followed(topic.part, topic["KmsMasterKeyId"])
        key_policy = fleet.plain(key.part, key["KeyPolicy"]["Statement"])
        assert allows(key_policy, "cloudwatch.amazonaws.com", "kms:Decrypt")
        assert allows(key_policy, "cloudwatch.amazonaws.com", "kms:GenerateDataKey*")
        subscriptions = fleet.resources("AWS::SNS::Subscription")
        assert arn in [fleet.text(subscription.part, subscription["TopicArn"]) for subscription in subscriptions]
        walked += 1
    assert walked == 3 * len(fleet.catalog.enabled)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ("prod", ["gaming-system-alerts", "gaming-system-alerts-fallback"]),
        ("dev", ["gaming-system-alerts-dev", "gaming-system-alerts-fallback-dev"]),
    ],
)
def test_production_alone_has_the_names_of_the_order(environment: str, names: list[str]) -> None:
    fleet = synthesise(small_catalog(), load_environment(environment))
    assert [topic["TopicName"] for topic in topics(fleet)] == names


def test_the_topics_have_a_key_of_ours(fleet: Fleet) -> None:
    for topic in topics(fleet):
        assert fleet.followed(topic.part, topic["KmsMasterKeyId"]).type == "AWS::KMS::Key"


def test_topics_sign_with_the_second_version(fleet: Fleet) -> None:
    assert {topic["SignatureVersion"] for topic in topics(fleet)} == {"2"}


def test_the_key_lets_alarms_and_events_of_this_account_encrypt(prod: Fleet) -> None:
    (topic, _) = topics(prod)
    key = prod.followed(topic.part, topic["KmsMasterKeyId"])
    policy = prod.plain(key.part, key["KeyPolicy"]["Statement"])
    assert [statement for statement in policy if statement.get("Sid") == "AlarmsMayEncrypt"] == [
        {
            "Sid": "AlarmsMayEncrypt",
            "Effect": "Allow",
            "Principal": {"Service": SOURCES},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": OWN_ACCOUNT,
        }
    ]


def test_nobody_but_alarms_and_events_of_this_account_may_publish(fleet: Fleet) -> None:
    for topic in topics(fleet):
        arn = f"${{{topic.part}:{topic.logical_id}}}"
        assert [statement for statement in topic_policy(fleet, arn) if statement["Effect"] == "Allow"] == [
            {
                "Sid": "AlarmsMayPublish",
                "Effect": "Allow",
                "Principal": {"Service": SOURCES},
                "Action": "sns:Publish",
                "Resource": arn,
                "Condition": OWN_ACCOUNT,
            }
        ]


def test_topics_take_nothing_that_is_not_encrypted_on_its_way(fleet: Fleet) -> None:
    for topic in topics(fleet):
        denied = [
            statement
            for statement in topic_policy(fleet, f"${{{topic.part}:{topic.logical_id}}}")
            if statement["Effect"] == "Deny"
        ]
        assert [statement["Condition"] for statement in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_keys_are_rotated(fleet: Fleet) -> None:
    keys = fleet.resources("AWS::KMS::Key")
    assert [key.logical_id for key in keys if key["EnableKeyRotation"] is not True] == []


def subscribed(fleet: Fleet, topic_name: str) -> list[tuple[str, str]]:
    """Return protocol and name of the SSM parameter of each subscription of a topic."""
    found = []
    for subscription in fleet.resources("AWS::SNS::Subscription"):
        if fleet.followed(subscription.part, subscription["TopicArn"])["TopicName"] == topic_name:
            parameter = fleet.templates[subscription.part]["Parameters"][subscription["Endpoint"]["Ref"]]
            assert parameter["Type"] == "AWS::SSM::Parameter::Value<String>"
            found.append((subscription["Protocol"], parameter["Default"]))
    return found


@pytest.mark.parametrize(
    ("topic", "subscriptions"),
    [
        (
            "gaming-system-alerts",
            [
                ("email", "/gaming-system/prod/alerts/email"),
                ("sms", "/gaming-system/prod/alerts/sms"),
                ("https", "/gaming-system/prod/alerts/https"),
            ],
        ),
        ("gaming-system-alerts-fallback", [("email", "/gaming-system/prod/alerts/fallback-email")]),
    ],
)
def test_addresses_come_from_parameters_of_the_account(
    prod: Fleet, topic: str, subscriptions: list[tuple[str, str]]
) -> None:
    assert subscribed(prod, topic) == subscriptions


def test_an_environment_that_nobody_hears_is_warned_of() -> None:
    environment = load_environment("prod")
    silent = environment.model_copy(update={"alerts": environment.alerts.model_copy(update={"subscriptions": []})})
    fleet = synthesise(small_catalog(), silent)
    assert "nobody hears the alarms of prod" in fleet.warnings


def test_an_environment_with_a_subscriber_is_not(prod: Fleet) -> None:
    assert "nobody hears" not in prod.warnings


def test_the_topics_arn_is_an_output(prod: Fleet) -> None:
    output = prod.templates["monitoring"]["Outputs"]["AlertsTopic"]
    assert prod.followed("monitoring", output["Value"])["TopicName"] == "gaming-system-alerts"


@pytest.mark.parametrize(("environment", "days"), [("prod", 30), ("staging", 14), ("dev", 7), ("local", 1)])
def test_logs_are_kept_as_long_as_the_environment_says(environment: str, days: int) -> None:
    fleet = synthesise(small_catalog(), load_environment(environment))
    assert {group["RetentionInDays"] for group in fleet.resources("AWS::Logs::LogGroup")} == {days}


def test_the_log_group_has_the_name_of_the_order(prod: Fleet) -> None:
    assert prod.one("AWS::Logs::LogGroup", part="monitoring")["LogGroupName"] == "/ecs/gaming-system-nats"


def test_the_logs_key_serves_that_log_group_alone(prod: Fleet) -> None:
    group = prod.one("AWS::Logs::LogGroup", part="monitoring")
    key = prod.followed(group.part, group["KmsKeyId"])
    policy = prod.plain(key.part, key["KeyPolicy"]["Statement"])
    arn = "arn:${AWS::Partition}:logs:us-east-1:${AWS::AccountId}:log-group:/ecs/gaming-system-nats"
    assert [statement for statement in policy if statement.get("Sid") == "LogsMayEncrypt"] == [
        {
            "Sid": "LogsMayEncrypt",
            "Effect": "Allow",
            "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:Describe*", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": arn}},
        }
    ]
