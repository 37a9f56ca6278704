"""How things stand: each certificate, its days, where it is served, and whether store and wire agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tls.authority_record import AuthorityRecord
from tls.authority_store import require_record, root_key_path
from tls.certificates import Summary, summarize
from tls.observations import Observations, consumer_of
from tls.pairs import pointers
from tls.plan import authority_notes
from tls.pointer import Pointer
from tls.profiles import Profile
from tls.renewal import renewal_moment
from tls.request import CertificateRequest, leaf_prefix
from tls.store import Store

_OVERDUE = timedelta(days=2)
"""How long a renewal may be due before that is a finding: whatever renews on a schedule has its turn within a day."""
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """How one certificate stands."""

    place: str
    kind: str
    """`root`, `issuing`, or a leaf's profile."""
    authority: str
    summary: Summary
    days_left: float
    renewal_at: datetime | None
    served_by: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "place": self.place,
            "kind": self.kind,
            "authority": self.authority,
            "days_left": round(self.days_left, 2),
            "renewal_at": None if self.renewal_at is None else self.renewal_at.isoformat(),
            "served_by": list(self.served_by),
            **self.summary.to_plain(),
        }


@dataclass(frozen=True, slots=True)
class ExpiryMetric:
    """The fewest days that any certificate of a kind has left; the two sources differ where a node missed a reload."""

    kind: str
    source: Literal["store", "wire"]
    days_left: float

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind, "source": self.source, "days_left": round(self.days_left, 2)}


