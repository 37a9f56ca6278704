"""The running services, asked over NATS: who answers, with which breakers and errors; and who is refused what.

What is asked changes nothing: the service protocol, and requests that are no messages at all, which a service refuses as it refuses
any other that is malformed. Where nobody here may hold a certificate (in AWS), it is not asked, and nothing of this is proved.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.errors import Error as NatsError

from catalog import names
from catalog.service import Service
from fleet.verify.check import Check, Checks
from fleet.verify.scope import Scope
from fleet.wire import Wire, certificates_of
from proto.generated.gaming.errors.v1 import error_pb2
from tls import Profile, TlsError

BREAKER = {"failure_threshold": "5", "recovery_seconds": "60", "success_threshold": "2"}
"""What the order says of every circuit breaker."""
_ASKER = "loadtest"
# A service may answer all who may ask it; this identity of the platform asks none.
_NEVER_ASKS = "provisioner"
_ANSWER_SECONDS = 5.0
_QUIET_SECONDS = 0.5
_REFUSAL_SECONDS = 5.0
_NO_MESSAGE = b"\xff\xff\xff\xff"
_ERROR_CODE = "Nats-Service-Error-Code"
_UNREACHABLE = "NATS cannot be reached from here"
_REFUSAL = "a permissions violation for each"


def check_wire(scope: Scope) -> list[Check]:
    """Ask every service over NATS."""
    checks = scope.checks()
    if scope.plane is None:
        _prove_nothing(scope, checks, _UNREACHABLE)
        return checks.made
    try:
        wire = Wire(certificates_of(scope.account, scope.environment), scope.plane.ask("status")["nats_servers"])
        wire.prepare([_ASKER, *(service.name for service in scope.catalog.enabled)])
        _check_nodes(checks, wire)
        asyncio.run(_check(scope, checks, wire))
    except (TlsError, NatsError, OSError) as error:
        checks.lacks("wire.reached", scope.name, "NATS nodes that answer", str(error) or type(error).__name__)
        _prove_nothing(scope, checks, "see wire.reached")
    return checks.made


def _prove_nothing(scope: Scope, checks: Checks, why: str) -> None:
    """Say of everything that is asked here that it was not."""
    for service in scope.catalog.enabled:
        for check_id, expected in (
            ("wire.answers", f"{service.replicas} that answer"),
            ("breaker.settings", _told(BREAKER)),
            ("wire.refused", _REFUSAL),
            *([("error.typed", "a typed error")] if _harmless_subject(service) else []),
        ):
            checks.unproven(check_id, service.name, expected, why)
    for node in names.NATS_NODES:
        checks.unproven("wire.served", node, "the certificate of the bucket", why)
        checks.unproven("wire.stranger", node, "nobody without a certificate", why)


def _check_nodes(checks: Checks, wire: Wire) -> None:
    """Shake hands with every node, with a certificate and without."""
    stored = wire.pointers(Profile.SERVER, names.NATS_NODES)
    for node, server in zip(names.NATS_NODES, wire.servers, strict=True):
        expected = stored[node].certificate.fingerprint if node in stored else ""
        try:
            found = wire.served(server, _ASKER)
            let_in = wire.lets_in_a_stranger(server)
        except OSError as error:
            checks.lacks("wire.served", node, "the certificate of the bucket", str(error))
            continue
        checks.holds(
            "wire.served", node, found == expected, f"the certificate of the bucket, {expected[:16]}", found[:16],
            "fleet certs status: it missed a delivery or a reload",
        )  # fmt: skip
        told = "it lets one in" if let_in else "refused"
        checks.holds("wire.stranger", node, not let_in, "nobody without a certificate", told)


async def _check(scope: Scope, checks: Checks, wire: Wire) -> None:
    services = scope.catalog.enabled
    asker = await wire.connect(_ASKER)
    try:
        answers = await everybody(asker, "STATS", {service.name: service.replicas for service in services})
        for service in services:
            _check_answers(checks, service, answers.get(service.name, []))
        await asyncio.gather(*(_check_error(checks, asker, service) for service in services))
    finally:
        await asker.close()
    await asyncio.gather(*(_check_refused(scope, checks, wire, service) for service in services))


async def everybody(asker: Client, verb: str, expected: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Ask all services by their protocol; return the answers of each, once all are there or nobody says any more.

    Args:
        asker: Who asks.
        verb: PING, INFO or STATS.
        expected: How many of each service there should be.
    """
    inbox = asker.new_inbox()
    heard = await asker.subscribe(inbox)
    await asker.publish(f"$SRV.{verb}", reply=inbox)
    answers: dict[str, list[dict[str, Any]]] = {}
    end = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < end and any(len(answers.get(name, ())) < count for name, count in expected.items()):
        try:
            message = await heard.next_msg(timeout=end - time.monotonic())
        except (NatsError, TimeoutError):
            break
        answer = json.loads(message.data)
        answers.setdefault(str(answer.get("name")), []).append(answer)
    await heard.unsubscribe()
    return answers


