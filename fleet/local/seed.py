"""Put stand-ins into the local AWS for what an account's owner would provide; what is there already stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.account import Account
from fleet.inputs import AccountInput

GATEWAY_HOST = "gateway.local.test"
_VALID_DAYS = 365


def seed(account: Account, missing: list[AccountInput]) -> None:
    """Provide inputs: addresses that nobody reads, and a certificate that nobody trusts."""
    for wanted in missing:
        value = _import_certificate(account) if wanted.kind == "certificate" else wanted.example
        account.ssm.put_parameter(Name=wanted.parameter, Value=value, Type="String")


def _import_certificate(account: Account) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, GATEWAY_HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(GATEWAY_HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    imported = account.acm.import_certificate(
        Certificate=certificate.public_bytes(serialization.Encoding.PEM),
        PrivateKey=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    return str(imported["CertificateArn"])
