"""Delivery to a real subscriber over HTTP."""

from __future__ import annotations

import base64
import queue
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local_aws.watch import post as module
from local_aws.watch.envelope import Letter, certificate
from local_aws.watch.post import ATTEMPTS, Post, is_here
from tests.alert_receiver import AlertReceiver, alert_receiver

SERVER = "http://127.0.0.1:4"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
Outcomes = queue.Queue[tuple[str, str | None]]
WAIT_SECONDS = 60


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    with alert_receiver(confirms=False) as receiver:
        yield receiver


@pytest.fixture
def outcomes() -> Outcomes:
    return queue.Queue()


@pytest.fixture
def post(outcomes: Outcomes) -> Iterator[Post]:
    post = Post(SERVER, lambda letter, why: outcomes.put((letter.message_id, why)), lambda: 0.0, lambda: 1764158400.25)
    post.start()
    yield post
    post.stop()


def letter(endpoint: str, **changes: object) -> Letter:
    told = {
        "kind": "Notification", "topic_arn": TOPIC, "subscription_arn": f"{TOPIC}:1", "endpoint": endpoint,
        "message": "wörds", "message_id": "m1", "subject": "about",
    }  # fmt: skip
    return Letter(**{**told, **changes})  # type: ignore[arg-type]  # a test's own words


def test_a_notification_has_sns_headers_and_envelope(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    post.send(letter(receiver.url))
    assert outcomes.get(timeout=WAIT_SECONDS) == ("m1", None)
    [received] = receiver.requests
    assert {key: value for key, value in received.headers.items() if key.startswith(("x-amz", "content-type"))} == {
        "content-type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "m1",
        "x-amz-sns-topic-arn": TOPIC,
        "x-amz-sns-subscription-arn": f"{TOPIC}:1",
    }
    envelope = received.envelope
    signature = envelope.pop("Signature")
    assert envelope == {
        "Type": "Notification",
        "MessageId": "m1",
        "TopicArn": TOPIC,
        "Subject": "about",
        "Message": "wörds",
        "Timestamp": "2025-11-26T12:00:00.250Z",
        "SignatureVersion": "2",
        "SigningCertURL": f"{SERVER}/SimpleNotificationService-local.pem",
        "UnsubscribeURL": f"{SERVER}/?Action=Unsubscribe&SubscriptionArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Aalerts%3A1",
    }
    signed = f"Message\nwörds\nMessageId\nm1\nSubject\nabout\nTimestamp\n{envelope['Timestamp']}\nTopicArn\n{TOPIC}\nType\nNotification\n"
    key = x509.load_pem_x509_certificate(certificate()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_raw_message_comes_as_it_is(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    post.send(letter(receiver.url, is_raw=True))
    outcomes.get(timeout=WAIT_SECONDS)
    [received] = receiver.requests
    assert (received.body, received.headers["x-amz-sns-rawdelivery"]) == ("wörds", "true")


def test_a_subscriber_that_fails_is_tried_again(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    receiver.statuses[:] = [500, 503]
    post.send(letter(receiver.url))
    assert outcomes.get(timeout=WAIT_SECONDS) == ("m1", None)
    assert len(receiver.requests) == 3


def test_one_that_keeps_failing_is_given_up(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    receiver.statuses[:] = [500] * 10
    post.send(letter(receiver.url))
    assert outcomes.get(timeout=WAIT_SECONDS) == ("m1", "status 500")
    assert len(receiver.requests) == ATTEMPTS


def test_nobody_who_answers_is_a_failure_too(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    with alert_receiver() as gone:
        pass
    post.send(letter(gone.url))
    _, why = outcomes.get(timeout=WAIT_SECONDS)
    assert why
    assert "refused" in why
    assert receiver.requests == []


def test_a_redirect_is_not_followed(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    receiver.statuses[:] = [302] * ATTEMPTS
    post.send(letter(receiver.url))
    assert outcomes.get(timeout=WAIT_SECONDS) == ("m1", "status 302")


def test_a_slow_subscriber_holds_up_no_other(post: Post, receiver: AlertReceiver, outcomes: Outcomes) -> None:
    receiver.statuses[:] = [500]
    post.send(letter(receiver.url, message_id="slow"))
    post.send(letter(receiver.url, message_id="other"))
    assert {outcomes.get(timeout=WAIT_SECONDS)[0] for _ in range(2)} == {"slow", "other"}


def test_too_many_letters_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, outcomes: Outcomes, receiver: AlertReceiver
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    idle = Post(SERVER, lambda letter, why: outcomes.put((letter.message_id, why)), lambda: 0.0)
    for number in range(3):
        idle.send(letter(receiver.url, message_id=str(number)))
    assert outcomes.get_nowait() == ("2", "2 others wait")


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [
        ("http://127.0.0.1:9/x", True),
        ("https://localhost/x", True),
        ("http://[::1]:9/", True),
        ("http://192.168.0.1/", False),
        ("https://events.example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("nothing", False),
    ],
)
def test_only_this_machine_is_written_to(endpoint: str, here: bool) -> None:  # noqa: FBT001 - a row of the table
    assert is_here(endpoint) is here
