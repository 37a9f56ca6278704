"""The authority in the store: its record, and its keys, which are there encrypted only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from tls.authority import Authority, NewAuthority, Signer
from tls.authority_record import AuthorityRecord, Phase, bundles, root_id
from tls.errors import AuthorityError, StoreError
from tls.keys import from_pem, to_pem
from tls.pointer import FileReference, version_name
from tls.profiles import Profile
from tls.secret import Passphrase, Secret
from tls.store import AUTHORITY_PREFIX, CURRENT, PRIVATE_PREFIX, Store, Write, write

RECORD = f"{AUTHORITY_PREFIX}{CURRENT}"

PassphraseSource = Callable[[], Passphrase]
"""Asked only when a key has to be opened or written, so that looking needs no passphrase."""


@dataclass(frozen=True)
class StoredRecord:
    """The record with the state of the object that holds it."""

    record: AuthorityRecord
    etag: str


def read_record(store: Store) -> StoredRecord | None:
    """Return the authority's record; None before there is an authority."""
    stored = store.read(RECORD)
    if stored is None:
        return None
    return StoredRecord(AuthorityRecord.from_json(stored.data, name=f"{store.address}/{RECORD}"), stored.etag)


def require_record(store: Store) -> StoredRecord:
    """Return the authority's record.

    Raises:
        AuthorityError: There is no authority yet.
    """
    if (stored := read_record(store)) is None:
        raise AuthorityError(f"{store.address} has no authority yet; `issue` makes one")
    return stored


def write_keys(store: Store, new: NewAuthority, passphrase: Passphrase) -> None:
    """Store the keys of a new authority; until a record names it, nobody looks at them."""
    keys = {_issuing_key(new.authority, profile): key for profile, key in new.issuing_keys.items()}
    if new.root_key is not None:
        keys[root_key_path(new.authority)] = new.root_key
    written = store.write_all([Write(path, to_pem(key, passphrase).reveal()) for path, key in keys.items()])
    if None in written:
        raise StoreError(f"{store.address}: an authority of the id {new.authority.id} has keys there already")


def write_record(
    store: Store,
    *,
    environment: str,
    phase: Phase,
    authorities: Iterable[Authority],
    issuing: str,
    now: datetime,
    replaces: StoredRecord | None,
) -> StoredRecord:
    """Store the bundles of some authorities, then switch the record to them.

    Raises:
        ConflictError: Somebody else switched the record in the meantime.
    """
    trusted = tuple(authorities)
    files = bundles(trusted)
    old = None if replaces is None else replaces.record
    if old is not None and old.authorities == trusted:
        version, references = old.version, dict(old.files)
    else:
        version = version_name(now, b"".join(files.values()))
        places = {name: f"{AUTHORITY_PREFIX}{version}/{name}" for name in files}
        written = store.write_all([Write(places[name], data) for name, data in files.items()])
        references = {}
        for name, stored in zip(files, written, strict=True):
            there = stored or store.read(
                places[name]
            )  # the same bundles in the same second: a run before this one ended here
            if there is None or there.data != files[name]:
                raise StoreError(f"{store.address}: {places[name]} cannot be written")
            references[name] = FileReference.of(there)
    record = AuthorityRecord(environment, phase, now, trusted, issuing, version, references)
    stored = write(store, RECORD, record.to_json(), replaces=None if replaces is None else replaces.etag)
    return StoredRecord(record, stored.etag)


def issuing_signer(store: Store, authority: Authority, profile: Profile, passphrase: Passphrase) -> Signer:
    """Return an issuing authority that can sign.

    Raises:
        AuthorityError: Its key is not there, or is another one's.
    """
    path = _issuing_key(authority, profile)
    if (stored := store.read(path)) is None:
        raise AuthorityError(
            f"{store.address}: {path} is not there, so the {profile} CA {authority.id} cannot sign; roll it over"
        )
    signer = Signer(authority.issuing[profile], from_pem(Secret(stored.data), passphrase, name=path))
    return _matching(signer, path)


def root_signer(store: Store, authority: Authority, passphrase: Passphrase) -> Signer:
    """Return the root of an authority, able to sign.

    Raises:
        AuthorityError: Its key is offline, or is another one's.
    """
    path = root_key_path(authority)
    if (stored := store.read(path)) is None:
        raise AuthorityError(f"{store.address}: the root's key is offline; bring it back by `root restore`")
    return _matching(Signer(authority.root, from_pem(Secret(stored.data), passphrase, name=path)), path)


def root_key_path(authority: Authority) -> str:
    """Return where the root's key lies while it is not offline."""
    return f"{PRIVATE_PREFIX}{root_id(authority.root)}/root.pem"


def private_folders(authorities: Iterable[Authority]) -> set[str]:
    """Return the folders with the keys of some authorities."""
    return {
        folder
        for authority in authorities
        for folder in (f"{PRIVATE_PREFIX}{authority.id}/", f"{PRIVATE_PREFIX}{root_id(authority.root)}/")
    }


def _issuing_key(authority: Authority, profile: Profile) -> str:
    return f"{PRIVATE_PREFIX}{authority.id}/{profile}.pem"


def _matching(signer: Signer, path: str) -> Signer:
    if signer.key.public_key() != signer.certificate.public_key():
        raise AuthorityError(f"{path} is not the key of {signer.certificate.subject.rfc4514_string()}")
    return signer
