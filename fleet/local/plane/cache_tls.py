"""The certificate of the local cache: in AWS it is Amazon's own, so here it is one of the plane's, and of no authority of ours."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.local.plane.places import HOST, NAME

_DAYS = 365
_LEFT_DAYS = 30


def certificate_of_cache(folder: Path) -> Path:
    """Return the certificate, which clients trust as it is; its key lies beside it. One that is about to end is replaced."""
    certificate = folder / "certificate.pem"
    if not certificate.exists() or _is_about_to_end(certificate):
        _make(certificate, key_of(certificate))
    return certificate


def key_of(certificate: Path) -> Path:
    """Return where a certificate's key lies."""
    return certificate.with_name("key.pem")


def _is_about_to_end(certificate: Path) -> bool:
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends < datetime.now(UTC) + timedelta(days=_LEFT_DAYS)


def _make(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local cache")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ip_address(HOST))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, data in ((key_file, private), (certificate, made.public_bytes(serialization.Encoding.PEM))):
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        new.replace(path)