def _check_answers(checks: Checks, service: Service, answers: list[dict[str, Any]]) -> None:
    found = len({answer["id"] for answer in answers})
    checks.holds("wire.answers", service.name, found >= service.replicas, f"{service.replicas} that answer", str(found))
    prefix = "circuit_breaker."
    settings = {
        _told({key: answer.get("metadata", {}).get(f"{prefix}{key}", "?") for key in BREAKER}) for answer in answers
    }
    told = "; ".join(sorted(settings)) or "no answer"
    checks.holds("breaker.settings", service.name, settings == {_told(BREAKER)}, _told(BREAKER), told)


def _told(breaker: Mapping[str, str]) -> str:
    return (
        f"opens after {breaker['failure_threshold']} failures, tries after {breaker['recovery_seconds']} s, "
        f"closes after {breaker['success_threshold']} successes"
    )


def _harmless_subject(service: Service) -> str | None:
    """Return a subject that may be asked twice, since only such may be asked by who is no service."""
    return next((name for name, subject in service.nats.serves.items() if subject.idempotent), None)


async def _check_error(checks: Checks, asker: Client, service: Service) -> None:
    """Have a service refuse what is no message, and look whether its refusal is the one standard message."""
    subject = _harmless_subject(service)
    if subject is None:
        return
    expected = "a typed error"
    try:
        reply = await asker.request(subject, _NO_MESSAGE, timeout=service.nats.serves[subject].timeout_seconds)
    except (NatsError, TimeoutError) as error:
        checks.lacks("error.typed", service.name, expected, f"{subject}: {error!r}")
        return
    message = error_pb2.Error()
    try:
        message.ParseFromString(reply.data)
    except DecodeError:
        message.Clear()
    code = (reply.headers or {}).get(_ERROR_CODE, "")
    typed = code == str(message.code) and message.code != error_pb2.ERROR_CODE_UNSPECIFIED
    name = error_pb2.ErrorCode.Name(message.code) if typed else "something else"
    found = f"{name} of {message.service or 'nobody'}"
    checks.holds("error.typed", service.name, typed and message.service == service.name, expected, found)


async def _check_refused(scope: Scope, checks: Checks, wire: Wire, service: Service) -> None:
    """Connect as a service, and try what its contract does not give: to ask, to tell and to hear."""
    refused: set[str] = set()
    all_of_them = asyncio.Event()
    asked = {"publish": list(_forbidden_publications(scope, service)), "subscription": [">", f"{_ASKER}.>"]}
    wanted = {subject for subjects in asked.values() for subject in subjects}

    async def hear(error: Exception) -> None:
        refused.update(subject for subject in wanted if f'"{subject}"'.lower() in str(error).lower())
        if refused == wanted:
            all_of_them.set()

    try:
        client = await wire.connect(service.name, error_cb=hear)
    except (NatsError, OSError, TimeoutError) as error:
        checks.lacks("wire.refused", service.name, _REFUSAL, f"it cannot connect: {error!r}")
        return
    try:
        for subject in asked["publish"]:
            await client.publish(subject, _NO_MESSAGE)
        for subject in asked["subscription"]:
            await client.subscribe(subject)
        try:
            async with asyncio.timeout(_REFUSAL_SECONDS):
                await all_of_them.wait()
        except TimeoutError:
            pass
    finally:
        await client.close()
    let_in = ", ".join(sorted(wanted - refused))
    checks.holds("wire.refused", service.name, not let_in, _REFUSAL, f"it may {let_in}" if let_in else _REFUSAL)


def _forbidden_publications(scope: Scope, service: Service) -> Iterator[str]:
    """Yield subjects that a service may not publish to: another's request, JetStream's administration, another's inbox."""
    own = {*service.nats.calls, *service.nats.publishes, *service.nats.serves}
    foreign: Callable[[str], bool] = lambda subject: subject not in own  # noqa: E731
    gateway = scope.catalog.is_gateway(service)
    subjects = () if gateway else (name for name, subject in scope.catalog.subjects.items() if subject.idempotent)
    yield from list(filter(foreign, subjects))[:1]
    yield "$JS.API.STREAM.NAMES"
    yield f"_INBOX.{_NEVER_ASKS}.nobody"
