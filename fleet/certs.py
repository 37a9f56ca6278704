"""The certificates of an environment: what the catalog asks for, and the store that holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.identities import certificate_request
from fleet.account import Account, open_account
from fleet.errors import FleetError
from fleet.functions import ask
from tls import (
    CertificateRequest,
    Delivered,
    Delivery,
    Issuer,
    NoNodes,
    Observations,
    Passphrase,
    PassphraseSource,
    Release,
    S3Store,
    Store,
    observations_from_plain,
)
from tls.cli_inputs import PASSPHRASE_VARIABLE, open_store, passphrase_source


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of the wire."""

    observations: Observations | None
    """None where no node answers."""
    silent: tuple[str, ...]
    """Why somebody, or everybody, is not among it."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What is asked for, and where it is kept."""

    request: CertificateRequest
    store: Store
    passphrase: PassphraseSource
    observe: Callable[[], Observed]
    """Looks at the wire, where there is one."""
    delivery: Delivery
    """Brings what was issued to the nodes, where some answer."""

    def issuer(self, requester: str, say: Callable[[str], None]) -> Issuer:
        """Return what issues into the store."""
        return Issuer(self.store, self.passphrase, requester, delivery=self.delivery, say=say)


@dataclass(frozen=True)
class DeliveryByFunction(Delivery):
    """Has the deployment's function deliver what the bucket holds: it may command the nodes, which a person need not."""

    account: Account
    environment: str

    def deliver(self, release: Release) -> Sequence[Delivered]:
        """Deliver; a function that cannot is told of as a delivery that failed, since what was issued is in the bucket."""
        del release
        try:
            told = ask(self.account, names.certificates_function(self.environment), {"task": "deliver"})
        except FleetError as error:
            return [Delivered("the nodes", succeeded=False, detail=str(error))]
        return [Delivered(**outcome) for outcome in told["delivered"]]


def open_certificates(catalog: Catalog, environment: Environment, address: str | None) -> Certificates:
    """Return an environment's certificates.

    Args:
        catalog: Who gets one.
        environment: Whose they are.
        address: A directory or `s3://BUCKET`; the environment's own bucket where it is missing.

    Raises:
        InputError: The account cannot be reached, or (that of `tls`) the address names no store.
    """
    request = CertificateRequest.from_plain(certificate_request(catalog, environment))
    if address and not address.startswith("s3://"):
        return Certificates(request, open_store(address), passphrase_source(address), lambda: _NOBODY, NoNodes())
    account = open_account(environment)
    bucket = (address or "").removeprefix("s3://").rstrip("/") or names.certificates_bucket(
        environment.name, account.account_id, account.region
    )
    return Certificates(
        request,
        S3Store(bucket, account.s3),
        passphrase_of(account, environment.name),
        lambda: _NOBODY if address else observed(account, environment),
        NoNodes() if address or not environment.nats.wait_for_nodes else DeliveryByFunction(account, environment.name),
    )


_NOBODY = Observed(None, ("nobody looks at the wire of another store than the environment's own",))


def observed(account: Account, environment: Environment) -> Observed:
    """Have the deployment's function look at the wire: it may ask the nodes, which a person need not."""
    if not environment.nats.wait_for_nodes:
        return Observed(None, (f"no node answers in {environment.name} (nats.wait_for_nodes is false)",))
    told = ask(account, names.certificates_function(environment.name), {"task": "observe"})
    plain = told["observations"]
    seen = None if plain is None else observations_from_plain(plain, where="what the function says")
    return Observed(seen, tuple(told["silent"]))


def passphrase_of(account: Account, environment: str) -> PassphraseSource:
    """Return what reads the passphrase where the deployment keeps it, unless the caller gives another."""

    @cache
    def passphrase() -> Passphrase:
        if text := os.environ.get(PASSPHRASE_VARIABLE):
            return Passphrase(text)
        kept = account.secretsmanager.get_secret_value(SecretId=names.certificates_passphrase(environment))
        return Passphrase(kept["SecretString"])

    return passphrase
