"""Put stand-ins into the local AWS for what an account's owner would provide; what is there already stays."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from catalog.catalog import Catalog
from fleet.account import Account
from fleet.inputs import AccountInput

GATEWAY_HOST = "gateway.local.test"
_VALID_DAYS = 365
_SECRET_BYTES = 24


def seed(account: Account, missing: list[AccountInput]) -> None:
    """Provide inputs: addresses that nobody reads, and a certificate that nobody trusts."""
    for wanted in missing:
        value = _import_certificate(account) if wanted.kind == "certificate" else wanted.example
        account.ssm.put_parameter(Name=wanted.parameter, Value=value, Type="String")


def seed_secrets(account: Account, catalog: Catalog) -> list[str]:
    """Provide random values for the secrets that services take from elsewhere; return the names of those that were missing."""
    wanted: dict[str, set[str | None]] = {}
    for service in catalog.enabled:
        for secret in service.secrets.values():
            if secret.name:
                wanted.setdefault(secret.name, set()).add(secret.field)
    missing = [name for name in wanted if not _has_secret(account, name)]
    for name in missing:
        fields = {field: secrets.token_urlsafe(_SECRET_BYTES) for field in wanted[name] if field}
        value = json.dumps(fields) if fields else secrets.token_urlsafe(_SECRET_BYTES)
        account.secretsmanager.create_secret(Name=name, SecretString=value)
    return missing


def _has_secret(account: Account, name: str) -> bool:
    try:
        account.secretsmanager.describe_secret(SecretId=name)
    except account.secretsmanager.exceptions.ResourceNotFoundException:
        return False
    return True


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
