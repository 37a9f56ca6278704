"""Prove all that a store holds, as if nothing of it had been looked at before."""

from __future__ import annotations

from datetime import datetime

from tls.authority_record import AuthorityRecord, bundles
from tls.authority_store import require_record
from tls.certificates import summarize
from tls.manifest import manifest
from tls.pairs import hold, pointers
from tls.request import CertificateRequest
from tls.store import AUTHORITY_PREFIX, MANIFEST, Store, sha256
from tls.verification import authority_findings, pair_findings


def audit(store: Store, request: CertificateRequest, now: datetime) -> list[str]:
    """Return everything in a store that is not as it should be.

    Raises:
        AuthorityError: There is no authority yet.
    """
    record = require_record(store).record
    findings = []
    if record.environment != request.environment:
        findings.append(f"the store belongs to {record.environment!r}, and the request to {request.environment!r}")
    for authority in record.authorities:
        findings += [f"{authority.id}: {finding}" for finding in authority_findings(authority, request, now)]
    findings += _bundle_findings(store, record)
    held = hold(store, [leaf.prefix for leaf in request.leaves])
    trusted = {authority.id: authority for authority in record.authorities}
    for leaf in request.leaves:
        entry = held[leaf.prefix]
        if entry.damage is not None:
            findings.append(f"{leaf.prefix}: {entry.damage}")
        elif entry.pointer is None or entry.pair is None:
            findings.append(f"{leaf.prefix}: there is none")
        elif entry.pointer.authority not in trusted:
            findings.append(f"{leaf.prefix}: issued by {entry.pointer.authority}, which nobody trusts")
        else:
            if entry.pointer.certificate != summarize(entry.pair.certificate):
                findings.append(f"{leaf.prefix}: its pointer describes another certificate")
            authority = trusted[entry.pointer.authority]
            findings += [f"{leaf.prefix}: {finding}" for finding in pair_findings(entry.pair, leaf, authority, now=now)]
    there = store.read(MANIFEST)
    if there is None or there.data != manifest(record, pointers(store)):
        findings.append(f"{MANIFEST}: it is not that of what the store holds; `issue` writes it anew")
    return findings


def _bundle_findings(store: Store, record: AuthorityRecord) -> list[str]:
    findings = []
    for name, wanted in bundles(record.authorities).items():
        key = f"{AUTHORITY_PREFIX}{record.version}/{name}"
        stored = store.read(key, record.files[name].version_id)
        if stored is None:
            findings.append(f"{key}: it is not there")
        elif stored.data != wanted or sha256(stored.data) != record.files[name].sha256:
            findings.append(f"{key}: it does not hold the authorities that are trusted")
    return findings
