"""The topics that alarms act on, their key and their subscribers."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from catalog import names
from catalog.environment import Environment, Subscription
from fleet_constructs.account_inputs import account_input, pascal_case
from fleet_constructs.alarms import Condition, Metric, add_alarm
from fleet_constructs.arns import account
from fleet_constructs.retention import Retention

SOURCES = ("cloudwatch.amazonaws.com", "events.amazonaws.com")


class Alerts(Construct):
    """One topic for every alarm, and a second one that tells when the first does not deliver."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, retention: Retention) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._key = kms.Key(
            self,
            "Key",
            description=f"Alerts of {names.PLATFORM} {environment.name}",
            alias=f"alias/{names.PLATFORM}-{environment.name}-alerts",
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        # With AWS's own key for SNS, CloudWatch may not encrypt, and alarms are dropped without a word.
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsMayEncrypt",
                principals=[iam.ServicePrincipal(source) for source in SOURCES],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": account()}},
            )
        )
        self.topic = self._topic("Topic", names.alerts_topic(environment.name), environment.alerts.subscriptions)
        self.fallback = self._topic(
            "Fallback", names.fallback_topic(environment.name), environment.alerts.fallback_subscriptions
        )
        self._watch_delivery()
        if not environment.alerts.subscriptions:
            cdk.Annotations.of(self).add_warning_v2(
                "fleet:nobody-hears-alarms",
                f"nobody hears the alarms of {environment.name}: alerts.subscriptions in environments/{environment.name}.yaml is empty",
            )

    def _topic(self, construct_id: str, topic_name: str, subscriptions: Sequence[Subscription]) -> sns.Topic:
        topic = sns.Topic(
            self, construct_id, topic_name=topic_name, master_key=self._key, enforce_ssl=True, signature_version="2"
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsMayPublish",
                principals=[iam.ServicePrincipal(source) for source in SOURCES],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": account()}},
            )
        )
        for subscription in subscriptions:
            sns.Subscription(
                topic,
                pascal_case(subscription.parameter),
                topic=topic,
                endpoint=account_input(self, self._environment.name, subscription.parameter),
                protocol=sns.SubscriptionProtocol[subscription.protocol.upper()],
            )
        return topic

    def _watch_delivery(self) -> None:
        """Watch the topic by another road than the topic itself."""
        add_alarm(
            self,
            "Undelivered",
            alarm_name=f"{names.PLATFORM_ALARM_PREFIX}alerts-undelivered-{self._environment.name}",
            description="Alarms are raised but do not reach a subscriber.",
            runbook="platform-alerts-undelivered",
            topic_arn=self.fallback.topic_arn,
            metric=Metric("AWS/SNS", "NumberOfNotificationsFailed", "Sum", {"TopicName": self.topic.topic_name}, 300),
            condition=Condition("GreaterThanThreshold", 0, 1, 1, "notBreaching"),
        )
