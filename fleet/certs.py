"""The certificates of an environment: what the catalog asks for, and the store that holds it."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.identities import certificate_request
from fleet.account import Account, open_account
from fleet.errors import InputError
from tls import CertificateRequest, DirectoryStore, Issuer, Passphrase, PassphraseSource, S3Store, Store

PASSPHRASE_VARIABLE = "FLEET_CA_PASSPHRASE"  # noqa: S105 (its name, not itself)
_S3 = "s3://"


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
        InputError: The address names no store, or the account cannot be reached.
    """
    request = CertificateRequest.from_plain(certificate_request(catalog, environment.name))
    if address and not address.startswith(_S3):
        if "://" in address:
            raise InputError(f"{address!r} is no store: a directory, or {_S3}BUCKET")
        return Certificates(request, DirectoryStore(Path(address)), _typed_passphrase)
    account = open_account(environment)
    bucket = (address or "").removeprefix(_S3).rstrip("/") or names.certificates_bucket(
        environment.name, account.account_id, account.region
    )
    return Certificates(request, S3Store(bucket, account.s3), _kept_passphrase(account, environment.name))


@cache
def _typed_passphrase() -> Passphrase:
    if text := os.environ.get(PASSPHRASE_VARIABLE):
        return Passphrase(text)
    if not sys.stdin.isatty():
        raise InputError(f"the passphrase of the authority is needed: set {PASSPHRASE_VARIABLE}")
    return Passphrase(getpass.getpass("passphrase of the authority: "))


def _kept_passphrase(account: Account, environment: str) -> PassphraseSource:
    """Return what reads the passphrase where the deployment keeps it, unless the caller gives another."""

    @cache
    def passphrase() -> Passphrase:
        if text := os.environ.get(PASSPHRASE_VARIABLE):
            return Passphrase(text)
        kept = account.secretsmanager.get_secret_value(SecretId=names.certificates_passphrase(environment))
        return Passphrase(kept["SecretString"])

    return passphrase
