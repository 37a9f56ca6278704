"""Subscriptions over HTTP: who has not confirmed gets nothing, and who is not on this machine never does."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.cloudwatch.models import cloudwatch_backends

from local_aws.clients import ServerClients
from local_aws.resources.moto_repairs.sns import count_delivery
from local_aws.watch.envelope import Letter
from local_aws.watch.measuring import samples_of
from tests.unit.local_aws.watch.conftest import ACCOUNT, REGION, Mailbox

HERE = "http://127.0.0.1:9/alerts"


@pytest.fixture
def sns(clients: ServerClients) -> Any:
    return clients.client("sns", REGION)


@pytest.fixture
def topic(sns: Any) -> str:
    return str(sns.create_topic(Name="alerts")["TopicArn"])


def listed(sns: Any, topic: str) -> list[str]:
    found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert found == sns.list_subscriptions()["Subscriptions"]
    return [one["SubscriptionArn"] for one in found]


def counts(sns: Any, topic: str) -> tuple[str, str]:
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    return attributes["SubscriptionsPending"], attributes["SubscriptionsConfirmed"]


def test_a_subscriber_is_asked_and_gets_nothing_before_it_has_confirmed(sns: Any, topic: str, mailbox: Mailbox) -> None:
    arn = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE, ReturnSubscriptionArn=True)["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="early")
    [asked] = mailbox.letters
    assert (asked.kind, asked.endpoint) == ("SubscriptionConfirmation", HERE)
    assert (listed(sns, topic), counts(sns, topic)) == (["PendingConfirmation"], ("1", "0"))
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true"
    assert sns.confirm_subscription(TopicArn=topic, Token=asked.token)["SubscriptionArn"] == arn
    assert (listed(sns, topic), counts(sns, topic)) == ([arn], ("0", "1"))
    sns.publish(TopicArn=topic, Message="late", Subject="s")
    told = mailbox.letters[-1]
    assert (told.kind, told.message, told.subject, told.subscription_arn) == ("Notification", "late", "s", arn)


def test_a_wrong_token_confirms_nothing(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.com")
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE)
    for token in ("0" * 128, "None", ""):
        with pytest.raises(ClientError, match="Token"):
            sns.confirm_subscription(TopicArn=topic, Token=token)
    assert listed(sns, topic)[1] == "PendingConfirmation"
    assert len(mailbox.letters) == 1


def test_who_confirms_twice_is_told_the_same(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE)
    token = mailbox.letters[0].token
    answers = [sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"] for _ in range(2)]
    assert answers[0] == answers[1]


def test_to_subscribe_again_asks_again_only_who_has_not_confirmed(sns: Any, topic: str, mailbox: Mailbox) -> None:
    for _ in range(2):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE)
    assert [letter.kind for letter in mailbox.letters] == ["SubscriptionConfirmation"] * 2
    sns.confirm_subscription(TopicArn=topic, Token=mailbox.letters[1].token)
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE)
    assert len(mailbox.letters) == 2


def test_other_addresses_are_kept_and_never_written_to(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint="https://events.example.com/hook")
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.com")
    sns.publish(TopicArn=topic, Message="m")
    assert mailbox.letters == []
    assert counts(sns, topic) == ("0", "2")


def test_a_filter_keeps_messages_away(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE, Attributes={"FilterPolicy": '{"kind": ["loud"]}'})
    sns.confirm_subscription(TopicArn=topic, Token=mailbox.letters[0].token)
    for kind in ("quiet", "loud"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes=attributes)
    assert [letter.message for letter in mailbox.letters[1:]] == ["loud"]
    assert mailbox.letters[1].attributes == {"kind": {"Type": "String", "Value": "loud"}}


def test_a_message_may_differ_by_protocol(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE, Attributes={"RawMessageDelivery": "true"})
    sns.confirm_subscription(TopicArn=topic, Token=mailbox.letters[0].token)
    sns.publish(TopicArn=topic, Message='{"default": "d", "http": "h"}', MessageStructure="json")
    assert (mailbox.letters[1].message, mailbox.letters[1].is_raw) == ("h", True)


def test_the_outcome_is_a_metric_of_the_topic(sns: Any, topic: str, mailbox: Mailbox) -> None:
    sns.publish(TopicArn=topic, Message="m")
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=HERE)
    notification = Letter("Notification", topic, f"{topic}:1", HERE, "m", "1")
    count_delivery(notification, arrived=True)
    count_delivery(notification, arrived=False)
    count_delivery(mailbox.letters[0], arrived=False)
    found = samples_of(cloudwatch_backends[ACCOUNT][REGION]).all()
    assert {(metric.name, metric.dimensions, len(samples)) for metric, samples in found} == {
        ("NumberOfMessagesPublished", (("TopicName", "alerts"),), 1),
        ("NumberOfNotificationsDelivered", (("TopicName", "alerts"),), 1),
        ("NumberOfNotificationsFailed", (("TopicName", "alerts"),), 1),
    }
