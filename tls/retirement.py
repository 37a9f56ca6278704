"""Take away what nobody asks for any more: only what the caller says that nothing uses, and what can be of no use to anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tls.authority_store import private_folders, read_record
from tls.certificates import parse_chain, parse_time
from tls.errors import ConflictError, DamageError
from tls.pairs import leaf_prefixes, read_pointers
from tls.pointer import CHAIN, version_time
from tls.request import CertificateRequest
from tls.store import AUTHORITY_PREFIX, CURRENT, PRIVATE_PREFIX, Store

_GRACE = timedelta(days=2)
"""How long what no pointer names may still be in somebody's hands: an issuer at work, or a reader with the old pointer."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """What was taken away, and what is still there that nobody asks for."""

    retired: tuple[str, ...]
    kept: tuple[str, ...]


def retire(store: Store, request: CertificateRequest, *, unused: Collection[str], now: datetime) -> Retirement:
    """Take away the certificates that nobody asks for and nothing uses, and clear away what has expired or was abandoned.

    Args:
        store: Where to.
        request: What is asked for; nothing of it is ever taken away.
        unused: Prefixes that no running task uses.
        now: The time.

    Raises:
        ConflictError: Somebody gave one of them a new certificate in the meantime.
    """
    wanted = {leaf.prefix for leaf in request.leaves}
    keys = store.keys("")
    superfluous = [prefix for prefix in leaf_prefixes(keys) if prefix not in wanted]
    retired = [prefix for prefix in superfluous if prefix in unused]
    for prefix in retired:
        _retire(store, prefix, [key for key in keys if key.startswith(prefix)])
    store.purge(_garbage(store, [key for key in keys if not key.startswith(tuple(retired))], now))
    return Retirement(tuple(retired), tuple(prefix for prefix in superfluous if prefix not in unused))


def _garbage(store: Store, keys: Sequence[str], now: datetime) -> list[str]:
    """Return the keys of pairs that no pointer names and that have expired, and of the staged work of runs that ended."""
    prefixes = leaf_prefixes(keys)
    current = read_pointers(store, prefixes)
    garbage: list[str] = []
    for prefix in prefixes:
        holds = current[prefix].version if prefix in current else None
        for version, files in _versions(keys, prefix).items():
            if version != holds and _is_of_no_use(store, files, version, now):
                garbage += files
    record = read_record(store)
    if record is not None:
        for version, files in _versions(keys, AUTHORITY_PREFIX).items():
            if version != record.record.version and _is_old(version_time(version), now):
                garbage += files
        ours = private_folders(record.record.authorities)
        for folder, files in _versions(keys, PRIVATE_PREFIX).items():
            if f"{PRIVATE_PREFIX}{folder}/" not in ours and _is_old(_authority_time(folder), now):
                garbage += files
    return garbage


def _retire(store: Store, prefix: str, keys: Sequence[str]) -> None:
    """Remove a leaf: its pointer first, so that no reader begins with what is going away.

    The pointer goes on condition and is not touched after that: another issuer may put a new one there at any moment.
    """
    place = f"{prefix}{CURRENT}"
    pointer = store.read(place)
    if pointer is not None and not store.delete(place, pointer.etag):
        raise ConflictError(f"{store.address}: {prefix} was given a new certificate in the meantime; run it again")
    store.purge(key for key in keys if key != place)


def _versions(keys: Iterable[str], prefix: str) -> dict[str, list[str]]:
    """Return the keys below a prefix by their folder there."""
    found: dict[str, list[str]] = {}
    for key in keys:
        folder, slash, _ = key.removeprefix(prefix).partition("/")
        if slash and key.startswith(prefix):
            found.setdefault(folder, []).append(key)
    return found


def _is_of_no_use(store: Store, keys: Iterable[str], version: str, now: datetime) -> bool:
    if not _is_old(version_time(version), now):
        return False
    chain = next((stored for key in keys if key.endswith(f"/{CHAIN}") and (stored := store.read(key))), None)
    if chain is None:
        return True  # half a pair, of a run that ended
    try:
        certificates = parse_chain(chain.data, name=CHAIN)
    except DamageError:
        return True
    return not certificates or certificates[0].not_valid_after_utc < now


def _authority_time(folder: str) -> datetime | None:
    """Return the day that the id of an authority, or of a root, begins with."""
    try:
        return parse_time(folder.removeprefix("root-").partition("-")[0])
    except ValueError:
        return None


def _is_old(made: datetime | None, now: datetime) -> bool:
    """Tell whether something was made long enough ago; what has no date of ours is never touched."""
    return made is not None and now - made > _GRACE
