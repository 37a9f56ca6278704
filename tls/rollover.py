"""Replace the authority without a refused connection, in phases that each begin only when their gate is proved open.

    steady ──begin──> trust-both ──> issue-by-new ──> nobody-on-old ──> steady
                          ^               │                 │
                          └─────back──────┴─────────────────┘

- `trust-both`: the bundles hold the old and the new authority; the old one issues.
- `issue-by-new`: every process was seen to trust both, so the new one issues; the next `issue` renews all by it.
- `nobody-on-old`: no certificate of the old one was seen any more, neither served nor presented by a live connection.
- `steady` again: the same was seen once more, and the old one is dropped, with its keys.

Until the last step everything can go back. A phase that has begun already begins again without a change, so whatever was
interrupted is run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from tls.authority import Authority, create_authority
from tls.authority_record import BUNDLES, AuthorityRecord, Phase
from tls.authority_store import (
    PassphraseSource,
    StoredRecord,
    private_folders,
    require_record,
    root_signer,
    write_keys,
    write_record,
)
from tls.errors import GateError, InputError, VerificationError
from tls.issue_log import Issued, append, issuers
from tls.manifest import write_manifest
from tls.observations import NODE_PROFILES, Consumer, Observations, consumer_of
from tls.pairs import pointers
from tls.pointer import Pointer
from tls.profiles import Profile
from tls.request import CertificateRequest
from tls.sources import Sources
from tls.store import Store
from tls.verification import authority_findings

_NEXT = {
    Phase.TRUST_BOTH: Phase.ISSUE_BY_NEW,
    Phase.ISSUE_BY_NEW: Phase.NOBODY_ON_OLD,
    Phase.NOBODY_ON_OLD: Phase.STEADY,
}


def begin(
    store: Store,
    request: CertificateRequest,
    *,
    passphrase: PassphraseSource,
    sources: Sources,
    requester: str,
    keeps_root: bool = False,
) -> AuthorityRecord:
    """Make a new authority and have it trusted beside the old one, which goes on issuing.

    Args:
        store: Where the authority is.
        request: Domains, key type and lifetimes of the new one.
        passphrase: Of the authorities' keys.
        sources: Clock and randomness.
        requester: Who asks, for the log.
        keeps_root: Sign the new issuing authorities with the root that is there; its key must be online. That is for authorities
            that grow old. Where a key was lost, only a new root keeps out who has it.

    Raises:
        VerificationError: The new authority would not be as it should be.
        AuthorityError: The root is to be kept, and its key is offline.
    """
    stored = require_record(store)
    old = stored.record
    if old.phase is Phase.TRUST_BOTH:
        return old
    _refuse_unless(old, Phase.STEADY, "begin")
    if old.environment != request.environment:
        raise InputError(f"the store belongs to {old.environment!r}, and the request to {request.environment!r}")
    opened = passphrase()
    root = root_signer(store, old.issuer, opened) if keeps_root else None
    new = create_authority(request, sources, root=root)
    if findings := authority_findings(new.authority, request, sources.now()):
        raise VerificationError("the new authority is not as it should be, so it was not stored", findings)
    certificates = [*new.authority.issuing.values(), *(() if keeps_root else (new.authority.root,))]
    append(
        store,
        [Issued(certificate, new.authority.id, "ca/", "rollover") for certificate in certificates],
        requester=requester,
        sources=sources,
    )
    write_keys(store, new, opened)
    return _change(
        store, stored, Phase.TRUST_BOTH, [*old.authorities, new.authority], old.issuing, sources.now()
    ).record


def advance(store: Store, to: Phase, observations: Observations, now: datetime) -> AuthorityRecord:
    """Begin the next phase, if its gate is open.

    Args:
        store: Where the authority is.
        to: The phase to begin; the one that has begun already is no fault, any other but the next is.
        observations: What was seen since the present phase began.
        now: The time.

    Raises:
        InputError: It is not the next phase.
        GateError: The gate is not open, with all that stands in the way.
    """
    stored = require_record(store)
    record = stored.record
    if record.phase is to:
        return record
    if _NEXT.get(record.phase) is not to:
        following = _NEXT.get(record.phase)
        raise InputError(
            f"the rollover is in the phase {record.phase}; "
            + (f"the next one is {following}, and none is skipped" if following else "`rollover begin` begins one")
        )
    old, new = record.authorities
    if to is Phase.ISSUE_BY_NEW:
        _pass_gate(to, record, observations, now, _trust_findings(store, record, observations))
        return _change(store, stored, to, record.authorities, new.id, now).record
    _pass_gate(to, record, observations, now, _issuer_findings(store, new.id, observations))
    if to is Phase.NOBODY_ON_OLD:
        return _change(store, stored, to, record.authorities, new.id, now).record
    changed = _change(store, stored, Phase.STEADY, [new], new.id, now).record
    _drop_keys(store, private_folders([old]) - private_folders([new]))
    return changed


def go_back(store: Store, observations: Observations | None, now: datetime) -> AuthorityRecord:
    """Take the last step back: have the old authority issue again, or give the new one up.

    Args:
        store: Where the authority is.
        observations: What was seen since the present phase began; needed only where the new authority is given up.
        now: The time.

    Raises:
        InputError: No rollover is under way.
        GateError: The new authority is still in use, so it cannot be given up.
    """
    stored = require_record(store)
    record = stored.record
    if record.phase is Phase.STEADY:
        raise InputError("no rollover is under way, so there is no way back")
    old, new = record.authorities
    if record.phase is not Phase.TRUST_BOTH:
        return _change(store, stored, Phase.TRUST_BOTH, record.authorities, old.id, now).record
    if observations is None:
        raise InputError("to give the new authority up, it must be seen that nobody uses it: observations are needed")
    _pass_gate(Phase.STEADY, record, observations, now, _issuer_findings(store, old.id, observations))
    changed = _change(store, stored, Phase.STEADY, [old], old.id, now).record
    _drop_keys(store, private_folders([new]) - private_folders([old]))
    return changed


def _change(
    store: Store,
    stored: StoredRecord,
    phase: Phase,
    authorities: Iterable[Authority],
    issuing: str,
    now: datetime,
) -> StoredRecord:
    changed = write_record(
        store,
        environment=stored.record.environment,
        phase=phase,
        authorities=authorities,
        issuing=issuing,
        now=now,
        replaces=stored,
    )
    write_manifest(store, changed.record, pointers(store))
    return changed


def _drop_keys(store: Store, folders: Iterable[str]) -> None:
    """Remove keys that can sign nothing that anybody trusts; what a crash leaves here, `retire` clears away."""
    for folder in sorted(folders):
        store.purge(store.keys(folder))


def _refuse_unless(record: AuthorityRecord, phase: Phase, step: str) -> None:
    if record.phase is not phase:
        raise InputError(f"the rollover is in the phase {record.phase}, and `{step}` is for {phase}")


def _pass_gate(
    to: Phase, record: AuthorityRecord, observations: Observations, now: datetime, findings: Iterator[str]
) -> None:
    shut = [*observations.age_findings(record.changed_at, now), *findings]
    if shut:
        raise GateError(f"the phase {to} may not begin yet", shut)


def _trust_findings(store: Store, record: AuthorityRecord, observations: Observations) -> Iterator[str]:
    """Yield who does not trust all that the record trusts."""
    yield from observations.unseen(consumer_of(prefix) for prefix in _unique(pointers(store)))
    for consumer in observations.consumers:
        for profile in _verified_by(consumer):
            file = BUNDLES[profile]
            if consumer.trusts.get(file) != record.files[file].sha256:
                has = consumer.trusts.get(file, "none that was seen")[:16]
                yield f"{consumer.name} does not trust both yet: its {file} is {has}, not {record.files[file].sha256[:16]}"


def _issuer_findings(store: Store, issuing: str, observations: Observations) -> Iterator[str]:
    """Yield who holds, serves or presents a certificate of another authority than the one that issues."""
    current = pointers(store)
    logged = issuers(store)
    for prefix, pointer in current.items():
        if pointer.authority != issuing:
            yield f"{prefix} was issued by {pointer.authority}; `issue` renews it"
    yield from observations.unseen(consumer_of(prefix) for prefix in _unique(current))
    for consumer in observations.consumers:
        yield from _consumer_findings(consumer, issuing, logged)


def _consumer_findings(consumer: Consumer, issuing: str, logged: Mapping[str, str]) -> Iterator[str]:
    is_node = consumer.name.startswith("node/")
    for profile in NODE_PROFILES if is_node else (Profile.CLIENT,):
        served = consumer.serves.get(profile)
        if served is None:
            yield f"nobody looked at the {profile} certificate of {consumer.name}"
        elif (issuer := logged.get(served.fingerprint)) != issuing:
            yield f"{consumer.name} serves the {profile} certificate {served.fingerprint[:16]} of {issuer or 'nobody we know'}"
    if is_node and consumer.peers is None:
        yield f"nobody looked at the connections of {consumer.name}"
    for peer in dict.fromkeys(consumer.peers or ()):
        if (issuer := logged.get(peer)) != issuing:
            yield f"{consumer.name} has a live connection with the certificate {peer[:16]} of {issuer or 'nobody we know'}"


def _verified_by(consumer: Consumer) -> tuple[Profile, ...]:
    """Return the profiles of those whom a consumer has to verify."""
    return (Profile.CLIENT, Profile.ROUTE) if consumer.name.startswith("node/") else (Profile.SERVER,)


def _unique(current: Mapping[str, Pointer]) -> Iterator[str]:
    """Yield one prefix for each consumer: a node has two certificates."""
    yield from {consumer_of(prefix): prefix for prefix in current}.values()
