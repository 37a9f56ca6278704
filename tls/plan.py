"""What has to be done so that the store holds what is asked for: a pure function of both and of the time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tls.authority_record import AuthorityRecord
from tls.certificates import summarize
from tls.errors import ClockError, InputError, VerificationError
from tls.pairs import Held
from tls.renewal import renewal_moment, rollover_moment
from tls.request import CertificateRequest, Leaf
from tls.verification import authority_findings, pair_findings

_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Due:
    """A certificate that has to be issued."""

    leaf: Leaf
    reason: str
    replaces: str | None
    """The etag of the pointer that is there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done."""

    creates_authority: bool
    due: tuple[Due, ...]
    superfluous: tuple[str, ...]
    """Prefixes that nobody asks for any more; they stay until somebody says that nothing uses them."""
    notes: tuple[str, ...] = ()
    """What issuing cannot mend."""


def make_plan(
    request: CertificateRequest,
    record: AuthorityRecord | None,
    held: Mapping[str, Held],
    present: Sequence[str],
    *,
    now: datetime,
    forced: Collection[str] = (),
    trusts_clock: bool = False,
) -> Plan:
    """Compare what is asked for with what is held.

    Args:
        request: What is asked for.
        record: The authority, if there is one.
        held: What the store has of each leaf that is asked for, by prefix.
        present: Every prefix that the store has anything of.
        now: The time.
        forced: Prefixes whose certificates are renewed whatever their age.
        trusts_clock: Issue although certificates are there that begin in the future.

    Raises:
        InputError: The store belongs to another environment, or something is forced that is not asked for.
        VerificationError: The authority is not as it should be, so nothing it signs would be.
        ClockError: Certificates are there that begin in the future.
    """
    wanted = {leaf.prefix for leaf in request.leaves}
    if unknown := sorted(set(forced) - wanted):
        raise InputError(f"the request has nothing at {', '.join(unknown)}")
    superfluous = tuple(prefix for prefix in present if prefix not in wanted)
    if record is None:
        first = tuple(Due(leaf, "there is none yet", held[leaf.prefix].etag) for leaf in request.leaves)
        return Plan(creates_authority=True, due=first, superfluous=superfluous)
    if record.environment != request.environment:
        raise InputError(
            f"the store belongs to the environment {record.environment!r} and the request to {request.environment!r}"
        )
    if not trusts_clock:
        _check_clock(record, held, now)
    if findings := authority_findings(record.issuer, request, now):
        raise VerificationError(
            f"the authority {record.issuing} is not as it should be, so nothing is issued; roll it over", findings
        )
    reasons = {
        leaf: _damage(held[leaf.prefix], record)
        or _fault(leaf, held[leaf.prefix], record, request, now)
        or _age(leaf, held[leaf.prefix], request, now)
        or ("its renewal was asked for" if leaf.prefix in forced else None)
        for leaf in request.leaves
    }
    return Plan(
        creates_authority=False,
        due=tuple(Due(leaf, reason, held[leaf.prefix].etag) for leaf, reason in reasons.items() if reason),
        superfluous=superfluous,
        notes=tuple(authority_notes(record, request, now)),
    )


def authority_notes(record: AuthorityRecord, request: CertificateRequest, now: datetime) -> list[str]:
    """Return which certificates of the issuing authority are so old that a rollover should begin."""
    authority = record.issuer
    leaf_life = timedelta(days=request.lifetimes.leaf_days)
    return [
        f"the {role} CA {authority.id} ends at {certificate.not_valid_after_utc}: begin a rollover"
        for role, certificate in (("root", authority.root), *authority.issuing.items())
        if now >= rollover_moment(certificate.not_valid_before_utc, certificate.not_valid_after_utc, leaf_life)
    ]


def _damage(held: Held, record: AuthorityRecord) -> str | None:
    """Return why what is held is of no use, whatever it is."""
    if held.damage is not None:
        return f"it is damaged: {held.damage}"
    if held.pointer is None or held.pair is None:
        return "there is none yet"
    if held.pointer.authority != record.issuing:
        return f"it was issued by {held.pointer.authority}, which issues no more"
    if held.pointer.certificate != summarize(held.pair.certificate):
        return "its pointer describes another certificate"
    return None


def _fault(leaf: Leaf, held: Held, record: AuthorityRecord, request: CertificateRequest, now: datetime) -> str | None:
    """Return why what is held is not what is asked for."""
    if held.pair is None:
        return None
    findings = pair_findings(held.pair, leaf, record.issuer, now=now, key_type=request.key_type)
    return f"it is not as it should be: {findings[0]}" if findings else None


def _age(leaf: Leaf, held: Held, request: CertificateRequest, now: datetime) -> str | None:
    """Return why what is held is too old, or lives too long."""
    if held.pair is None:
        return None
    begin, end = held.pair.certificate.not_valid_before_utc, held.pair.certificate.not_valid_after_utc
    life = timedelta(days=request.lifetimes.leaf_days)
    if end > now + life + _CLOCK_TOLERANCE:
        return f"it is valid until {end}, for longer than asked for"
    # What ends with its issuer already would gain nothing: only a rollover helps.
    gains = min(now + life, held.pair.issuer.not_valid_after_utc) > end
    moment = renewal_moment(leaf.prefix, begin, end)
    return f"its renewal is due since {moment:%Y-%m-%d %H:%M} UTC" if gains and now >= moment else None


def _check_clock(record: AuthorityRecord, held: Mapping[str, Held], now: datetime) -> None:
    """Refuse a clock that is behind what was issued.

    Certificates of a clock that is behind end early, maybe before now; those of a clock that was ahead are refused by everybody.
    Which of the two clocks was wrong, a person must say.
    """
    begins = {f"the {role} CA": certificate.not_valid_before_utc for role, certificate in record.issuer.issuing.items()}
    begins |= {
        prefix: entry.pair.certificate.not_valid_before_utc for prefix, entry in held.items() if entry.pair is not None
    }
    place, newest = max(begins.items(), key=lambda entry: entry[1])
    if newest > now + _CLOCK_TOLERANCE:
        raise ClockError(
            f"the clock says {now}, and {place} begins at {newest}: this clock is wrong, or the one that issued it was. Set this "
            "one right; if it is right already, run again with --trust-clock"
        )
