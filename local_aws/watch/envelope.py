"""What SNS sends to a subscriber over HTTP: headers, envelope and signature."""

from __future__ import annotations

import base64
import functools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

CERTIFICATE_PATH = "/SimpleNotificationService-local.pem"
_KEY_BITS = 2048
_DAYS = 365


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one subscription.

    Args:
        kind: Notification or SubscriptionConfirmation.
        is_raw: whether the message is sent without an envelope, as the subscription wishes.
    """

    kind: str
    topic_arn: str
    subscription_arn: str
    endpoint: str
    message: str
    message_id: str
    subject: str | None = None
    attributes: Mapping[str, Any] | None = None
    token: str | None = None
    is_raw: bool = False


def headers(letter: Letter) -> dict[str, str]:
    """Return the headers, by which a program tells messages apart before it reads them."""
    return {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": letter.kind,
        "x-amz-sns-message-id": letter.message_id,
        "x-amz-sns-topic-arn": letter.topic_arn,
        **({"x-amz-sns-subscription-arn": letter.subscription_arn} if letter.kind == "Notification" else {}),
        **({"x-amz-sns-rawdelivery": "true"} if letter.is_raw else {}),
    }


def body(letter: Letter, server: str, now: float) -> str:
    """Return what is sent.

    Args:
        letter: what it tells.
        server: address of the local AWS, which the links lead to.
        now: seconds since 1970.
    """
    if letter.is_raw:
        return letter.message
    told: dict[str, Any] = {
        "Type": letter.kind,
        "MessageId": letter.message_id,
        "TopicArn": letter.topic_arn,
        "Message": letter.message,
        "Timestamp": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(now * 1000) % 1000:03d}Z",
    }
    if letter.subject:
        told["Subject"] = letter.subject
    if letter.attributes:
        told["MessageAttributes"] = letter.attributes
    if letter.token:
        query = {"Action": "ConfirmSubscription", "TopicArn": letter.topic_arn, "Token": letter.token}
        told |= {"Token": letter.token, "SubscribeURL": f"{server}/?{urlencode(query)}"}
    signature = base64.b64encode(_sign(_to_sign(told))).decode()
    told |= {"SignatureVersion": "2", "Signature": signature, "SigningCertURL": f"{server}{CERTIFICATE_PATH}"}
    if letter.kind == "Notification":
        query = {"Action": "Unsubscribe", "SubscriptionArn": letter.subscription_arn}
        told["UnsubscribeURL"] = f"{server}/?{urlencode(query)}"
    return json.dumps(told, indent=2, ensure_ascii=False)


def confirmation(topic_arn: str) -> str:
    """Return what SNS writes to somebody who is to confirm."""
    return (
        f"You have chosen to subscribe to the topic {topic_arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )


def new_id() -> str:
    """Return an id for a message."""
    return str(uuid.uuid4())


def _to_sign(told: Mapping[str, Any]) -> bytes:
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    return "".join(f"{name}\n{told[name]}\n" for name in names if name in told).encode()


def _sign(content: bytes) -> bytes:
    return _key().sign(content, padding.PKCS1v15(), hashes.SHA256())


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    """The key of this process, made when the first message is sent: nothing is worth keeping it for."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


@functools.cache
def certificate() -> bytes:
    """Return the certificate that messages are checked with, where a subscriber does that."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DAYS))
        .sign(_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
