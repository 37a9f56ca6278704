"""Read certificates, and say of one what people and records need to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tls.errors import DamageError


@dataclass(frozen=True, slots=True)
class Summary:
    """What there is to know of a certificate."""

    serial: str
    fingerprint: str
    """SHA-256 of the whole certificate: what NATS calls `cert_sha256`."""
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    dns_names: tuple[str, ...]

    def days_left(self, now: datetime) -> float:
        """Return how many days it is still valid; negative after its end."""
        return (self.not_after - now).total_seconds() / 86_400

    def to_plain(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "serial": self.serial,
            "fingerprint": self.fingerprint,
            "subject": self.subject,
            "issuer": self.issuer,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "dns_names": list(self.dns_names),
        }


def summarize(certificate: x509.Certificate) -> Summary:
    """Return what there is to know of a certificate."""
    return Summary(
        serial=f"{certificate.serial_number:x}",
        fingerprint=fingerprint(certificate),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        dns_names=dns_names(certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in hexadecimal."""
    return certificate.fingerprint(SHA256()).hex()


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def parse_chain(pem: bytes, *, name: str) -> list[x509.Certificate]:
    """Read the certificates in a PEM file.

    Raises:
        DamageError: It holds something else.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise DamageError(f"{name} holds no certificates that can be read") from error


def parse_time(text: str) -> datetime:
    """Read a time as records hold it; one without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
