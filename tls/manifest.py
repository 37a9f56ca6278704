"""The manifest: every current certificate with its checksums in one object, for who wants to know all of them at once.

It follows from the pointers and is written after them. Where the two differ, after a crash, the pointers hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from tls.authority_record import AuthorityRecord
from tls.plain import to_json
from tls.pointer import Pointer
from tls.store import MANIFEST, Store, write


def manifest(record: AuthorityRecord, pointers: Mapping[str, Pointer]) -> bytes:
    """Return the manifest of what holds."""
    return to_json(
        {
            "environment": record.environment,
            "authority": record.version,
            "issuing": record.issuing,
            "certificates": {prefix: pointers[prefix].to_plain() for prefix in sorted(pointers)},
        }
    )


def write_manifest(store: Store, record: AuthorityRecord, pointers: Mapping[str, Pointer]) -> bool:
    """Bring the manifest up to date; tell whether it had to be.

    Raises:
        ConflictError: Another issuer wrote it in the meantime.
    """
    wanted = manifest(record, pointers)
    there = store.read(MANIFEST)
    if there is not None and there.data == wanted:
        return False
    write(store, MANIFEST, wanted, replaces=None if there is None else there.etag)
    return True
