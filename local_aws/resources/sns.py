"""SNS: topics, their policies and subscriptions."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from local_aws.resources.calls import Properties, Task, call, is_gone
from local_aws.resources.coerce import PropertyNotCarriedError
from local_aws.resources.contract import Context, Made
from local_aws.resources.table import Name, Row, do
from local_aws.resources.tagging import Tagging

_TOPIC = (
    "ArchivePolicy",
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoThroughputScope",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
_SUBSCRIPTION = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "ReplayPolicy",
    "SubscriptionRoleArn",
)


_PROTOCOLS = {"http/s": "HTTP", "sqs": "SQS", "lambda": "Lambda", "firehose": "Firehose", "application": "Application"}


def _attribute(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _set_topic_attributes(task: Task) -> None:
    for name in task.changed & set(_TOPIC):
        value = _attribute(task.new.get(name, ""))
        task.client.set_topic_attributes(TopicArn=task.id, AttributeName=name, AttributeValue=value)


def _set_delivery_logging(task: Task) -> None:
    """SNS has three attributes for each protocol; one that is no longer logged is left without roles."""
    wanted = {one["Protocol"]: one for one in task.new.get("DeliveryStatusLogging", [])}
    there = {one["Protocol"]: one for one in task.old.get("DeliveryStatusLogging", [])}
    for protocol, one in {**{protocol: {} for protocol in there}, **wanted}.items():
        for name in ("SuccessFeedbackRoleArn", "FailureFeedbackRoleArn", "SuccessFeedbackSampleRate"):
            if name in one or name in there.get(protocol, {}):
                attribute = f"{_PROTOCOLS[protocol]}{name}"
                task.client.set_topic_attributes(
                    TopicArn=task.id, AttributeName=attribute, AttributeValue=one.get(name, "")
                )


def _set_inline_subscriptions(task: Task) -> None:
    wanted = {(one["Protocol"], one["Endpoint"]) for one in task.new.get("Subscription", [])}
    there = {(one["Protocol"], one["Endpoint"]) for one in task.old.get("Subscription", [])}
    for one in task.client.list_subscriptions_by_topic(TopicArn=task.id)["Subscriptions"]:
        if (one["Protocol"], one["Endpoint"]) in there - wanted:
            task.client.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    for protocol, endpoint in sorted(wanted - there):
        task.client.subscribe(TopicArn=task.id, Protocol=protocol, Endpoint=endpoint)


def _set_subscription_attributes(task: Task) -> None:
    for name in (name for name in _SUBSCRIPTION if name in task.changed):
        value = _attribute(task.new.get(name, ""))
        task.client.set_subscription_attributes(SubscriptionArn=task.id, AttributeName=name, AttributeValue=value)


def _own_region_only(task: Task) -> None:
    if task.new.get("Region", task.context.region) != task.context.region:
        raise PropertyNotCarriedError(task.type_name, "Region", "the topic must be in the stack's region")


ROWS = (
    Row(
        type_name="AWS::SNS::Topic",
        service="sns",
        name=Name("TopicName", 256),
        make=call("create_topic", Name="TopicName", Attributes="{FifoTopic: FifoTopic}"),
        id="TopicArn",
        absent=(
            call("get_topic_attributes", TopicArn="join(':', ['arn:aws:sns', region, account, TopicName])"),
            "Attributes",
        ),
        attributes={"TopicArn": "id", "TopicName": "TopicName"},
        steps=(
            do(_set_topic_attributes, *_TOPIC),
            do(_set_delivery_logging, "DeliveryStatusLogging"),
            do(_set_inline_subscriptions, "Subscription"),
        ),
        tags=Tagging(
            call("tag_resource", ResourceArn="id"), "Tags", call("untag_resource", ResourceArn="id"), "TagKeys"
        ),
        remove=call("delete_topic", TopicArn="id"),
    ),
    Row(
        type_name="AWS::SNS::Subscription",
        service="sns",
        make=call("subscribe", ReturnSubscriptionArn="`true`"),
        id="SubscriptionArn",
        attributes={"Arn": "id"},
        steps=(do(_own_region_only, "Region"), do(_set_subscription_attributes, *_SUBSCRIPTION)),
        remove=call("unsubscribe", SubscriptionArn="id"),
    ),
)


class TopicPolicy:
    """`AWS::SNS::TopicPolicy`: one policy put on each of the topics that it names."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the policy on all the topics."""
        name = f"{context.stack_name}-{context.logical_id}"
        self._put(context, properties["Topics"], _attribute(properties["PolicyDocument"]))
        return Made(name, {"Id": name})

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Put the policy on the topics that there are now, and SNS's own on those that fell away."""
        self._reset(context, [topic for topic in old["Topics"] if topic not in new["Topics"]])
        self._put(context, new["Topics"], _attribute(new["PolicyDocument"]))
        return made

    def delete(self, context: Context, _made: Made, properties: Properties) -> None:
        """Put SNS's own policy back: a topic is never without one."""
        self._reset(context, properties["Topics"])

    @staticmethod
    def _put(context: Context, topics: list[str], policy: str) -> None:
        for topic in topics:
            context.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)

    def _reset(self, context: Context, topics: list[str]) -> None:
        for topic in topics:
            try:
                self._put(context, [topic], json.dumps(_default_policy(topic, context.account_id)))
            except ClientError as error:
                if not is_gone(error):
                    raise


def _default_policy(topic: str, account: str) -> dict[str, Any]:
    """Return what SNS gives a new topic: its owner may do everything with it."""
    verbs = (
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    )
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{verb}" for verb in verbs],
        "Resource": topic,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