@dataclass(frozen=True, slots=True)
class Status:
    """How everything stands."""

    store: str
    environment: str
    phase: str
    issuing: str
    root_key_is_online: bool
    certificates: tuple[CertificateStatus, ...]
    metrics: tuple[ExpiryMetric, ...]
    findings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 where everything is as it should be, else 1."""
        return 1 if self.findings else 0

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "store": self.store,
            "environment": self.environment,
            "phase": self.phase,
            "issuing": self.issuing,
            "root_key_is_online": self.root_key_is_online,
            "certificates": [entry.to_plain() for entry in self.certificates],
            "metrics": [metric.to_plain() for metric in self.metrics],
            "findings": list(self.findings),
        }


def take_status(
    store: Store, request: CertificateRequest | None, observations: Observations | None, now: datetime
) -> Status:
    """Return how everything stands.

    Args:
        store: What is stored.
        request: What is asked for; None leaves out what is missing or superfluous.
        observations: What is served; None leaves out the wire.
        now: The time.

    Raises:
        AuthorityError: There is no authority yet.
    """
    record = require_record(store).record
    current = pointers(store)
    certificates = (*_authorities(record, now), *_leaves(current, observations, now))
    findings = [*_date_findings(certificates, now), *_issuer_findings(record, current)]
    if request is not None:
        findings += _request_findings(request, current)
        findings += authority_notes(record, request, now)
    if observations is not None:
        findings += disagreements(current, record, observations)
    return Status(
        store=store.address,
        environment=record.environment,
        phase=str(record.phase),
        issuing=record.issuing,
        root_key_is_online=bool(store.keys(root_key_path(record.issuer))),
        certificates=certificates,
        metrics=tuple(expiry_metrics(certificates, observations, now)),
        findings=tuple(findings),
    )


def disagreements(current: Mapping[str, Pointer], record: AuthorityRecord, observations: Observations) -> list[str]:
    """Return where the wire shows something else than the store holds."""
    findings = []
    for consumer in observations.consumers:
        name = consumer.name.partition("/")[2]
        for profile, served in consumer.serves.items():
            pointer = current.get(leaf_prefix(profile, name))
            if pointer is None:
                findings.append(f"{consumer.name} serves a {profile} certificate, and the store has none for it")
            elif served.fingerprint != pointer.certificate.fingerprint:
                findings.append(
                    f"{consumer.name} serves the {profile} certificate {served.fingerprint[:16]}, and the store holds "
                    f"{pointer.certificate.fingerprint[:16]}: it missed a delivery or a reload"
                )
        for file, checksum in consumer.trusts.items():
            if file in record.files and checksum != record.files[file].sha256:
                findings.append(f"{consumer.name} trusts another {file} than the store holds: it missed a delivery")
    return findings


def expiry_metrics(
    certificates: Iterable[CertificateStatus], observations: Observations | None, now: datetime
) -> list[ExpiryMetric]:
    """Return the fewest days left, for each kind and source."""
    stored: dict[str, float] = {}
    for entry in certificates:
        stored[entry.kind] = min(entry.days_left, stored.get(entry.kind, entry.days_left))
    wire: dict[str, float] = {}
    for consumer in () if observations is None else observations.consumers:
        for profile, served in consumer.serves.items():
            days = (served.not_after - now).total_seconds() / _SECONDS_A_DAY
            wire[str(profile)] = min(days, wire.get(str(profile), days))
    return [
        *(ExpiryMetric(kind, "store", days) for kind, days in stored.items()),
        *(ExpiryMetric(kind, "wire", days) for kind, days in wire.items()),
    ]


def _authorities(record: AuthorityRecord, now: datetime) -> Iterator[CertificateStatus]:
    for authority in record.authorities:
        for role, certificate in (("root", authority.root), *authority.issuing.items()):
            summary = summarize(certificate)
            kind = "root" if role == "root" else "issuing"
            yield CertificateStatus(f"ca/{role}", kind, authority.id, summary, summary.days_left(now), None, ())


def _leaves(
    current: Mapping[str, Pointer], observations: Observations | None, now: datetime
) -> Iterator[CertificateStatus]:
    servers: dict[str, list[str]] = {}
    for consumer in () if observations is None else observations.consumers:
        for served in consumer.serves.values():
            servers.setdefault(served.fingerprint, []).append(consumer.name)
    for prefix, pointer in current.items():
        summary = pointer.certificate
        yield CertificateStatus(
            place=prefix,
            kind=prefix.partition("/")[0],
            authority=pointer.authority,
            summary=summary,
            days_left=summary.days_left(now),
            renewal_at=renewal_moment(prefix, summary.not_before, summary.not_after),
            served_by=tuple(servers.get(summary.fingerprint, ())),
        )


def _date_findings(certificates: Iterable[CertificateStatus], now: datetime) -> Iterator[str]:
    for entry in certificates:
        place = f"{entry.place} ({entry.authority})" if entry.renewal_at is None else entry.place
        if now < entry.summary.not_before:
            yield f"{place} is not valid before {entry.summary.not_before}"
        elif now > entry.summary.not_after:
            yield f"{place} has expired at {entry.summary.not_after}"
        elif entry.renewal_at is not None and now - entry.renewal_at > _OVERDUE:
            yield f"{place} should have been renewed at {entry.renewal_at}; `renew` does it"


def _issuer_findings(record: AuthorityRecord, current: Mapping[str, Pointer]) -> Iterator[str]:
    trusted = {authority.id for authority in record.authorities}
    for prefix, pointer in current.items():
        if pointer.authority not in trusted:
            yield f"{prefix} was issued by {pointer.authority}, which nobody trusts any more; `issue` renews it"


def _request_findings(request: CertificateRequest, current: Mapping[str, Pointer]) -> Iterator[str]:
    wanted = {leaf.prefix for leaf in request.leaves}
    yield from (f"{prefix} is asked for and not there; `issue` makes it" for prefix in sorted(wanted - set(current)))
    yield from (
        f"{prefix} is there and nobody asks for it; `retire` takes it away once {consumer_of(prefix)} has ended"
        for prefix in sorted(set(current) - wanted)
    )


__all__ = ["CertificateStatus", "ExpiryMetric", "Profile", "Status", "disagreements", "expiry_metrics", "take_status"]
