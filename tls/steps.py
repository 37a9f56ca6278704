"""From what is asked for to what is served: plan, issue, verify, publish, deliver, prove, retire.

Nothing is remembered between two runs but what the store holds. A run that ended anywhere is taken up by the next one, which
plans anew: what was published is found there, and what was only staged is left where no pointer names it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tls.authority import Signer, create_authority, issue_leaf
from tls.authority_record import AuthorityRecord, Phase
from tls.authority_store import (
    PassphraseSource,
    StoredRecord,
    issuing_signer,
    read_record,
    write_keys,
    write_record,
)
from tls.certificates import summarize
from tls.delivery import Delivered, Delivery, NoNodes, Release
from tls.errors import ConflictError, VerificationError
from tls.issue_log import Issued, append
from tls.manifest import write_manifest
from tls.observations import Observer
from tls.pairs import Publication, hold, leaf_prefixes, pointers, publish
from tls.plan import Due, Plan, make_plan
from tls.profiles import Profile
from tls.report import IssuedLeaf, Report
from tls.request import CertificateRequest
from tls.retirement import retire
from tls.secret import Passphrase
from tls.sources import Sources
from tls.status import disagreements
from tls.store import Store
from tls.verification import authority_findings, pair_findings

_MOST_ATTEMPTS = (
    6  # the other one can be first with the authority, the leaves and the manifest, and there may be a third
)


def _silent(_: str) -> None: ...


@dataclass(frozen=True)
class Issuer:
    """All that issuing needs besides what is asked for."""

    store: Store
    passphrase: PassphraseSource
    requester: str
    """Who asks, for the log."""
    sources: Sources = field(default_factory=Sources)
    delivery: Delivery = field(default_factory=NoNodes)
    observer: Observer | None = None
    """Proves what is served after a delivery; None where nobody can look."""
    say: Callable[[str], None] = _silent
    """Told what is under way."""


def bring_about(
    issuer: Issuer,
    request: CertificateRequest,
    *,
    forced: Collection[str] = (),
    unused: Callable[[], Collection[str]] = tuple,
    dry_run: bool = False,
    trusts_clock: bool = False,
) -> Report:
    """Make the store, and the nodes, hold what is asked for.

    Where another issuer is at work on the same store, what it publishes first stands, and this one plans anew.

    Args:
        issuer: Store, passphrase, clock and hooks.
        request: What is asked for.
        forced: Prefixes whose certificates are renewed whatever their age.
        unused: Tells which prefixes no running task uses: of these, what nobody asks for any more is retired. It is asked last,
            since a delivery takes minutes.
        dry_run: Only tell what would be done.
        trusts_clock: Issue although certificates are there that begin in the future.

    Raises:
        ConflictError: Other issuers were faster again and again.
        TlsError: One of the others in `tls.errors`.
    """
    attempt = 1
    while True:
        try:
            return _attempt(issuer, request, forced, unused, dry_run=dry_run, trusts_clock=trusts_clock)
        except ConflictError:
            if attempt == _MOST_ATTEMPTS:
                raise
            attempt += 1
            issuer.say("another issuer is at work; planning anew")


def _attempt(
    issuer: Issuer,
    request: CertificateRequest,
    forced: Collection[str],
    unused: Callable[[], Collection[str]],
    *,
    dry_run: bool,
    trusts_clock: bool,
) -> Report:
    store, now = issuer.store, issuer.sources.now()
    issuer.say(f"plan: reading {store.address}")
    stored = read_record(store)
    held = hold(store, [leaf.prefix for leaf in request.leaves])
    plan = make_plan(
        request,
        None if stored is None else stored.record,
        held,
        leaf_prefixes(store.keys("")),
        now=now,
        forced=forced,
        trusts_clock=trusts_clock,
    )
    if dry_run:
        return _dry_report(store, request, plan, stored)
    if stored is None:
        stored = _create_authority(issuer, request)
    issued = _issue(issuer, request, stored, plan.due) if plan.due else ()
    current = pointers(store)
    write_manifest(store, stored.record, current)
    delivered = _deliver(issuer, Release(stored.record, current))
    findings = [*plan.notes, *_proof(issuer, Release(stored.record, current), delivered)]
    retirement = retire(store, request, unused=unused(), now=now)
    for place in retirement.retired:
        issuer.say(f"retire: {place}")
    if retirement.retired:
        write_manifest(store, stored.record, pointers(store))
    return Report(
        store=store.address,
        dry_run=False,
        authority=stored.record.issuing,
        creates_authority=plan.creates_authority,
        issued=issued,
        unchanged=len(request.leaves) - len(issued),
        delivered=tuple(delivered),
        retired=retirement.retired,
        superfluous=retirement.kept,
        findings=tuple(findings),
    )


def _create_authority(issuer: Issuer, request: CertificateRequest) -> StoredRecord:
    issuer.say("issue: a root and three issuing authorities")
    new = create_authority(request, issuer.sources)
    if findings := authority_findings(new.authority, request, issuer.sources.now()):
        raise VerificationError("the new authority is not as it should be, so it was not stored", findings)
    certificates = (new.authority.root, *new.authority.issuing.values())
    append(
        issuer.store,
        [Issued(certificate, new.authority.id, "ca/", "there is none yet") for certificate in certificates],
        requester=issuer.requester,
        sources=issuer.sources,
    )
    write_keys(issuer.store, new, issuer.passphrase())
    return write_record(
        issuer.store,
        environment=request.environment,
        phase=Phase.STEADY,
        authorities=[new.authority],
        issuing=new.authority.id,
        now=issuer.sources.now(),
        replaces=None,
    )


def _issue(
    issuer: Issuer, request: CertificateRequest, stored: StoredRecord, due: Sequence[Due]
) -> tuple[IssuedLeaf, ...]:
    """Issue, verify, log and publish what is due."""
    record = stored.record
    publications = _sign(issuer, request, record, due)
    _verify(issuer, request, record, publications)
    append(
        issuer.store,
        [
            Issued(publication.pair.certificate, record.issuing, publication.leaf.prefix, entry.reason)
            for publication, entry in zip(publications, due, strict=True)
        ],
        requester=issuer.requester,
        sources=issuer.sources,
    )
    # A rollover may have moved on meanwhile. Then these would be certificates of an authority that nobody trusts for long.
    latest = read_record(issuer.store)
    if latest is None or latest.etag != stored.etag:
        raise ConflictError(f"{issuer.store.address}: the authority changed in the meantime; run it again")
    issuer.say(f"publish: {len(publications)} certificates")
    if lost := publish(issuer.store, publications, issuer.sources.now()):
        places = ", ".join(publication.leaf.prefix for publication in lost)
        raise ConflictError(f"{issuer.store.address}: another issuer published {places} first; run it again")
    return tuple(
        IssuedLeaf(entry.leaf.prefix, entry.reason, summarize(publication.pair.certificate).to_plain())
        for publication, entry in zip(publications, due, strict=True)
    )


def _sign(
    issuer: Issuer, request: CertificateRequest, record: AuthorityRecord, due: Sequence[Due]
) -> list[Publication]:
    passphrase: Passphrase = issuer.passphrase()
    signers: dict[Profile, Signer] = {}
    publications = []
    for number, entry in enumerate(due, start=1):
        profile = entry.leaf.profile
        if profile not in signers:
            signers[profile] = issuing_signer(issuer.store, record.issuer, profile, passphrase)
        issuer.say(f"issue: {entry.leaf.prefix} ({number} of {len(due)}): {entry.reason}")
        pair = issue_leaf(
            entry.leaf,
            signers[profile],
            organization=request.organization,
            key_type=request.key_type,
            lifetime=timedelta(days=request.lifetimes.leaf_days),
            sources=issuer.sources,
        )
        publications.append(Publication(entry.leaf, pair, record.issuing, entry.replaces))
    return publications


def _verify(
    issuer: Issuer, request: CertificateRequest, record: AuthorityRecord, publications: Sequence[Publication]
) -> None:
    issuer.say(f"verify: {len(publications)} certificates")
    now = issuer.sources.now()  # read again: a clock that jumped while we issued shows here
    findings = [
        f"{publication.leaf.prefix}: {finding}"
        for publication in publications
        for finding in pair_findings(
            publication.pair, publication.leaf, record.issuer, now=now, key_type=request.key_type
        )
    ]
    serials = [publication.pair.certificate.serial_number for publication in publications]
    if len(set(serials)) != len(serials):
        findings.append("a serial was given out twice")
    if findings:
        raise VerificationError("what was issued is not as it should be, so nothing of it was published", findings)


def _deliver(issuer: Issuer, release: Release) -> Sequence[Delivered]:
    delivered = issuer.delivery.deliver(release)
    for outcome in delivered:
        issuer.say(f"deliver: {outcome.node}: {'done' if outcome.succeeded else 'FAILED'} {outcome.detail}".rstrip())
    return delivered


def _proof(issuer: Issuer, release: Release, delivered: Sequence[Delivered]) -> list[str]:
    """Return where the wire shows something else than the store holds, once the nodes had it delivered."""
    if issuer.observer is None or not delivered:
        return []
    issuer.say("prove: comparing what is served with what is stored")
    return disagreements(release.pointers, release.record, issuer.observer.observe())


def _dry_report(store: Store, request: CertificateRequest, plan: Plan, stored: StoredRecord | None) -> Report:
    return Report(
        store=store.address,
        dry_run=True,
        authority=None if stored is None else stored.record.issuing,
        creates_authority=plan.creates_authority,
        issued=tuple(IssuedLeaf(entry.leaf.prefix, entry.reason) for entry in plan.due),
        unchanged=len(request.leaves) - len(plan.due),
        superfluous=plan.superfluous,
        findings=plan.notes,
    )
