"""The certificates of an environment: what the catalog asks for, and the store that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.identities import certificate_request
from fleet.account import Account, open_account
from tls import CertificateRequest, Issuer, Passphrase, PassphraseSource, S3Store, Store
from tls.cli_inputs import PASSPHRASE_VARIABLE, open_store, passphrase_source


@dataclass(frozen=True, slots=True)
class Certificates:
    """What is asked for, and where it is kept."""

    request: CertificateRequest
    store: Store
    passphrase: PassphraseSource

    def issuer(self, requester: str) -> Issuer:
        """Return what issues into the store."""
        return Issuer(self.store, self.passphrase, requester)


def open_certificates(catalog: Catalog, environment: Environment, address: str | None) -> Certificates:
    """Return an environment's certificates.

    Args:
        catalog: Who gets one.
        environment: Whose they are.
        address: A directory or `s3://BUCKET`; the environment's own bucket where it is missing.

    Raises:
        InputError: The account cannot be reached, or (that of `tls`) the address names no store.
    """
    request = CertificateRequest.from_plain(certificate_request(catalog, environment.name))
    if address and not address.startswith("s3://"):
        return Certificates(request, open_store(address), passphrase_source(address))
    account = open_account(environment)
    bucket = (address or "").removeprefix("s3://").rstrip("/") or names.certificates_bucket(
        environment.name, account.account_id, account.region
    )
    return Certificates(request, S3Store(bucket, account.s3), _kept_passphrase(account, environment.name))


def _kept_passphrase(account: Account, environment: str) -> PassphraseSource:
    """Return what reads the passphrase where the deployment keeps it, unless the caller gives another."""

    @cache
    def passphrase() -> Passphrase:
        if text := os.environ.get(PASSPHRASE_VARIABLE):
            return Passphrase(text)
        kept = account.secretsmanager.get_secret_value(SecretId=names.certificates_passphrase(environment))
        return Passphrase(kept["SecretString"])

    return passphrase
