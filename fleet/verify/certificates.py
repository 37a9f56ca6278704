"""The certificates: one that holds for everybody who needs one, and the very one on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from catalog.identities import certificate_request
from fleet.certs import observed
from fleet.errors import FleetError
from fleet.verify.check import Check, Checks
from fleet.verify.scope import NO_TASKS, Scope
from fleet.wire import certificates_of
from tls import CertificateRequest, Leaf, Observations, Pointer, Profile, TlsError, leaf_prefix, pointers
from tls.observations import consumer_of

_LATE = 4
"""With a fourth of its life left a certificate should long have been renewed: that is due before the last third, and tried daily."""
_SERVED = "the certificate of the bucket"


def check_certificates(scope: Scope) -> list[Check]:
    """Look at every certificate that the catalog asks for, in the bucket and as nodes and services show it."""
    checks = Checks(fix=f"fleet certs status --env {scope.name}")
    request = CertificateRequest.from_plain(certificate_request(scope.catalog, scope.environment))
    try:
        current = pointers(certificates_of(scope.account, scope.environment))
    except TlsError as error:
        checks.lacks("certificate.current", scope.name, "a bucket that can be read", str(error))
        return checks.made
    now = datetime.now(UTC)
    for leaf in request.leaves:
        _check_current(checks, leaf, current.get(leaf.prefix), now)
    expected = list(_served_by(scope, request))
    if not scope.claims_nodes:
        for prefix in expected:
            checks.unproven("certificate.served", prefix, _SERVED, NO_TASKS)
        return checks.made
    try:
        seen = observed(scope.account, scope.environment)
    except (FleetError, TlsError) as error:
        checks.lacks("certificate.seen", scope.name, "nodes that say what is served", str(error))
        return checks.made
    for why in seen.silent:
        checks.lacks("certificate.seen", scope.name, "nodes that say what is served", why)
    for prefix in expected:
        _check_served(checks, prefix, current.get(prefix), seen.observations)
    return checks.made


def _check_current(checks: Checks, leaf: Leaf, pointer: Pointer | None, now: datetime) -> None:
    expected = "one that was renewed in time"
    if pointer is None:
        checks.lacks("certificate.current", leaf.prefix, expected, "none")
        return
    begins, ends = pointer.certificate.not_before, pointer.certificate.not_after
    good = begins <= now < ends - (ends - begins) / _LATE
    checks.holds("certificate.current", leaf.prefix, good, expected, f"{begins:%Y-%m-%d} to {ends:%Y-%m-%d %H:%M}")


def _served_by(scope: Scope, request: CertificateRequest) -> Iterator[str]:
    """Yield the places of those that somebody shows all the time: nodes, and services that run."""
    enabled = {service.name for service in scope.catalog.enabled}
    for leaf in request.leaves:
        if leaf.profile is not Profile.CLIENT or leaf.name in enabled:
            yield leaf_prefix(leaf.profile, leaf.name)


def _check_served(checks: Checks, prefix: str, pointer: Pointer | None, seen: Observations | None) -> None:
    """Compare what somebody shows with the bucket.

    A service reads a new certificate by itself and shows it when it connects the next time; until then it shows one from before, of
    which the observation knows the end, since it is in the bucket, too.
    """
    profile, consumer = Profile(prefix.partition("/")[0]), consumer_of(prefix)
    shown = [
        one.serves[profile]
        for one in (seen.consumers if seen else ())
        if one.name == consumer and profile in one.serves
    ]
    wanted = pointer.certificate.fingerprint if pointer else ""
    good = [
        one.fingerprint == wanted or (profile is Profile.CLIENT and seen is not None and one.not_after > seen.taken_at)
        for one in shown
    ]
    found = ", ".join(sorted({one.fingerprint[:16] for one in shown})) or "nobody shows one"
    checks.holds("certificate.served", prefix, bool(good) and all(good), f"{_SERVED}, {wanted[:16]}", found)
