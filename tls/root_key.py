"""Take the root's key offline, and bring it back for the next rollover."""

from __future__ import annotations

from pathlib import Path

from tls.authority import Authority
from tls.authority_store import PassphraseSource, require_record, root_key_path, root_signer
from tls.errors import AuthorityError, InputError
from tls.keys import from_pem
from tls.private_file import sync_directory, write_new_private_file
from tls.secret import Passphrase, Secret
from tls.store import Store, write


def export_root_key(store: Store, passphrase: PassphraseSource, to: Path) -> None:
    """Write the root's key, encrypted as it is, to a file that is not there yet.

    Raises:
        AuthorityError: The key is offline already.
        PassphraseError: The passphrase is not its own, so the file would be of no use.
        InputError: The file is there, or cannot be written.
    """
    authority = require_record(store).record.issuer
    root_signer(store, authority, passphrase())
    stored = store.read(root_key_path(authority))
    if stored is None:
        raise AuthorityError(f"{store.address}: the root's key was taken offline just now")
    try:
        write_new_private_file(to, stored.data)
        sync_directory(to.absolute().parent)
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror}") from error


def remove_root_key(store: Store, passphrase: PassphraseSource, exported: Path) -> bool:
    """Remove the root's key with every version of it; tell whether it was there.

    Args:
        store: Where from.
        passphrase: Of the key.
        exported: The file that it was exported to, which must open: else the key would be lost.

    Raises:
        AuthorityError: The file holds another key.
    """
    authority = require_record(store).record.issuer
    _exported_key(authority, passphrase(), exported)
    path = root_key_path(authority)
    was_there = store.read(path) is not None
    store.purge(
        [path]
    )  # even where it is not seen any more: a version of it may be left from a removal that ended half-way
    return was_there


def restore_root_key(store: Store, passphrase: PassphraseSource, exported: Path) -> bool:
    """Bring the root's key back; tell whether it was gone.

    Raises:
        AuthorityError: The file holds another key.
    """
    authority = require_record(store).record.issuer
    data = _exported_key(authority, passphrase(), exported)
    path = root_key_path(authority)
    if store.read(path) is not None:
        return False
    write(store, path, data.reveal())
    return True


def _exported_key(authority: Authority, passphrase: Passphrase, exported: Path) -> Secret:
    try:
        data = Secret(exported.read_bytes())
    except OSError as error:
        raise InputError(f"{exported} cannot be read: {error.strerror}") from error
    key = from_pem(data, passphrase, name=str(exported))
    if key.public_key() != authority.root.public_key():
        raise AuthorityError(f"{exported} is not the key of {authority.root.subject.rfc4514_string()}")
    return data
