"""Let a service's certificate run out: nobody new is let in with it, whoever is connected stays, and the daily run mends it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from nats.errors import Error as NatsError

from catalog import names
from catalog.identities import certificate_request
from fleet.certs import passphrase_of
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.functions import ask
from fleet.verify.certificates import check_certificates
from fleet.wire import Wire
from tls import CertificateRequest, Issuer, Leaf, Pointer, Profile, Sources, Store, bring_about, require_record
from tls.authority import issue_leaf
from tls.authority_store import issuing_signer
from tls.pairs import Publication, publish
from tls.store import CURRENT

_LIFE = timedelta(seconds=15)
_HEALED_MINUTES = 8


async def run(field: Field) -> None:
    """Break and watch."""
    service = field.a_service()
    field.target = f"client/{service.name}/"
    assert field.wire is not None  # noqa: S101 - here alone
    request = CertificateRequest.from_plain(certificate_request(field.scope.catalog, field.scope.environment))
    leaf = next(one for one in request.leaves if one.prefix == field.target)
    store = field.wire.store
    former = await field.call(_pointer, field, service.name)
    passphrase = passphrase_of(field.scope.account, field.scope.name)
    issuer = Issuer(store, passphrase, requester="fleet drill")

    async def renew() -> None:
        if (await field.call(_pointer, field, service.name)).certificate.not_after < former.certificate.not_after:
            await field.call(bring_about, issuer, request, forced=[leaf.prefix])

    field.after(renew)
    await field.call(_issue, store, request, leaf, issuer)
    expiring = (await field.call(_pointer, field, service.name)).certificate.not_after
    checks = await field.call(check_certificates, field.scope)
    found = next(one for one in checks if (one.id, one.subject) == ("certificate.current", field.target))
    field.notes.expect("`fleet verify` finds it before it has run out", found.found, good=found.status == "wanting")
    await asyncio.sleep(max(0.0, (expiring - datetime.now(UTC)).total_seconds() + 1))
    refused = await _refusal(field, service.name)
    field.notes.expect("NATS lets nobody in with it any more", refused or "it let one in", good=bool(refused))
    await field.ask("kill", name=service.name)
    if field.load is not None:
        steady = await field.load.more()
        field.notes.expect("whoever is connected goes on", "it does" if steady else "it does not", good=steady)
    await field.call(ask, field.scope.account, names.certificates_function(field.scope.name), {})
    renewed = await field.call(_pointer, field, service.name)
    field.notes.expect(
        "the daily run of the issuing function renews it", f"until {renewed.certificate.not_after:%Y-%m-%d}",
        good=renewed.certificate.not_after > datetime.now(UTC) + timedelta(days=1),
    )  # fmt: skip
    refused = await _refusal(field, service.name)
    field.notes.expect("with the new one NATS lets the service in", refused or "it does", good=not refused)
    await field.expect_within(
        f"the task of {service.name} that began meanwhile gets in by itself",
        lambda: field.is_steady(service.name),
        field.within(_HEALED_MINUTES),
    )


def _issue(store: Store, request: CertificateRequest, leaf: Leaf, issuer: Issuer) -> None:
    """Put a certificate into the bucket that has seconds to live."""
    record = require_record(store).record
    authority = record.issuer
    signer = issuing_signer(store, authority, leaf.profile, issuer.passphrase())
    sources = Sources()
    pair = issue_leaf(
        leaf, signer, organization=request.organization, key_type=request.key_type, lifetime=_LIFE, sources=sources
    )
    current = store.read(f"{leaf.prefix}{CURRENT}")
    publish(store, [Publication(leaf, pair, authority.id, current.etag if current else None)], sources.now())


def _pointer(field: Field, service: str) -> Pointer:
    assert field.wire is not None  # noqa: S101 - here alone
    return field.wire.pointers(Profile.CLIENT, [service])[service]


async def _refusal(field: Field, service: str) -> str:
    """Return why NATS does not let a service in with the certificate that it would read now; nothing where it does."""
    assert field.wire is not None  # noqa: S101 - here alone
    wire = await field.call(Wire, field.wire.store, field.wire.servers)
    try:
        client = await wire.connect(service, max_reconnect_attempts=1)
        try:
            await client.flush(5)
        finally:
            await client.close()
    except (NatsError, OSError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return ""


DRILL = Drill(
    name="expire-certificate",
    summary="Let a service's certificate run out; the issuing function's daily run mends it.",
    run=run,
    in_aws=False,
)
