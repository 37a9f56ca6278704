"""SNS: delivery over HTTP as SNS does it, and subscriptions that their owner has to confirm.

moto 5.2.5 posts to whatever address a subscription has, on this machine or not, while the publisher waits, once, and drops the
outcome; it confirms every subscription itself. Here an HTTP subscriber on this machine is asked to confirm, and then gets its
messages from `watch.post`; the outcome is counted as the metrics that SNS has of a topic. Other addresses are kept and never
written to, and called confirmed as moto does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.sns import urls
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription, Topic
from moto.sns.responses import SNSResponse
from moto.utilities.arns import parse_arn

from local_aws.resources.moto_repairs.patching import add, around
from local_aws.watch.envelope import Letter, certificate, confirmation, new_id
from local_aws.watch.measuring import measure
from local_aws.watch.post import Post, is_here
from local_aws.watch.samples import Metric, Sample

_HTTP = ("http", "https")
_PENDING = "PendingConfirmation"
_MOST_KEPT = 100  # messages of a topic that moto keeps for nobody
_PEM_PATH = r"{0}/SimpleNotificationService-(?P<pem_id>[^/]+).pem"


def count(topic_arn: str, name: str) -> None:
    """Count one of SNS's own metrics of a topic."""
    arn = parse_arn(topic_arn)
    metric = Metric.of("AWS/SNS", name, {"TopicName": arn.resource_id})
    measure(arn.account, arn.region, metric, Sample.value(time.time(), 1.0, "Count"))


def count_delivery(letter: Letter, *, arrived: bool) -> None:
    """Count what became of a notification."""
    if letter.kind == "Notification":
        count(letter.topic_arn, "NumberOfNotificationsDelivered" if arrived else "NumberOfNotificationsFailed")


def _is_posted(subscription: Subscription) -> bool:
    return subscription.protocol in _HTTP and is_here(subscription.endpoint)


def _is_pending(subscription: Subscription) -> bool:
    return getattr(subscription, "token", None) is not None


def _ask(subscription: Subscription) -> None:
    """Ask a subscriber to confirm."""
    if Post.current:
        token: str = subscription.token  # type: ignore[attr-defined]  # ours
        arn = subscription.topic.arn
        Post.current.send(
            Letter(
                "SubscriptionConfirmation", arn, subscription.arn, subscription.endpoint, confirmation(arn), new_id(),
                token=token,
            )
        )  # fmt: skip


def confirm_subscription(self: SNSResponse) -> ActionResult:
    """ConfirmSubscription, by the token that only the subscriber has got."""
    topic = self.backend.get_topic(self._get_param("TopicArn"))
    token = self._get_param("Token")
    for subscription in list(self.backend.subscriptions.values()):
        ours: str | None = getattr(subscription, "used_token", None)
        if ours and subscription.topic is topic and secrets.compare_digest(ours, token):
            subscription.token = None  # type: ignore[attr-defined]  # ours
            subscription.attributes[_PENDING] = False
            return ActionResult({"SubscriptionArn": subscription.arn})
    raise SNSInvalidParameter("Invalid parameter: Token")


def _listed(subscriptions: list[Subscription]) -> list[dict[str, str]]:
    return [
        {
            "SubscriptionArn": _PENDING if _is_pending(one) else one.arn,
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic.arn,
        }
        for one in subscriptions
    ]


def _told(answer: ActionResult) -> dict[str, Any]:
    return cast("dict[str, Any]", answer.result)


def serve_pem(_request: Any, _url: str, _headers: Any) -> tuple[int, dict[str, str], bytes]:
    """Give the certificate that messages are checked with."""
    return 200, {"Content-Type": "application/x-pem-file"}, certificate()


def apply() -> None:
    """Mend publishing and confirming."""
    add(SNSResponse, confirm_subscription)
    urls.url_paths[_PEM_PATH] = serve_pem  # type: ignore[assignment]  # moto looks at no names of arguments
    _mend_subscribing()
    _mend_publishing()
    _mend_answers()


def _mend_subscribing() -> None:

    @around(SNSBackend, "subscribe")
    def subscribe(
        original: Callable[..., Subscription], backend: SNSBackend, topic_arn: str, endpoint: str, protocol: str
    ) -> Subscription:
        before = set(backend.subscriptions)
        subscription = original(backend, topic_arn, endpoint, protocol)
        if subscription.arn not in before and _is_posted(subscription):
            token = secrets.token_hex(64)
            # Who confirms twice is told the same again.
            subscription.token = subscription.used_token = token  # type: ignore[attr-defined]  # ours
            subscription.attributes.update({_PENDING: True, "ConfirmationWasAuthenticated": False})
        if _is_pending(subscription):
            _ask(subscription)
        return subscription


def _mend_publishing() -> None:
    @around(Subscription, "publish")
    def publish(
        original: Callable[..., None],
        subscription: Subscription,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        message_structure: str | None = None,
        **rest: Any,
    ) -> None:
        if subscription.protocol not in _HTTP:
            original(
                subscription, message, message_id, subject=subject, message_attributes=message_attributes,
                message_structure=message_structure, **rest,
            )  # fmt: skip
            return
        matcher = subscription._filter_policy_matcher  # noqa: SLF001 - what moto's own would ask
        if not _is_posted(subscription) or _is_pending(subscription) or not Post.current:
            return
        if matcher is not None and not matcher.matches(message_attributes, message):
            return
        if message_structure == "json":
            message = subscription._parse_message_structure(message, subscription.protocol)  # noqa: SLF001 - moto's own
        raw = str(subscription.attributes.get("RawMessageDelivery")).lower() == "true"
        Post.current.send(
            Letter(
                "Notification", subscription.topic.arn, subscription.arn, subscription.endpoint, message, message_id,
                subject, message_attributes, is_raw=raw,
            )
        )  # fmt: skip

    @around(Topic, "publish")
    def counted(original: Callable[..., str], topic: Topic, *arguments: Any, **named: Any) -> str:
        message_id = original(topic, *arguments, **named)
        count(topic.arn, "NumberOfMessagesPublished")
        del topic.sent_notifications[:-_MOST_KEPT]
        return message_id


def _mend_answers() -> None:
    for operation in ("list_subscriptions", "list_subscriptions_by_topic"):

        @around(SNSResponse, operation)
        def with_pending(original: Callable[..., ActionResult], response: SNSResponse) -> ActionResult:
            answer = original(response)
            told = _told(answer)
            told["Subscriptions"] = _listed(told["Subscriptions"])
            return answer

    @around(SNSResponse, "get_topic_attributes")
    def with_counts(original: Callable[..., ActionResult], response: SNSResponse) -> ActionResult:
        answer = original(response)
        subscriptions, _ = response.backend.list_subscriptions_by_topic(response._get_param("TopicArn"))  # noqa: SLF001 - moto's way to parameters
        pending = sum(_is_pending(one) for one in subscriptions)
        _told(answer)["Attributes"] |= {
            "SubscriptionsPending": pending,
            "SubscriptionsConfirmed": len(subscriptions) - pending,
        }
        return answer
