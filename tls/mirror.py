"""Publish what one store holds to another one: the pairs and the bundles, never the authority's keys.

So the authority can stay in a directory of a machine that is mostly off, and the bucket has only what is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tls.audit import audit
from tls.authority_store import read_record, require_record, write_record
from tls.errors import ConflictError, InputError, VerificationError
from tls.manifest import write_manifest
from tls.pairs import Held, Publication, hold, pointers, publish
from tls.request import CertificateRequest, Leaf
from tls.store import Store


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What was published."""

    authority: bool
    published: tuple[str, ...]
    unchanged: int


def mirror(
    source: Store, target: Store, request: CertificateRequest, now: datetime, *, dry_run: bool = False
) -> Mirrored:
    """Publish all that is asked for from one store to another, once all of it is proved.

    Raises:
        VerificationError: What the source holds is not as it should be; nothing was published.
        InputError: The target belongs to another authority.
        ConflictError: Another issuer published there in the meantime.
    """
    if findings := audit(source, request, now):
        raise VerificationError(f"{source.address} is not as it should be, so nothing of it was published", findings)
    record = require_record(source).record
    there = read_record(target)
    if there is not None and not {entry.id for entry in there.record.authorities} & {
        entry.id for entry in record.authorities
    }:
        raise InputError(f"{target.address} belongs to the authority {there.record.issuing}, not to {record.issuing}")
    switches = there is None or (there.record.phase, there.record.issuing, there.record.authorities) != (
        record.phase,
        record.issuing,
        record.authorities,
    )
    prefixes = [leaf.prefix for leaf in request.leaves]
    ours, theirs = hold(source, prefixes), hold(target, prefixes)
    publications = [
        publication
        for leaf in request.leaves
        if (publication := _publication(leaf, ours[leaf.prefix], theirs[leaf.prefix])) is not None
    ]
    if not dry_run:
        if switches:
            write_record(
                target,
                environment=record.environment,
                phase=record.phase,
                authorities=record.authorities,
                issuing=record.issuing,
                now=now,
                replaces=there,
            )
        if publications and (lost := publish(target, publications, now)):
            places = ", ".join(publication.leaf.prefix for publication in lost)
            raise ConflictError(f"{target.address}: another issuer published {places} first; run it again")
        write_manifest(target, require_record(target).record, pointers(target))
    return Mirrored(
        authority=switches,
        published=tuple(publication.leaf.prefix for publication in publications),
        unchanged=len(prefixes) - len(publications),
    )


def _publication(leaf: Leaf, ours: Held, theirs: Held) -> Publication | None:
    """Return what makes the target hold what the source holds; None where it does."""
    if ours.pair is None or ours.pointer is None:  # taken away since the audit
        return None
    if theirs.pair is not None and theirs.pair.certificate == ours.pair.certificate:
        return None
    return Publication(leaf, ours.pair, ours.pointer.authority, theirs.etag)
